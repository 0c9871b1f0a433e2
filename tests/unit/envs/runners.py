"""Loads a runner by its path, as a worker does: it is no part of any package."""

import importlib.util
import sys
from functools import cache
from pathlib import Path

ENVS = Path(__file__).resolve().parents[3] / "envs"


class Rejection(BaseException):
    """What `job.reject` raises."""


class Job:
    """A job that keeps what a runner says."""

    def __init__(self, *, cancelled=False):
        self.cancelled = cancelled
        self.chunks = []
        self.said = []

    def progress(self, done, total=0, text=""):
        assert 0 <= done <= total
        assert text

    def emit(self, output, chunk):
        self.chunks.append((output, chunk))

    def log(self, text):
        self.said.append(("log", text))

    def warn(self, text):
        self.said.append(("warn", text))

    def reject(self, message):
        raise Rejection(message)


@cache
def load_runner(model):
    """Return the module `envs/<model>/runner.py`, or the package `envs/<model>/runner/`."""
    single = ENVS / model / "runner.py"
    path = single if single.exists() else ENVS / model / "runner" / "__init__.py"
    spec = importlib.util.spec_from_file_location(f"runner_{model}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # relative imports look for their package there
    spec.loader.exec_module(module)
    return module
