"""What goes to the nodes so that they can prepare a worker: the model as content, and choices."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.core.devices import choose_device, choose_dtype
from orchestrator.core.worker_variables import wanted_threads
from orchestrator.engines.interface import PreparedModel
from orchestrator.engines.preparing import files_read, memory_need
from orchestrator.engines.ray.bundles import pack
from orchestrator.engines.ray.cluster import demand_of
from orchestrator.engines.ray.remote_spec import RemoteWorkerSpec
from orchestrator.errors import UsageError
from orchestrator.sources.model_files import record_path
from orchestrator.system.files import read_file
from orchestrator.system.waiting import ENDLESS, Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.catalog import Declared
    from orchestrator.core.manifest import Manifest
    from orchestrator.engines.preparing import Load
    from orchestrator.engines.ray.cluster import Cluster
    from orchestrator.engines.ray.driver import RayEngine
    from orchestrator.jobs.cancellation import Cancellation
    from orchestrator.workspace import Workspace


class ClusterPreparer:
    """Prepares for the nodes of a cluster; nothing is built on this machine.

    Args:
        workspace: The user's world, here.
        cluster: Says what its nodes have.
        engine: Asks a node for what only a node knows.
        model_dirs: Directories on the nodes that hold the files of models, by model.
    """

    reads_files = False

    def __init__(
        self,
        workspace: Workspace,
        cluster: Cluster,
        engine: RayEngine,
        model_dirs: Mapping[str, str | Path],
    ) -> None:
        self._workspace = workspace
        self._cluster = cluster
        self._engine = engine
        self._model_dirs = {model: str(path) for model, path in model_dirs.items()}

    def check(self, declared: Declared, device: str, dtype: str) -> None:
        """Check the device and the data type; each node looks for the files, or fetches them."""
        self._chosen(declared.manifest, device, dtype)

    def prepare(
        self,
        declared: Declared,
        device: str,
        dtype: str,
        deadline: Deadline = ENDLESS,
        cancellation: Cancellation | None = None,
        load: Load | None = None,
    ) -> PreparedModel:
        """Return what a node needs for `declared`, device and data type chosen for all nodes alike.

        Raises:
            UsageError: When the manifest does not list the device or data type.
            MemoryRefused: When no node is large enough, and none will be added.
            ManifestError, EnvironmentFailure: When a file of the model is missing.
        """
        del deadline, cancellation, load  # nothing is built on this machine
        began = time.time_ns()
        manifest = declared.manifest
        chosen, dtype = self._chosen(manifest, device, dtype)
        source = self._workspace.sources.at(declared, dtype)
        variables, declared_ones = self._workspace.variables, manifest.environment.variables
        worker = RemoteWorkerSpec(
            bundle=pack(declared),
            device=chosen,
            dtype=dtype,
            need=memory_need(manifest, chosen, dtype),
            threads=wanted_threads(variables, declared_ones) or 1,
            record=self._record(source),
            model_dir=self._model_dirs.get(manifest.name, ""),
            precision=source.precision,
        )
        self._cluster.check(manifest.name, demand_of(worker))
        model = PreparedModel(
            manifest,
            worker,
            lambda: self._engine.produced_by(model),
            stamps=files_read(declared, self._workspace, began),
        )
        return model

    def _chosen(self, manifest: Manifest, device: str, dtype: str) -> tuple[str, str]:
        if ":" in device:
            raise UsageError(
                f"{device}: Ray says which GPU a worker gets",
                fix="write --device cuda",
                fix_in_code='pass device="cuda"',
            )
        chosen, _ = choose_device(manifest, device, self._cluster.machine())
        return chosen.kind, choose_dtype(manifest, chosen, dtype)

    def close(self) -> None:
        """Do nothing: nothing is held here."""

    def _record(self, declared: Declared) -> bytes:
        """Return what is known here of the model's files, as it is kept."""
        if declared.manifest.source is None:
            return b""
        path = record_path(self._workspace.home, declared.name, declared.precision)
        return read_file(path) if path.is_file() else b""
