"""What the jobs of a model need on this machine: its environment, its overlay, its worker."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.catalog import runner_digest
from orchestrator.client.launch import WorkerSpec
from orchestrator.core.units import parse_size
from orchestrator.core.worker_variables import wanted_threads, worker_variables
from orchestrator.engines.interface import PreparedModel
from orchestrator.system.file_stamps import FileStamps
from orchestrator.system.home import make_private
from orchestrator.system.waiting import ENDLESS, Deadline, Wait
from orchestrator.version import __version__

if TYPE_CHECKING:
    from orchestrator.catalog import Declared
    from orchestrator.core.manifest import Manifest
    from orchestrator.environments import BuiltEnvironment
    from orchestrator.sources.overlays import Overlay
    from orchestrator.system.flock import Held
    from orchestrator.workspace import Workspace


class Preparer(Protocol):
    """Works out what jobs need; called from several threads.

    Attributes:
        reads_files: Whether files of inputs are read on this machine.
    """

    reads_files: bool

    def check(self, declared: Declared) -> None:
        """Look, before anything is built, whether the model's files are there.

        Raises:
            SourceError: When they are not.
        """

    def prepare(
        self, declared: Declared, device: str, dtype: str, deadline: Deadline = ENDLESS
    ) -> PreparedModel:
        """Return what jobs of `declared` need, what is missing built first.

        Args:
            declared: The model.
            device: "auto", or one that the manifest lists.
            dtype: "auto", or one that the manifest lists for the device.
            deadline: What ends the wait for what others build.

        Raises:
            MMError: When it cannot be had.
        """

    def close(self) -> None:
        """Let go of what is held."""


class LocalPreparer:
    """Prepares on this machine.

    Args:
        workspace: The user's world.
    """

    reads_files = True

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}

    def check(self, declared: Declared) -> None:
        """Look whether the model's files are there and as they were; fetch small ones."""
        if declared.manifest.source is not None:
            self._workspace.sources.fetched(declared)

    def prepare(
        self, declared: Declared, device: str, dtype: str, deadline: Deadline = ENDLESS
    ) -> PreparedModel:
        """Build what is missing, and return what a worker is started from here."""
        began = time.time_ns()
        environment = self._environment(declared, deadline)
        worker, overlay = self._worker_spec(declared, environment, device, dtype, deadline)
        producer = produced_by(declared, environment, worker, overlay)
        # The environment and the overlay are held: no one removes or replaces them.
        stamps = files_read(declared, self._workspace, began)
        return PreparedModel(declared.manifest, worker, lambda: producer, stamps=stamps)

    def close(self) -> None:
        """Hold environments and overlays no longer."""
        for held in self._held.values():
            held.release()
        self._held.clear()

    def _environment(self, declared: Declared, deadline: Deadline) -> BuiltEnvironment:
        """Return the model's environment, built if need be, and held for as long as we live."""
        with self._lock:
            environment = self._workspace.environments.ensure(declared, deadline)
            if environment.digest not in self._held:
                with self._wait(declared, "removes an environment", deadline) as wait:
                    self._held[environment.digest] = environment.hold(wait.pause)
            return environment

    def _worker_spec(
        self,
        declared: Declared,
        environment: BuiltEnvironment,
        device: str,
        dtype: str,
        deadline: Deadline,
    ) -> tuple[WorkerSpec, Overlay | None]:
        manifest = declared.manifest
        device, dtype = self._workspace.device_and_dtype(manifest, device, dtype)
        overlay = self._overlay(declared, environment, device, dtype, deadline)
        home = self._workspace.home.worker_home
        make_private(home)
        spec = WorkerSpec(
            model=manifest.name,
            python=environment.python,
            environment=environment.digest,
            variables={
                **worker_variables(
                    self._workspace.variables,
                    manifest.environment.variables,
                    manifest.environment.pass_,
                    str(home),
                ),
                **(overlay.variables if overlay else {}),
            },
            runner=declared.read_runner(),
            device=device,
            dtype=dtype,
            model_dir=overlay.path if overlay else None,
            options=manifest.options,
            manifest=declared.digest,
            lock=environment.lock_digest,
            overlay=overlay.path.name if overlay else "",
            need=memory_need(manifest, device, dtype),
            threads=wanted_threads(self._workspace.variables, manifest.environment.variables),
            held=tuple(self._held[each.digest].fileno() for each in (environment, overlay) if each),
        )
        return spec, overlay

    def _overlay(
        self,
        declared: Declared,
        environment: BuiltEnvironment,
        device: str,
        dtype: str,
        deadline: Deadline,
    ) -> Overlay | None:
        """Return the directory that the worker loads, held for as long as we live.

        None where a package has the weights.
        """
        if declared.manifest.source is None:
            return None
        from orchestrator.core.patching.conditions import Conditions

        conditions = Conditions(device, dtype, versions=environment.versions)
        with self._wait(declared, "patches its files", deadline) as wait:
            overlay = self._workspace.sources.overlay(
                declared, conditions, environment.python, wait.pause
            )
        if self._held.setdefault(overlay.digest, overlay.held) is not overlay.held:
            overlay.held.release()
        return overlay

    def _wait(self, declared: Declared, doing: str, deadline: Deadline) -> Wait:
        what = f"another mm, which {doing}"
        return Wait(declared.name, what, self._workspace.reporter, deadline)


def files_read(declared: Declared, workspace: Workspace, began: int) -> FileStamps:
    """Return the stamps of the files, beside its manifest, that decide how a model is run.

    Args:
        declared: The model.
        workspace: The user's world.
        began: `time.time_ns()` before the first of them was read.
    """
    stamps = FileStamps()
    files = (*declared.runner_places, declared.lock, *workspace.sources.files(declared))
    stamps.add(files, began)
    locks = workspace.environments.targets.files(declared)  # one of the user's own takes seconds
    stamps.add(locks, began, now_and_then=True)
    return stamps


def produced_by(
    declared: Declared,
    environment: BuiltEnvironment,
    worker: WorkerSpec,
    overlay: Overlay | None = None,
) -> dict[str, Any]:
    """Return the part of a receipt that does not depend on the inputs."""
    return {
        "model": declared.manifest.name,
        "manifest": declared.digest,
        "runner": runner_digest(worker.runner),
        "environment": environment.digest,
        "lock": environment.lock_digest,
        "own_lock": environment.mine,
        "source": dict(overlay.marker.files) if overlay else None,
        "patches": dict(overlay.marker.sets) if overlay else None,
        "device": worker.device,
        "dtype": worker.dtype,
        "options": dict(worker.options),
        "versions": {
            "mm": __version__,
            "python": environment.python_version,
            **dict(sorted(environment.versions.items())),
        },
    }


def memory_need(manifest: Manifest, device: str, dtype: str) -> int:
    """Return the bytes of memory that the manifest says the model needs; 0 where it does not."""
    size = manifest.memory.get(device, {}).get(dtype)  # type: ignore[call-overload]
    return parse_size(size) if size else 0
