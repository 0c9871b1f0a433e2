"""The Ray cluster: finding or starting one, what its nodes have, and actors on it.

With `driver.py`, the only place that imports Ray, and only when the engine is asked for.
"""

from __future__ import annotations

import json
import logging
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator.core.devices import Device, Machine
from orchestrator.core.units import counted, format_size
from orchestrator.errors import MemoryRefused, UsageError
from orchestrator.system.processor import native_dtypes
from orchestrator.system.userenv import during

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.system.reporter import Reporter

LOCAL, AUTO = "local", "auto"
"""Addresses that are words: a cluster of our own, the one that this machine is in."""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""For a cluster that is started here: Ray reports no usage, and does not warn that it will leave
the GPUs of an actor that has none to that actor (`node.py` hides them)."""

MUTE = {"RAY_DEDUP_LOGS_SKIP_REGEX": "."}
"""Read as Ray is imported: what it says of its own processes is not printed among our results."""


CONNECT_SECONDS = 10.0
"""Seconds that the head of a cluster has to take a connection."""


@dataclass(frozen=True)
class Demand:
    """What a worker asks Ray for."""

    cpus: int
    gpus: int
    memory: int
    """Bytes."""

    @property
    def resources(self) -> dict[str, float]:
        """The same as Ray names it."""
        return {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}

    def __str__(self) -> str:
        parts = [counted(self.cpus, "CPU")]
        parts += [counted(self.gpus, "GPU")] if self.gpus else []
        parts += [f"{format_size(self.memory, binary=True)} of memory"] if self.memory else []
        return " and ".join((", ".join(parts[:-1]), parts[-1])) if parts[1:] else parts[0]


@dataclass(frozen=True)
class ClusterNode:
    """A live node: its id in Ray, its host name, its resources in all."""

    id: str
    name: str
    resources: Mapping[str, float]

    def has(self, demand: Demand) -> bool:
        """Return whether it could hold a worker, were nothing else on it."""
        wanted = demand.resources.items()
        return all(self.resources.get(name, 0) >= amount for name, amount in wanted)

    def __str__(self) -> str:
        have = self.resources
        return str(
            Demand(int(have.get("CPU", 0)), int(have.get("GPU", 0)), int(have.get("memory", 0)))
        )


def demand_of(worker: Any) -> Demand:
    """Return what a worker asks for: its threads as CPUs, its memory, a GPU where it runs on one.

    Memory of a GPU is not known to Ray; a worker on one has it for itself.
    """
    on_gpu = worker.device == "cuda"
    return Demand(worker.threads or 1, int(on_gpu), 0 if on_gpu else worker.need)


class Cluster:
    """A cluster that this process is connected to.

    Args:
        own: Whether it was started here and ends with us.
        connected: Whether this process connected, and so disconnects.
    """

    def __init__(self, *, own: bool, connected: bool) -> None:
        self.own = own
        self._connected = connected

    @classmethod
    def connect(cls, address: str | None, reporter: Reporter) -> Cluster:
        """Connect to the cluster at `address`; without one, to that of this machine or a new one.

        Raises:
            UsageError: When Ray is not installed, or no cluster answers there.
        """
        try:
            with during(MUTE):
                import ray
        except ImportError as error:
            raise UsageError(
                "the engine ray needs the package ray",
                fix="run: pip install 'mm-orchestrator[ray]'",
                detail=str(error),
            ) from error
        if ray.is_initialized():
            return cls(own=False, connected=False)
        if address not in (None, AUTO, LOCAL):
            _check_address(str(address))
        own = False
        with during(QUIET):
            try:
                if address != LOCAL:
                    _init(address or AUTO)
            except (ConnectionError, ValueError) as error:
                if "AuthenticationError" in f"{error} {error.__cause__}":
                    raise UsageError(
                        f"the Ray cluster at {address or AUTO} wants its token",
                        fix="set RAY_AUTH_MODE=token; ray get-auth-token prints it on the head",
                        detail=str(error.__cause__),
                    ) from error
                if address is not None:
                    raise UsageError(
                        f"no Ray cluster answers at {address}",
                        fix="run there: ray start --head",
                        detail=str(error),
                    ) from error
                address = LOCAL
            except RuntimeError as error:  # another version of Python or Ray, in Ray's words
                raise UsageError(
                    "this machine and the Ray cluster do not fit together",
                    fix="install the same Python and Ray on both",
                    detail=str(error),
                ) from error
            if address == LOCAL:
                _init(LOCAL, include_dashboard=False)
                own = True
        found = cls(own=own, connected=True)
        nodes = found.nodes()
        what = "started Ray on this machine" if own else "using the Ray cluster"
        total = "; ".join(f"{node.name}: {node}" for node in nodes[:4])
        more = f" and {len(nodes) - 4} more nodes" if len(nodes) > 4 else ""
        reporter.note(f"{what} ({total}{more})")
        return found

    def nodes(self) -> list[ClusterNode]:
        """Return the live nodes."""
        import ray

        alive = [node for node in ray.nodes() if node["Alive"]]
        hosts = Counter(node["NodeManagerHostname"] for node in alive)
        return [
            ClusterNode(
                node["NodeID"],
                _name(node, unique=hosts[node["NodeManagerHostname"]] == 1),
                node["Resources"],
            )
            for node in alive
        ]

    def node_name(self, node: str) -> str:
        """Return the host name of the node with that id."""
        return next((each.name for each in self.nodes() if each.id == node), node[:8])

    def machine(self) -> Machine:
        """Return the kinds of device that some node has; the nodes are taken to be like this one.

        Ray does not say how large a GPU is.
        """
        devices = [Device("cpu", "the largest node", self.memory(), native_dtypes())]
        if any(node.resources.get("GPU", 0) >= 1 for node in self.nodes()) or self.scales():
            devices.append(Device("cuda"))
        return Machine(devices, place="the cluster")

    def memory(self) -> int:
        """Return the bytes of memory of the largest node."""
        return max((int(node.resources.get("memory", 0)) for node in self.nodes()), default=0)

    def scales(self) -> bool:
        """Return whether an autoscaler may add nodes."""
        from ray.experimental.internal_kv import _internal_kv_get

        return is_scaled(_internal_kv_get("__autoscaling_status"))

    def check(self, model: str, demand: Demand) -> None:
        """Check that a worker could ever be placed.

        Raises:
            MemoryRefused: When no node is large enough, and none will be added.
        """
        nodes = self.nodes()
        if any(node.has(demand) for node in nodes) or self.scales():
            return
        largest = max(nodes, key=lambda node: sorted(_shares(node, demand)), default=None)
        has = f"the largest of its {len(nodes)} has {largest}" if largest else "it has none"
        raise MemoryRefused(
            f"{model} needs {demand} on one node of the cluster, and {has}",
            fix="add a larger node, or choose another --dtype or --device",
            fix_in_code="add a larger node, or pass another dtype or device",
        )

    def free(self, demand: Demand) -> bool:
        """Return whether the cluster has as much left as a worker needs, on whatever nodes."""
        import ray

        left = ray.available_resources()
        return all(left.get(name, 0) >= amount for name, amount in demand.resources.items())

    def start(self, demand: Demand) -> Any:
        """Ask for an actor and return it at once; Ray places it when there is room."""
        return self._actor.options(
            num_cpus=demand.cpus,
            num_gpus=demand.gpus,
            memory=demand.memory or None,
            max_restarts=0,
        ).remote()

    @cached_property
    def _actor(self) -> Any:
        import ray

        from orchestrator.engines.ray.node import NodeWorker

        return ray.remote(concurrency_groups={"control": 1})(NodeWorker)

    def close(self) -> None:
        """Leave the cluster, and end it where it is ours."""
        import ray

        if self._connected:
            ray.shutdown()


def is_scaled(report: bytes | None) -> bool:
    """Return whether what Ray's monitor reports is of an autoscaler that can add nodes.

    Without one, the monitor names each node's type for the node's own id.
    """
    try:
        found = json.loads(report or b"{}")
        known = found["autoscaler_report"]
        types = [
            *(known.get("active_nodes") or {}),
            *(known.get("pending_launches") or {}),
            *(known.get("node_type_mapping") or {}).values(),
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return any(not name.startswith("node_") for name in types)


def _check_address(address: str) -> None:
    """Check that something listens at `HOST:PORT`; Ray itself would try for minutes.

    Raises:
        UsageError: When nothing does, or the address is of another kind.
    """
    if address.startswith("ray://"):
        raise UsageError(
            f"{address} is an address of the Ray client, which passes no streams on",
            fix="run mm on a node of the cluster, with --address auto",
            fix_in_code='run the program on a node of the cluster, with address="auto"',
        )
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address} ({error})", fix="run there: ray start --head"
        ) from error


def _init(address: str, **keys: Any) -> None:
    import ray

    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **keys)


def _name(node: Mapping[str, Any], *, unique: bool) -> str:
    host = str(node["NodeManagerHostname"])
    return host if unique else f"{host}/{node['NodeID'][:6]}"


def _shares(node: ClusterNode, demand: Demand) -> Iterable[float]:
    """Return how much of each want a node could fill, 1 for all of it."""
    for name, amount in demand.resources.items():
        yield min(1.0, node.resources.get(name, 0) / amount) if amount else 1.0
