"""The table of built-in steps, and the digest of what each of them is."""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from orchestrator.core.canonical import digest_bytes
from orchestrator.steps.base import BuiltIn

_MODULES = {
    "plain-text": "plain_text",
    "split-pages": "split_pages",
    "join-audio": "join_audio",
    "write": "write",
}

NAMES = frozenset(_MODULES)


def builtin(name: str) -> BuiltIn:
    """Return the built-in step `name`, one of `NAMES`."""
    step = import_module(f"orchestrator.steps.{_MODULES[name]}").STEP
    assert isinstance(step, BuiltIn)
    return step


@cache
def producer(name: str) -> dict[str, Any]:
    """Return what decides the results of the built-in step `name` beside its inputs.

    Its own source stands for its version: nobody has to remember to raise a number.
    """
    module = import_module(f"orchestrator.steps.{_MODULES[name]}")
    return {
        "step": name,
        "code": digest_bytes(Path(str(module.__file__)).read_bytes()),
        "versions": {package: metadata.version(package) for package in builtin(name).packages},
    }
