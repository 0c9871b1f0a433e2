"""The engine for more than one machine: workers on the nodes of a Ray cluster.

Ray places the actors, carries jobs and results, and reports when a node is gone. Each actor owns
one worker process of the same kind as every other engine's. Ray is an extra and imported by this
package alone, when the engine is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.client.rosters import Roster
from orchestrator.engines.ray.cluster import Cluster
from orchestrator.engines.ray.cluster_preparer import ClusterPreparer
from orchestrator.engines.ray.driver import RayEngine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.system.scratch import Scratch
    from orchestrator.workspace import Workspace

__all__ = ["Cluster", "ClusterPreparer", "RayEngine", "ray_engine"]


def ray_engine(
    workspace: Workspace,
    scratch: Scratch,
    workers: int,
    address: str | None,
    model_dirs: Mapping[str, str | Path],
) -> tuple[RayEngine, ClusterPreparer]:
    """Return the engine on the cluster at `address`, and what prepares jobs for it.

    Args:
        workspace: The user's world.
        scratch: Where files that jobs return are written.
        workers: How many workers of one model may live at once.
        address: As `Session` takes it.
        model_dirs: Directories on the nodes that hold the files of models, by model.

    Raises:
        UsageError: When Ray is not installed, or no cluster answers.
    """
    cluster = Cluster.connect(address, workspace.reporter)
    # On a cluster of our own, the nodes are this machine and use what the user uses here.
    variables = (
        {"MM_HOME": str(workspace.home.root), "MM_RUNTIME_DIR": str(workspace.runtime.path)}
        if cluster.own
        else {}
    )
    engine = RayEngine(
        cluster, scratch, workspace.reporter, workers, variables, Roster(workspace.runtime)
    )
    return engine, ClusterPreparer(workspace, cluster, engine, model_dirs)
