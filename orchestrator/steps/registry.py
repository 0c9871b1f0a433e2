"""The built-in steps by name: each is the `STEP` of the module that has its name."""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.core.canonical import digest_bytes
from orchestrator.steps.step import BuiltIn


def builtin(name: str) -> BuiltIn:
    """Return the built-in step `name`, one of `BUILT_IN_STEPS`."""
    step = _module(name).STEP
    assert isinstance(step, BuiltIn)
    return step


@cache
def producer(name: str) -> dict[str, Any]:
    """Return what decides the results of the built-in step `name` beside its inputs.

    Its own source stands for its version: there is no number to raise.
    """
    step = builtin(name)
    sources = (Path(str(_module(name).__file__)), *step.programs)
    return {
        "step": name,
        "code": digest_bytes(b"".join(source.read_bytes() for source in sources)),
        "versions": {package: metadata.version(package) for package in step.packages},
    }


def _module(name: str) -> ModuleType:
    return import_module(f"orchestrator.steps.{name.replace('-', '_')}")
