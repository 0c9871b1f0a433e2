"""Small models behind `mm serve`, and the server itself as a process."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from orchestrator.serve.application import Application
from orchestrator.serve.serve_settings import ServeSettings
from orchestrator.workspace import Workspace
from tests.integration.conftest import MM, ROOT

PATIENCE = 60.0

MANIFESTS = {
    "reader": """
        task: ocr
        inputs:
          image: {type: image, required: true}
          prompt: {type: text, default: ""}
        outputs:
          text: {type: text, primary: true}
          boxes: {type: json}
        """,
    "speaker": """
        task: tts
        preference: 2
        languages: [en]
        voices: {anna: en, bert: en}
        inputs:
          text: {type: text, required: true, help: English text}
          voice: {type: choice, default: anna}
          speed: {type: number, default: 1.0, minimum: 0.5, maximum: 2.0}
        outputs:
          audio: {type: audio, primary: true}
        """,
    "chinese": """
        task: tts
        languages: [zh]
        inputs:
          text: {type: text, required: true, help: Chinese text}
        outputs:
          audio: {type: audio, primary: true}
        """,
    "cloner": """
        task: tts-clone
        inputs:
          text: {type: text, required: true}
          reference: {type: audio, required: true}
          reference_text: {type: text, default: ""}
        outputs:
          audio: {type: audio, primary: true}
        """,
    "listener": """
        task: asr
        inputs:
          audio: {type: audio, required: true}
          language: {type: text, default: auto}
        outputs:
          text: {type: text, primary: true}
          segments: {type: json}
          language: {type: text}
        """,
}

RUNNERS = {
    "reader": """
        def load(context): ...
        def run(model, job, *, image, prompt):
            data = image.read_bytes()
            if not data.startswith(b"\\x89PNG"):
                job.reject(f"{image} is no picture")
            job.emit("text", "read ")
            job.emit("text", prompt or "nothing asked")
            line = {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "text": f"{len(data)} bytes"}
            return {"text": "read " + (prompt or "nothing asked"), "boxes": [line]}
        """,
    "speaker": """
        import array, os, time
        def load(context): ...
        def run(model, job, *, text, voice, speed):
            job.log(f"{voice} at {speed}")
            if text == "crash":
                os._exit(9)
            if text == "fail":
                raise ValueError("as asked")
            if text == "wait":
                while not job.cancelled:
                    time.sleep(0.01)
            if text == "slow":
                time.sleep(0.2)
            words = text.split()
            tone = array.array("h", [1000, -1000] * 1200)  # a tenth of a second at 24 kHz
            for done, word in enumerate(words):
                job.progress(done, len(words), word)
                if word == "break":
                    raise ValueError("in the middle")
                job.emit("audio", (tone, 24000))
            return {"audio": (tone * len(words), 24000)}
        """,
    "chinese": """
        import array
        def load(context): ...
        def run(model, job, *, text):
            return {"audio": (array.array("h", [500, -500] * 50), 24000)}
        """,
    "cloner": """
        import array
        def load(context): ...
        def run(model, job, *, text, reference, reference_text):
            if not reference.read_bytes().startswith(b"RIFF"):
                job.reject(f"{reference} is no recording")
            return {"audio": (array.array("h", [len(reference_text)] * 50), 24000)}
        """,
    "listener": """
        def load(context): ...
        def run(model, job, *, audio, language):
            size = len(audio.read_bytes())
            segments = [{"start": 0.0, "end": 1.5, "text": f" {size} bytes", "score": 0.9}]
            job.emit("text", f"{size} bytes")
            return {"text": f"{size} bytes", "segments": segments, "language": "en"}
        """,
}

HEAD = """\
name: {name}
summary: A model that behaves as its name says
environment: {{python: ">=3.10", dependencies: []}}
timeouts: {{load: 60, run: 60}}
"""


def declared(root):
    """Write the models under `root`, and return the directory of their manifests."""
    manifests = root / "manifests"
    manifests.mkdir()
    for name, rest in MANIFESTS.items():
        text = HEAD.format(name=name) + textwrap.dedent(rest).lstrip()
        (manifests / f"{name}.yaml").write_text(text)
        folder = root / "envs" / name
        folder.mkdir(parents=True)
        (folder / "runner.py").write_text(textwrap.dedent(RUNNERS[name]))
    return manifests


TOKEN = "a-long-word"

PLAIN = [sys.executable, "-m", "uvicorn", "tests.integration.serving:application", "--factory"]
"""Serves the same by uvicorn's own command, to those with the token."""


def application():
    """Return the application that `PLAIN` serves."""
    workspace = Workspace(variables=os.environ, cwd=ROOT)
    return Application(ServeSettings(token=TOKEN), workspace)


class Server:
    """One `mm serve`, or `PLAIN`, of a home of its own."""

    def __init__(self, variables, *arguments, port=0, command=(*MM, "serve")):
        self.headers = {"Authorization": f"Bearer {TOKEN}"} if command is PLAIN else {}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self.process = subprocess.Popen(
            [*command, "--port", str(port), *map(str, arguments)],
            env={**os.environ, **variables},
            cwd=ROOT,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            restore_signals=True,
        )
        end = time.monotonic() + PATIENCE
        while (found := re.search(r" on (http://\S+)\s", self.said())) is None:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)
        self.url = found[1]

    def said(self):
        """Return what it has printed."""
        self._log.seek(0)
        return self._log.read().decode()

    def kill(self):
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self, signum=signal.SIGTERM):
        """End it, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(PATIENCE)

    def close(self):
        """End it in any case."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


@contextlib.contextmanager
def home_with_models():
    """Yield variables of a home in which the models are built, and the option that names them."""
    with tempfile.TemporaryDirectory(prefix="mm-serve-") as name:
        root = Path(name)
        variables = {
            "MM_HOME": str(root / "home"),
            "MM_RUNTIME_DIR": str(root / "run"),
            "MM_KEEP_ALIVE": "2m",
            "MM_MANIFESTS": str(declared(root)),
        }
        for command in (["env", "lock"], ["env", "sync"]):
            subprocess.run(
                [*MM, *command, *MANIFESTS],
                env={**os.environ, **variables},
                check=True,
                capture_output=True,
            )
        try:
            yield variables
        finally:
            subprocess.run(
                [*MM, "stop", "--all"],
                env={**os.environ, **variables},
                check=True,
                capture_output=True,
            )
