"""The files that `mm new` writes: small models that run as they are, to begin from."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.manifest_reader import read_manifest
from orchestrator.core.names import name_problem
from orchestrator.core.yaml_document import scalar
from orchestrator.errors import ManifestError


@dataclass(frozen=True)
class Skeleton:
    """The files of a model, and the inputs of a first `mm run`.

    Attributes:
        manifest: Its YAML.
        runner: Its program.
        example: The options of a first `mm run`.
        test: A test of pytest, for a folder that is shared.
        readme: What others do with such a folder.
    """

    manifest: str
    runner: str
    example: str
    test: str
    readme: str


def skeleton(name: str, task: str) -> Skeleton:
    """Return the files of a new model; what it does depends on the task.

    Raises:
        ManifestError: When the name or the task cannot be used.
    """
    for word in (name, task):
        if problem := name_problem(word):
            raise ManifestError(problem)
    body, runner, example, test = _BY_TASK.get(task, _TEXT)
    manifest = f"{_HEAD}name: {_yaml(name)}\ntask: {_yaml(task)}\n{body}"
    try:
        read_manifest(manifest.encode("utf-8"), file=f"{name}.yaml", stem=name)
    except ManifestError as error:  # reserved names; the file it would name is not there
        raise ManifestError(error.what, fix=error.fix) from error
    return Skeleton(
        manifest,
        runner.replace("NAME", name),
        example,
        _test(name, test),
        _README.replace("NAME", name).replace("EXAMPLE", example),
    )


def _test(name: str, body: str) -> str:
    function = name.replace("-", "_").replace(".", "_")
    text = _TEST.replace("test_NAME", f"test_{function}").replace("BODY", body)
    text = text.replace("NAME", name)
    if "wave." in body:
        return text.replace("from pathlib", "import wave\nfrom pathlib")
    return text if "tmp_path" in body else text.replace("(tmp_path)", "()")


def _yaml(name: str) -> str:
    """Return `name`, quoted where YAML would take it for something else, such as a number."""
    return name if isinstance(scalar(name), str) else f'"{name}"'


_HEAD = """\
# A model for mm. What each key means: `mm manifest schema`, or docs/manifest.md.
# After an edit: `mm manifest check`, and `mm env lock` where `environment` has changed.
"""

_TEST = '''\
"""Runs NAME once. With mm-orchestrator and pytest installed: pytest"""

from pathlib import Path

import orchestrator

MANIFESTS = Path(__file__).parent / "manifests"


def test_NAME(tmp_path):
    with orchestrator.Session(manifests=[MANIFESTS]) as mm:
BODY
'''

_README = """\
# NAME

