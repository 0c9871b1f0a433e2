"""What the jobs of a model need on this machine: its environment, its overlay, its worker."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.catalog import runner_digest
from orchestrator.client.launch import WorkerSpec
from orchestrator.core.units import parse_size
from orchestrator.core.worker_variables import wanted_threads, worker_variables
from orchestrator.engines.interface import PreparedModel
from orchestrator.jobs.cancellation import Cancellation, asked_to_stop
from orchestrator.system.file_stamps import FileStamps
from orchestrator.system.home import make_private
from orchestrator.system.waiting import ENDLESS, Deadline, Wait
from orchestrator.version import __version__

if TYPE_CHECKING:
    from orchestrator.catalog import Declared
    from orchestrator.core.devices import Device
    from orchestrator.core.manifest import Manifest
    from orchestrator.environments import BuiltEnvironment
    from orchestrator.environments.build import Unpublished
    from orchestrator.sources.overlays import Overlay
    from orchestrator.system.flock import Held
    from orchestrator.workspace import Workspace


Load = Callable[[PreparedModel, Cancellation], None]
"""Has a worker of a model loaded, unless one is there; the cancellation ends that."""


class Preparer(Protocol):
    """Works out what jobs need; called from several threads.

    Attributes:
        reads_files: Whether files of inputs are read on this machine.
    """

    reads_files: bool

    def check(self, declared: Declared, device: str, dtype: str) -> None:
        """Check, before anything is built, the device, the data type and the model's files.

        Raises:
            UsageError: When the model does not run on the device, or it is not there.
            SourceError: When files are missing.
        """

    def prepare(
        self,
        declared: Declared,
        device: str,
        dtype: str,
        deadline: Deadline = ENDLESS,
        cancellation: Cancellation | None = None,
        load: Load | None = None,
    ) -> PreparedModel:
        """Return what jobs of `declared` need, what is missing built first.

        Args:
            declared: The model.
            device: "auto", or one that the manifest lists.
            dtype: "auto", or one that the manifest lists for the device.
            deadline: What ends the wait for what others build.
            cancellation: Ends every wait, and the build that no other thread waits for.
            load: Has a worker of the model loaded; where its environment has to be probed, that
                stands for the probes.

        Raises:
            Cancelled: When that was requested.
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

    def check(self, declared: Declared, device: str, dtype: str) -> None:
        """Check the device and the data type, then whether the files are there and as they were.

        Those of an embedded model are fetched when it is prepared.
        """
        _, dtype = self._workspace.device_and_dtype(declared, device, dtype)
        if not declared.manifest.is_embedded:
            sources = self._workspace.sources
            sources.ready(sources.at(declared, dtype))

    def prepare(
        self,
        declared: Declared,
        device: str,
        dtype: str,
        deadline: Deadline = ENDLESS,
        cancellation: Cancellation | None = None,
        load: Load | None = None,
    ) -> PreparedModel:
        """Fetch and build what is missing, and return what a worker is started from here.

        Raises:
            MMError: As the first load ended, once the probes of its environment have passed.
        """
        began = time.time_ns()
        stopped = asked_to_stop(cancellation)
        failed: list[BaseException] = []

        def wait(doing: str) -> Wait:
            what = f"another mm, which {doing}"
            return Wait(declared.name, what, self._workspace.reporter, deadline, stopped)

        chosen, dtype = self._workspace.device_and_dtype(declared, device, dtype)
        declared = self._workspace.sources.at(declared, dtype)
        if declared.manifest.source is not None:
            self._workspace.sources.fetched(declared, deadline, stopped)
        with self._lock:
            environments = self._workspace.environments  # one for all threads

        def first_load(unpublished: Unpublished) -> None:
            assert load is not None
            try:
                environment = environments.environment(unpublished.target, unpublished.stored)
                self._first_load(declared, environment, chosen, dtype, unpublished, load)
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                failed.append(error)

        environment = environments.ensure(
            declared, deadline, stopped, first_load if load is not None else None
        )
        if failed:
            raise failed[0]
        if environment.digest not in self._held:
            with wait("removes an environment") as removal:
                self._hold(environment.digest, environment.hold(removal.pause))
        held = self._held[environment.digest].fileno()
        worker, overlay = self._worker_spec(declared, environment, chosen, dtype, wait, (held,))
        producer = produced_by(declared, environment, worker, overlay)
        # The environment and the overlay are held: no one removes or replaces them.
        stamps = files_read(declared, self._workspace, began)
        return PreparedModel(declared.manifest, worker, lambda: producer, stamps=stamps)

    def _first_load(
        self,
        declared: Declared,
        environment: BuiltEnvironment,
        device: Device,
        dtype: str,
        unpublished: Unpublished,
        load: Load,
    ) -> None:
        """Have a worker loaded in an environment that is not whole yet, until its build stops."""
        children = unpublished.children

        def wait(doing: str) -> Wait:
            what, reporter = f"another mm, which {doing}", self._workspace.reporter
            return Wait(declared.name, what, reporter, stopped=lambda: children.stopped)

        with (
            wait("removes an environment") as removal,
            environment.store.use(environment.digest, removal.pause) as used,
            contextlib.closing(Cancellation()) as cancellation,
            children.ended_by(cancellation.request),
        ):
            held = (used.fileno(), unpublished.lock.fileno())
            worker, _ = self._worker_spec(declared, environment, device, dtype, wait, held)
            model = PreparedModel(declared.manifest, worker, dict, unpublished=unpublished)
            load(model, cancellation)

    def close(self) -> None:
        """Hold environments and overlays no longer."""
        while self._held:
            self._held.popitem()[1].release()

    def _hold(self, digest: str, held: Held) -> None:
        """Keep what is in use held for as long as we live, once for all threads."""
        if self._held.setdefault(digest, held) is not held:
            held.release()

    def _worker_spec(
        self,
        declared: Declared,
        environment: BuiltEnvironment,
        device: Device,
        dtype: str,
        wait: Callable[[str], Wait],
        held: tuple[int, ...],
    ) -> tuple[WorkerSpec, Overlay | None]:
        manifest = declared.manifest
        overlay = self._overlay(declared, environment, device.kind, dtype, wait)
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
                **device_variables(device, self._workspace),
                **(overlay.variables if overlay else {}),
            },
            runner=declared.read_runner(),
            device=device.kind,
            dtype=dtype,
            pool=device.pool,
            gpus=device.equals,
            model_dir=overlay.path if overlay else None,
            options=manifest.options,
            manifest=declared.digest,
            lock=environment.lock_digest,
            overlay=overlay.digest if overlay else "",
            need=memory_need(manifest, device.kind, dtype),
            threads=wanted_threads(self._workspace.variables, manifest.environment.variables),
            held=(*held, self._held[overlay.digest].fileno()) if overlay else held,
        )
        return spec, overlay

    def _overlay(
        self,
        declared: Declared,
        environment: BuiltEnvironment,
        device: str,
        dtype: str,
        wait: Callable[[str], Wait],
    ) -> Overlay | None:
        """Return the directory that the worker loads, held for as long as we live.

        None where a package has the weights.
        """
        if declared.manifest.source is None:
            return None
        from orchestrator.core.patching.conditions import Conditions

        conditions = Conditions(device, dtype, versions=environment.versions)
        with wait("patches its files") as patching:
            overlay = self._workspace.sources.overlay(
                declared, conditions, environment.python, patching.pause
            )
        self._hold(overlay.digest, overlay.held)
        return overlay


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


