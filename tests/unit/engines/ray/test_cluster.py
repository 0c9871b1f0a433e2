"""What is asked of a cluster, and what is read from its reports; Ray itself is not started."""

import json

import pytest

from orchestrator.client.launch import WorkerSpec
from orchestrator.engines.ray.cluster import Cluster, ClusterNode, Demand, demand_of, is_scaled
from orchestrator.errors import MemoryRefused

GIB = 1 << 30


def worker(**changes):
    return WorkerSpec("m", "python", "e", {}, {}, **changes)


class Fixed(Cluster):
    """A cluster whose nodes are what a test says."""

    def __init__(self, *resources, scales=False):
        super().__init__(own=False, connected=False)
        self._resources = resources
        self._scales = scales

    def nodes(self):
        return [ClusterNode(str(at), f"n{at}", have) for at, have in enumerate(self._resources)]

    def scales(self):
        return self._scales


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        (Demand(1, 0, 0), "1 CPU"),
        (Demand(2, 0, 3 * GIB), "2 CPUs and 3 GiB of memory"),
        (Demand(2, 1, 3 * GIB), "2 CPUs, 1 GPU and 3 GiB of memory"),
    ],
)
def test_a_demand_in_words(demand, words):
    assert str(demand) == words


def test_threads_are_cores_and_memory_of_a_gpu_is_none_of_the_node():
    assert demand_of(worker(threads=3, need=5)) == Demand(3, 0, 5)
    assert demand_of(worker(device="cuda", need=5)) == Demand(1, 1, 0)


def test_one_node_must_hold_it_all():
    cluster = Fixed({"CPU": 1, "memory": 8 * GIB}, {"CPU": 8, "memory": GIB})
    cluster.check("m", Demand(8, 0, GIB))
    with pytest.raises(MemoryRefused) as caught:
        cluster.check("m", Demand(4, 0, 4 * GIB))
    assert str(caught.value).startswith(
        "m needs 4 CPUs and 4 GiB of memory on one node of the cluster, and the largest of its 2 "
        "has "
    )


def test_what_is_missing_may_come_where_nodes_are_added():
    Fixed({"CPU": 1}, scales=True).check("m", Demand(64, 8, 0))


def test_a_cluster_has_what_one_of_its_nodes_has():
    assert Fixed({"CPU": 1}).machine().usable == ("cpu",)
    assert Fixed({"CPU": 1}, {"CPU": 1, "GPU": 1}).machine().usable == ("cpu", "cuda")
    assert Fixed({"CPU": 1}, scales=True).machine().usable == ("cpu", "cuda")
    assert Fixed({"memory": GIB}, {"memory": 2 * GIB}).memory() == 2 * GIB


def report(**parts):
    return json.dumps({"autoscaler_report": parts}).encode()


@pytest.mark.parametrize(
    ("said", "scales"),
    [
        (None, False),
        (b"no JSON", False),
        (b"[]", False),
        (report(active_nodes={"node_8f9d68": 1}, pending_launches={}), False),
        (report(active_nodes={"ray.head.default": 1}, pending_launches={}), True),
        (report(active_nodes={}, node_type_mapping={"8f9d68": "node_8f9d68"}), False),
        (report(active_nodes={}, node_type_mapping={"8f9d68": "ray.head.default"}), True),
        (report(active_nodes=None, pending_launches={"gpu": 2}), True),
    ],
)
def test_an_autoscaler_is_known_by_its_types_of_nodes(said, scales):
    assert is_scaled(said) is scales
