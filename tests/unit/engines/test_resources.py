"""Whether a model fits: what is free, what is stopped for it, and when it is refused."""

import contextlib
import os

import pytest

from orchestrator.client.launch import WorkerSpec
from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
from orchestrator.client.supervisors import start_time
from orchestrator.engines.interface import PreparedModel
from orchestrator.engines.resources import Resources
from orchestrator.errors import Cancelled, MemoryRefused, TimedOut
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.job import Job
from orchestrator.system.waiting import Deadline
from orchestrator.worker import state
from orchestrator.worker.state import WorkerState
from tests.fakes import FakeMemory
from tests.models import Notes, model

GIB = 1 << 30


def stop():
    raise Cancelled("as asked")


class World:
    """Idle workers that are nothing but records and states, and the room that they take."""

    def __init__(self, tmp_path, left):
        self.runtime = RuntimeDirectory(tmp_path / "run")
        self.runtime.path.mkdir()
        self.memory = FakeMemory(left)
        self.notes = Notes()
        self.resources = Resources(self.runtime, self.memory, self.notes)
        self.evicted = []
        self.manifest = model(tmp_path, "wants").manifest

    def worker(
        self,
        name,
        *,
        since=0.0,
        does=WorkerState.IDLE,
        device="cpu",
        need=0,
        waiting=0,
        pid=2**22 + 1,
    ):
        # Its supervisor is this very process, so that it counts as alive.
        record = WorkerRecord(
            id=name, model=name, supervisor=os.getpid(), started=start_time(os.getpid()),
            environment="", socket="", log="", device=device, need=need,
        )  # fmt: skip
        self.runtime.write(record)
        numbers = [pid, 0, waiting, since, 300, state.FOREVER, 0, does]
        self.runtime.state_file(name).write_bytes(state.encode(numbers))

    def evict(self, record):
        with self.runtime.starting(stop):  # others may start while a worker ends
            self.evicted.append(record.model)
        self.memory.left += GIB
        self.runtime.forget(record.id)
        return True

    def make(self, need, begin=None, find=lambda: None, **keys):
        spec = WorkerSpec(
            model="wants", python=None, environment="", variables={}, runner={},
            need=need, device=keys.pop("device", "cpu"),
        )  # fmt: skip
        model = PreparedModel(self.manifest, spec, dict)
        return self.resources.start_when_fits(
            Job("wants", **keys), model, begin or self.begin, find=find, evict=self.evict
        )

    def begin(self):
        """Take note that no other start may begin now, and begin this one."""
        with pytest.raises(Cancelled), self.runtime.starting(stop):
            raise AssertionError("two starts at once")
        return "begun"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, 2 * GIB)


def test_what_fits_stops_nobody(world):
    world.worker("idle")
    world.make(2 * GIB)
    assert world.evicted == []


def test_the_longest_idle_go_first_and_no_more_than_needed(world):
    world.worker("young", since=30.0)
    world.worker("old", since=10.0)
    world.worker("middle", since=20.0)
    world.make(4 * GIB)
    assert world.evicted == ["old", "middle"]
    assert world.notes.notes == [
        "stopped the idle worker of old to free memory",
        "stopped the idle worker of middle to free memory",
    ]


def test_busy_workers_those_that_are_waited_for_and_other_devices_are_left_alone(world):
    world.worker("busy", does=WorkerState.BUSY)
    world.worker("wanted", waiting=1)
    world.worker("gpu", device="cuda")
    with pytest.raises(MemoryRefused):
        world.make(3 * GIB)
    assert world.evicted == []


def test_what_cannot_fit_is_refused_with_the_figures(world):
    with pytest.raises(MemoryRefused) as caught:
        world.make(3 * GIB)
    assert "needs 3 GiB" in str(caught.value)
    assert "2 GiB are free" in str(caught.value)
    assert "--force" in str(caught.value)


def test_whoever_insists_gets_it(world):
    world.make(3 * GIB, force=True)
    assert world.memory.asked


def test_a_manifest_that_says_nothing_is_believed(world):
    world.make(0)
    assert world.notes.notes == []


def test_where_nobody_knows_nobody_is_refused(world):
    world.memory.left = None
    world.make(100 * GIB, device="cuda")
    assert world.memory.asked == ["cuda"]


def test_a_model_that_is_being_loaded_has_its_memory_already(world):
    world.worker("loading", does=WorkerState.LOADING, need=GIB)
    with pytest.raises(MemoryRefused, match="1 GiB are free"):
        world.make(2 * GIB)


def test_cores_are_shared_evenly_among_live_workers(world, tmp_path):
    spec = WorkerSpec("m", None, "", {}, None, "", threads=7)
    assert world.resources.threads(PreparedModel(world.manifest, spec, dict)) == 7
    for name in ("a", "b", "c"):
        world.worker(name)
    spec = WorkerSpec("m", None, "", {}, None, "")
    from orchestrator.system import machine

    share = world.resources.threads(PreparedModel(world.manifest, spec, dict))
    assert share == max(1, machine.cores() // 3)


def test_nobody_is_stopped_for_what_cannot_fit_anyway(world):
    world.worker("old", since=10.0, pid=os.getpid())
    with pytest.raises(MemoryRefused):
        world.make(1000 * GIB)
    assert world.evicted == []
    world.make(1000 * GIB, force=True)
    assert world.evicted == ["old"]


def test_what_is_there_by_now_needs_no_start_and_no_room(world):
    world.worker("old", since=10.0)
    assert world.make(1000 * GIB, find=lambda: "there") == "there"
    assert world.evicted == []


def test_a_start_waits_for_another_and_says_so_until_its_deadline(world):
    with world.runtime.starting(), pytest.raises(TimedOut) as late:
        world.make(0, deadline=Deadline(1.1))
    assert "did not begin within 1.1 seconds: it was waiting for another mm" in str(late.value)
    assert "allow more with --timeout" in str(late.value)
    said = "waiting for another mm, which starts a worker"
    assert ("wants", said) in world.notes.steps
    assert world.notes.steps[-1] == ("wants", "finished")
    assert world.make(0) == "begun"


def test_a_start_that_waits_for_another_can_be_cancelled(world):
    with contextlib.closing(Cancellation()) as cancellation:
        cancellation.request()
        with world.runtime.starting(), pytest.raises(Cancelled, match="waiting for another mm"):
            world.make(0, cancellation=cancellation)