def device_variables(device: Device, workspace: Workspace) -> dict[str, str]:
    """Return the variables that a worker on a device needs.

    It sees its own GPU alone, and so finds it as the first, whatever the model's code asks for.
    """
    if device.kind == "mps":
        # What Apple's GPU lacks is computed on the CPU.
        return {"PYTORCH_ENABLE_MPS_FALLBACK": "1", **_mps_limits(workspace.variables)}
    if device.kind != "cuda":
        return {}
    variables = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if device.gpu:
        variables["CUDA_VISIBLE_DEVICES"] = device.gpu
    if directory := workspace.machine.libraries:
        given = workspace.variables.get("LD_LIBRARY_PATH")
        variables["LD_LIBRARY_PATH"] = f"{given}:{directory}" if given else directory
    return variables


def _mps_limits(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the limits of torch's allocator on Apple's GPU, where the user has set the upper one.

    It is never 0: without one the whole machine stands still. Torch refuses a lower limit above the
    upper one, also its own, 1.4 (aten/src/ATen/mps/MPSAllocator.mm, init_allocator).
    """
    high, low = (f"PYTORCH_MPS_{which}_WATERMARK_RATIO" for which in ("HIGH", "LOW"))
    if high not in variables:
        return {}
    try:
        ratio = float(variables[high])
    except ValueError:
        ratio = 0.0  # as torch reads it
    most = variables[high] if ratio > 0 else "1.0"
    return {high: most} if low in variables or ratio >= 1.4 else {high: most, low: most}


def memory_need(manifest: Manifest, device: str, dtype: str) -> int:
    """Return the bytes of memory that the manifest says the model needs; 0 where it does not."""
    size = manifest.memory.get(device, {}).get(dtype)  # type: ignore[call-overload]
    return parse_size(size) if size else 0
