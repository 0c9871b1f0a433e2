"""Run machine-learning models whose Python dependencies contradict each other, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.version import __version__

if TYPE_CHECKING:
    from orchestrator.async_session import AsyncSession
    from orchestrator.core.manifest import Input
    from orchestrator.core.pipelines import Step
    from orchestrator.errors import (
        Cancelled,
        Crashed,
        EnvironmentFailure,
        ItemsFailed,
        JobFailed,
        ManifestError,
        MemoryRefused,
        MMError,
        OutputError,
        Rejected,
        SourceError,
        TimedOut,
        UsageError,
    )
    from orchestrator.jobs.results import Artifact, Audio, Result
    from orchestrator.pipelines.pipeline import Pipeline
    from orchestrator.session import Session

_HOMES = {
    "AsyncSession": "async_session",
    "Session": "session",
    "Result": "jobs.results",
    "Artifact": "jobs.results",
    "Audio": "jobs.results",
    "Pipeline": "pipelines.pipeline",
    "Step": "core.pipelines",
    "Input": "core.manifest",
}

__all__ = [
    "Artifact",
    "AsyncSession",
    "Audio",
    "Cancelled",
    "Crashed",
    "EnvironmentFailure",
    "Input",
    "ItemsFailed",
    "JobFailed",
    "MMError",
    "ManifestError",
    "MemoryRefused",
    "OutputError",
    "Pipeline",
    "Rejected",
    "Result",
    "Session",
    "SourceError",
    "Step",
    "TimedOut",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: the command line pays for each import at the top."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import sys
    from importlib import import_module

    if sys.platform == "win32" and name in _HOMES:
        from orchestrator.errors import WINDOWS, UsageError

        raise UsageError(WINDOWS)
    return getattr(import_module(f"orchestrator.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__file__", "__name__", "__path__"]
