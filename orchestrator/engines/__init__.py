"""Where jobs run: on this machine, in the session's own workers or in workers that are kept.

An engine takes a `Job` and returns its outputs. It knows workers, and nothing of manifests' files,
environments or the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from orchestrator.engines.interface import Engine
from orchestrator.engines.kept import KeptEngine
from orchestrator.engines.local import LocalEngine
from orchestrator.engines.resources import Resources
from orchestrator.system.machine import MachineMemory

if TYPE_CHECKING:
    from orchestrator.system.scratch import Scratch
    from orchestrator.workspace import Workspace

EngineFactory: TypeAlias = "Callable[[Workspace, Scratch, int], Engine]"
"""Makes an engine from what a session stands on and how many workers of a model it may have."""


def local_engine(workspace: Workspace, scratch: Scratch, workers: int) -> Engine:
    """Return an engine with workers of its own, which end with it."""
    return LocalEngine(
        workspace.runtime, workspace.worker_logs, scratch, _resources(workspace), workers
    )


def kept_engine(workspace: Workspace, scratch: Scratch, workers: int) -> Engine:
    """Return an engine whose workers stay for later commands."""
    return KeptEngine(
        workspace.runtime, workspace.worker_logs, scratch, _resources(workspace), limit=workers
    )


def _resources(workspace: Workspace) -> Resources:
    return Resources(workspace.runtime, MachineMemory(), workspace.reporter)
