"""A world of its own for tests of environments: a home, an index, models, and the command."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import yaml

from orchestrator.core.lockfile import render_lock, shape_digest
from orchestrator.core.manifest import Environment
from tests.packages import make_wheel, sha256

MM = [sys.executable, "-m", "orchestrator"]
RUNNER = """\
def load(context):
    return None

def run(model, job, *, text):
    return {"text": text}
"""


class World:
    """A directory with `MM_HOME`, `MM_RUNTIME_DIR`, uv's cache, manifests, and packages."""

    def __init__(self, root, index=None, cache=None):
        self.root = Path(root)
        self.index = index
        self.home = self.root / "home"
        self.manifests = self.root / "manifests"
        self.started = []
        self.manifests.mkdir(parents=True, exist_ok=True)
        self.variables = {
            "MM_HOME": str(self.home),
            "MM_RUNTIME_DIR": str(self.root / "run"),
            "MM_MANIFESTS": str(self.manifests),
            "UV_HTTP_RETRIES": "0",
            "PIP_RETRIES": "0",
        }
        if index is not None:
            # Both tools take the same packages, and nothing from anywhere else.
            self.variables["UV_DEFAULT_INDEX"] = index.url
        if cache is not None:
            self.variables["UV_CACHE_DIR"] = str(cache)

    def wheel(self, name, version, **keys):
        return make_wheel(self.index.files, name, version, **keys)

    def model(self, name, dependencies, *, resolve=False, runner=RUNNER, **environment):
        """Declare a model and lock it: with `mm env lock`, or (quicker) by hand."""
        declared = {
            "python": ">=3.10,<3.15",
            "platforms": ["linux-x86_64", "linux-aarch64", "macos-arm64"],
            "dependencies": list(dependencies),
            **environment,
        }
        (self.manifests / f"{name}.yaml").write_text(
            yaml.safe_dump(
                {
                    "name": name,
                    "task": f"try-{name}",
                    "summary": "A model of a test",
                    "environment": declared,
                    "inputs": {"text": {"type": "text", "required": True, "help": "Any text"}},
                    "outputs": {"text": {"type": "text", "primary": True}},
                }
            )
        )
        folder = self.root / "envs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "runner.py").write_text(runner)
        if resolve:
            ended = self.mm("env", "lock", name)
            assert ended.code == 0, ended
        else:
            self._lock_by_hand(name, declared)
        return folder / "requirements.lock"

    def _lock_by_hand(self, name, declared):
        """Lock dependencies that all are `name==version` of a file in the index."""
        pins = []
        for dependency in declared["dependencies"]:
            package, version = dependency.split("==")
            (file,) = self.index.files.glob(f"{package}-{version}[-.]*")
            pins.append(f"{dependency} \\\n    --hash=sha256:{sha256(file)}\n")
        fields = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in declared.items()
        }
        shape = shape_digest(Environment(**fields))
        text = render_lock("".join(pins), shape=shape, command=f"mm env lock {name}")
        (self.root / "envs" / name / "requirements.lock").write_text(text)

    def forget_downloads(self):
        """Empty uv's cache: what the resolver fetched counts as never seen."""
        shutil.rmtree(self.variables["UV_CACHE_DIR"], ignore_errors=True)

    def command(self, arguments):
        return [*MM, *map(str, arguments)]

    def environ(self, variables=None):
        return {**os.environ, **self.variables, **(variables or {})}

    def mm(self, *arguments, variables=None, before=None, cwd=None):
        """Run `mm` to its end."""
        completed = subprocess.run(
            self.command(arguments),
            env=self.environ(variables),
            cwd=cwd or self.root,
            capture_output=True,
            text=True,
            preexec_fn=before,
            timeout=600,
            check=False,
        )
        return Ended(completed)

    def start(self, *arguments, variables=None):
        """Start `mm` in a process group of its own and return it at work."""
        working = Working(
            subprocess.Popen(
                self.command(arguments),
                env=self.environ(variables),
                cwd=self.root,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        self.started.append(working)
        return working

    def close(self):
        """End whatever was started here and is still at work."""
        for working in self.started:
            working.sweep()

    def environments(self):
        """Return the directories of all environments, whole or not."""
        folder = self.home / "envs"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def log(self):
        """Return what the tools have said while they built."""
        folder = self.home / "logs"
        return "".join(path.read_text() for path in folder.glob("env-*.log"))

    def whole(self):
        """Return the directories with a marker that can be read."""
        found = []
        for path in self.environments():
            try:
                json.loads((path / "mm-environment.json").read_text())
            except (OSError, ValueError):
                continue
            found.append(path)
        return found


class Ended:
    """How a run of `mm` ended."""

    def __init__(self, completed):
        self.code, self.out, self.err = completed.returncode, completed.stdout, completed.stderr
        self.sentence = self.err.rstrip("\n").rpartition("\n")[2]

    def __repr__(self):
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


class Working:
    """A run of `mm` that is still at work."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def wait_until(self, condition):
        """Wait until `condition()` is true, or fail when it ends without."""
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "it never came to that: " + "".join(self.lines)
            assert self.process.poll() is None, "".join(self.lines)
            time.sleep(0.01)

    def said(self, words):
        """Whether it has said `words` on standard error."""
        return any(words in line for line in list(self.lines))

    def signal(self, number):
        os.kill(self.process.pid, number)

    def end(self):
        """Wait for its end and return its exit code."""
        code = self.process.wait(60)
        self._reader.join(60)
        self.process.stderr.close()
        return code

    def sweep(self):
        """End it, and whatever it left behind in its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.end()