A model for [mm](https://pypi.org/project/mm-orchestrator/). Read the programs in `envs/` first:
they run with your rights. Then:

```sh
mm manifest trust .
mm run NAME EXAMPLE
```

`manifests/` says what the models need and take; `envs/` has their programs, and their packages
pinned with hashes. After an edit: `mm manifest check`, and `mm env lock NAME` if the packages
changed.
"""

_TEXT = (
    """\
summary: Mend text whose letters were garbled on the way
environment:
  python: ">=3.10"
  dependencies: [ftfy>=6.3]
  probe: [ftfy]
inputs:
  text: {type: text, required: true, help: Text to tidy}
  quotes: {type: boolean, default: true, help: Make curly quotes straight}
outputs:
  text: {type: text, primary: true}
""",
    '''\
"""Runs in the environment of NAME, whose packages are all that it can import."""

import ftfy


def load(context):
    """Called once. Load the weights here; what is returned goes to each `run`."""
    return ftfy.fix_text


def run(model, job, *, text, quotes):
    """Called for each job; its keywords are the manifest's inputs."""
    if not text.strip():
        job.reject("there is no text to tidy")
    return {"text": model(text, uncurl_quotes=quotes)}
''',
    "--text 'schÃ¶n'",
    """\
        assert mm.run("NAME", text="schÃ¶n")["text"] == "schön\"""",
)

_OCR = (
    """\
summary: Describe an image (put your reader in its place)
environment:
  python: ">=3.10"
  dependencies: [pillow>=11]
  probe: [PIL.Image]
inputs:
  image: {type: image, required: true, help: Image to read}
outputs:
  text: {type: text, primary: true}
""",
    '''\
"""Runs in the environment of NAME, whose packages are all that it can import."""

from PIL import Image, ImageOps


def load(context):
    """Called once. Load the weights here; what is returned goes to each `run`."""
    return None


def run(model, job, *, image):
    """Called for each job; its keywords are the manifest's inputs."""
    try:
        with Image.open(image) as opened:
            page = ImageOps.exif_transpose(opened).convert("RGB")
    except OSError as error:
        job.reject(f"not an image that can be read: {error}")
    return {"text": f"an image of {page.width} x {page.height} pixels"}
''',
    "--image page.png",
    """\
        page = tmp_path / "page.ppm"
        page.write_bytes(b"P6 2 1 255 " + bytes(6))  # an image of two black pixels
        assert mm.run("NAME", image=page)["text"] == "an image of 2 x 1 pixels\"""",
)

_TTS = (
    """\
summary: Play a tone for each letter (put your voice in its place)
environment:
  python: ">=3.10"
  dependencies: [numpy>=2]
  probe: [numpy]
inputs:
  text: {type: text, required: true, help: Text to speak}
outputs:
  audio: {type: audio, primary: true}
""",
    '''\
"""Runs in the environment of NAME, whose packages are all that it can import."""

import numpy as np

RATE = 24000  # Hz
SECONDS = 0.12  # for each letter


def load(context):
    """Called once. Load the weights here; what is returned goes to each `run`."""
    return np.arange(int(RATE * SECONDS)) / RATE


def run(model, job, *, text):
    """Called for each job; its keywords are the manifest's inputs."""
    letters = [letter for letter in text.lower() if letter.isalpha()]
    if not letters:
        job.reject("there is no letter in the text")
    fade = np.hanning(len(model))
    tones = [np.sin(2 * np.pi * (220 + 20 * (ord(each) % 32)) * model) for each in letters]
    samples = np.concatenate([0.3 * fade * tone for tone in tones])
    return {"audio": (samples.astype("float32"), RATE)}
''',
    "--text 'hello' -o hello.wav",
    """\
        assert mm.run("NAME", text="hello")["audio"].duration > 0.5""",
)

_ASR = (
    """\
summary: Say how long a sound is (put your recogniser in its place)
environment:
  python: ">=3.10"
  dependencies: [soundfile>=0.13]
  probe: [soundfile]
inputs:
  audio: {type: audio, required: true, help: Sound to recognise}
outputs:
  text: {type: text, primary: true}
""",
    '''\
"""Runs in the environment of NAME, whose packages are all that it can import."""

import soundfile


def load(context):
    """Called once. Load the weights here; what is returned goes to each `run`."""
    return None


def run(model, job, *, audio):
    """Called for each job; its keywords are the manifest's inputs."""
    try:
        samples, rate = soundfile.read(audio)
    except soundfile.LibsndfileError as error:
        job.reject(f"audio: not a sound that can be read: {error}")
    return {"text": f"{len(samples) / rate:.1f} seconds of sound"}
''',
    "--audio hello.wav",
    """\
        sound = tmp_path / "silence.wav"
        with wave.open(str(sound), "wb") as stream:
            stream.setparams((1, 2, 8000, 0, "NONE", ""))
            stream.writeframes(bytes(2 * 8000))
        assert mm.run("NAME", audio=sound)["text"] == "1.0 seconds of sound\"""",
)

_BY_TASK = {"ocr": _OCR, "tts": _TTS, "asr": _ASR}
