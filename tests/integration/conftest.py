"""Integration tests run the real command on real environments, in a home of their own."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from orchestrator.environments.disk import cache_directory, links_refused
from tests.machine import can_build

ROOT = Path(__file__).resolve().parent.parent.parent
MM = [sys.executable, "-m", "orchestrator"]
BUILT = {
    "test_book.py": "rapidocr",
    "test_deepseek_ocr_2_mlx.py": "deepseek-ocr-2-mlx",
    "test_doctor.py": "qwen3-tts",
    "test_embedded_models.py": "rapidocr",
    "test_listening.py": "whisper-base",
    "test_environments_conflicting.py": "qwen3-tts",
    "test_kokoro.py": "kokoro",
    "test_patches.py": "deepseek-ocr-2",
    "test_pipelines_documented.py": "rapidocr",
    "test_qwen3_tts.py": "qwen3-tts",
    "test_qwen3_tts_mlx.py": "qwen3-tts-mlx",
    "test_reading_aloud.py": "rapidocr",
}
"""Tests that build the environments of built-in models, and one whose interpreters they need."""


def pytest_ignore_collect(collection_path):
    """Leave out tests of models for which there is no interpreter."""
    model = BUILT.get(collection_path.name)
    return True if model and not can_build(model) else None


READER, SPEAKER = "deepseek-ocr-2", "qwen3-tts"
"""Built-in models that cannot share an environment; both environments hold torch."""

CHECKPOINTS = ROOT / "tests" / "checkpoints"
SAVES = {
    READER: ["transformers_models.py"],
    SPEAKER: ["transformers_models.py", "qwen3_tts.py"],
}
"""What is saved in each environment, in one process, because importing torch takes seconds."""

SAVE = """\
import runpy, sys
for script in sys.argv[2:]:
    runpy.run_path(script)["main"](sys.argv[1])
"""


def run_mm(variables, *arguments, stdin=""):
    """Run `mm` and return what it wrote to standard output."""
    return subprocess.run(
        [*MM, *map(str, arguments)],
        env={**os.environ, **variables},
        check=True,
        input=stdin,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


@pytest.fixture(scope="session")
def workplace():
    """Variables that name an `MM_HOME` and an `MM_RUNTIME_DIR` for all integration tests.

    The environments in it are built once, on first use, by whichever test needs one first. They
    are on the file system of uv's cache, which is the user's own: torch is 3 GB.
    """
    # Not pytest's own directory: the path of a socket may have 104 bytes.
    directory = Path(tempfile.mkdtemp(prefix="mm-test-"))
    cache = cache_directory(os.environ)
    if links_refused(cache, directory) is not None:
        directory.rmdir()
        directory = Path(tempfile.mkdtemp(prefix="mm-test-", dir=cache.parent))
    yield {
        "MM_HOME": str(directory / "home"),
        "MM_RUNTIME_DIR": str(directory / "run"),
        "MM_KEEP_ALIVE": "0",  # a test that is about kept workers says so
    }
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def environments(workplace):
    """The directories of the environments of `READER` and `SPEAKER`, by model."""
    paths = {}
    # One after the other: two that download a package at once would each get a copy of their own.
    for model in (READER, SPEAKER):
        run_mm(workplace, "env", "sync", model)
        paths[model] = Path(run_mm(workplace, "env", "path", model).strip())
    return paths


@pytest.fixture(scope="session")
def saved(workplace, environments, tmp_path_factory):
    """Return a function of `READER` or `SPEAKER`: a directory of what its packages have saved."""

    @functools.cache
    def saved(model):
        directory = tmp_path_factory.mktemp("saved")
        scripts = [CHECKPOINTS / name for name in SAVES[model]]
        command = ("env", "exec", model, "--", "python", "-I", "-c", SAVE, directory, *scripts)
        run_mm(workplace, *command)
        return directory

    return saved


MANIFEST = """\
name: {name}
task: try-{name}
summary: A model that behaves as its name says
environment: {{python: ">=3.10", dependencies: []}}
timeouts: {{load: 60, run: 60}}
inputs:
  text: {{type: text, required: true, help: Any text}}
outputs:
  text: {{type: text, primary: true}}
  sound: {{type: audio}}
"""


@pytest.fixture(scope="session")
def declare(workplace, tmp_path_factory):
    """Return a function that declares and locks models without dependencies.

    It takes sources of runners by model name, and returns the directory of their manifests.
    """

    def declare(runners, manifest=MANIFEST):
        root = tmp_path_factory.mktemp("models")
        manifests = root / "manifests"
        manifests.mkdir()
        for name, source in runners.items():
            (manifests / f"{name}.yaml").write_text(manifest.format(name=name))
            (root / "envs" / name).mkdir(parents=True)
            (root / "envs" / name / "runner.py").write_text(textwrap.dedent(source))
        subprocess.run(
            [*MM, "env", "lock", *runners, "--manifests", str(manifests)],
            env={**os.environ, **workplace},
            check=True,
        )
        return manifests

    return declare


@pytest.fixture
def mm(workplace, tmp_path):
    """Return a function that runs `mm` in an empty directory and returns how it ended."""

    def run(*arguments, variables=None, cwd=tmp_path, unprivileged=False, stdin=b"", binary=False):
        completed = subprocess.run(
            [*MM, *map(str, arguments)],
            env={**os.environ, **workplace, **(variables or {})},
            cwd=cwd,
            input=stdin,
            capture_output=True,
            preexec_fn=drop_privileges if unprivileged and os.geteuid() == 0 else None,
            timeout=600,
            check=False,
        )
        return Ended(completed, binary=binary)

    return run


class Ended:
    """How a run of `mm` ended."""

    def __init__(self, completed, *, binary):
        self.code = completed.returncode
        self.out = completed.stdout if binary else completed.stdout.decode()
        self.err = completed.stderr.decode()
        self.sentence = self.err.rstrip("\n").rpartition("\n")[2]

    def __repr__(self):
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


def drop_privileges():
    """Give up every capability of root, so that permissions hold for this process as for anybody.

    The user id stays, because the interpreter may lie where only root can reach it; without
    capabilities root is an ordinary owner of its files (capabilities(7)).
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    pr_capbset_drop, last = 24, 40
    for capability in range(last + 1):
        libc.prctl(pr_capbset_drop, capability, 0, 0, 0)
