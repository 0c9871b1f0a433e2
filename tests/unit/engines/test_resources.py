"""Whether a model fits: what is free, what is stopped for it, and when it is refused."""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from orchestrator.client.launch import VISIBLE, WorkerSpec
from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
from orchestrator.client.supervisors import start_time
from orchestrator.engines.interface import PreparedModel
from orchestrator.engines.resources import Resources
from orchestrator.errors import Cancelled, MemoryRefused, TimedOut
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.job import Job
from orchestrator.system import gpus
from orchestrator.system.waiting import Deadline
from orchestrator.worker import state
from orchestrator.worker.state import WorkerState
from tests.fakes import FakeMemory
from tests.models import Notes, model
from tests.nvidia import Card, nvml

GIB = 1 << 30
SOON = 30.0


def stop():
    raise Cancelled("as asked")


class Reached(threading.Event):
    """Says that a job has no worker to go to, and that this was asked after its memory check."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def __call__(self):
        self.asked += 1
        if self.asked > 1:
            self.set()
        return True


class World:
    """Idle workers that are nothing but records and states, and the room that they take."""

    def __init__(self, tmp_path, left):
        self.runtime = RuntimeDirectory(tmp_path / "run")
        self.runtime.path.mkdir(0o700)
        self.memory = FakeMemory(left)
        self.notes = Notes()
        self.resources = Resources(self.runtime, self.memory, self.notes)
        self.evicted = []
        self.threads = ThreadPoolExecutor()
        self.cancellation = Cancellation()
        self.manifest = model(tmp_path, "wants").manifest

    def worker(
        self,
        name,
        *,
        since=0.0,
        does=WorkerState.IDLE,
        device="cpu",
        pool="",
        need=0,
        waiting=0,
        pid=2**22 + 1,
        kept=False,
        model="",
    ):
        # Its supervisor is this very process, so that it counts as alive.
        record = WorkerRecord(
            id=name, model=model or name, supervisor=os.getpid(), started=start_time(os.getpid()),
            environment="", socket="", log="", device=device, need=need,
            pool=pool, kept=kept,
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
            need=need, device=keys.pop("device", "cpu"), pool=keys.pop("pool", ""),
            gpus=keys.pop("gpus", ()),
        )  # fmt: skip
        model = PreparedModel(self.manifest, spec, dict)
        alone = keys.pop("alone", lambda: True)
        used = keys.pop("used", ())
        return self.resources.start_when_fits(
            Job("wants", **keys), model, begin or self.begin,
            find=find, evict=self.evict, owns=lambda record: record.id != "foreign", alone=alone,
            in_use=lambda record: record.id in used,
        )  # fmt: skip

    def wait(self, need, **keys):
        """Begin a start that waits for memory, in a thread, and return its future."""
        claimed = Reached()
        keys.setdefault("cancellation", self.cancellation)
        waiting = self.threads.submit(self.make, need, wait=True, alone=claimed, **keys)
        assert claimed.wait(SOON)
        return waiting

    def begin(self, spec):
        """Take note that no other start may begin now, and begin this one."""
        with pytest.raises(Cancelled), self.runtime.starting(stop):
            raise AssertionError("two starts at once")
        return spec.pool or "begun"


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, 2 * GIB)
    yield made
    made.cancellation.request()
    made.threads.shutdown()
    made.cancellation.close()


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
    world.worker("gpu", device="cuda", pool="GPU-a")
    with pytest.raises(MemoryRefused):
        world.make(3 * GIB)
    assert world.evicted == []


@pytest.mark.parametrize(("has", "wants"), [("mps", "cpu"), ("cpu", "mps")])
def test_a_gpu_that_shares_the_machines_memory_is_in_one_pool_with_the_processor(world, has, wants):
    world.worker("idle", device=has)
    world.worker("loading", device=has, does=WorkerState.LOADING, need=GIB)
    world.make(2 * GIB, device=wants)
    assert world.evicted == ["idle"]


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


def test_two_loads_at_once_on_one_gpu_count_towards_each_other(world):
    world.worker("loading", does=WorkerState.LOADING, device="cuda", pool="GPU-a", need=GIB)
    with pytest.raises(MemoryRefused, match="1 GiB are free"):
        world.make(2 * GIB, device="cuda", pool="GPU-a")
    world.make(2 * GIB, device="cuda", pool="GPU-b")
    world.make(2 * GIB)


def test_workers_of_another_gpu_are_left_alone(world):
    world.worker("other", device="cuda", pool="GPU-b")
    with pytest.raises(MemoryRefused):
        world.make(3 * GIB, device="cuda", pool="GPU-a")
    world.worker("same", device="cuda", pool="GPU-a")
    world.make(3 * GIB, device="cuda", pool="GPU-a")
    assert world.evicted == ["same"]


class Cards:
    """The memory of GPUs, as the driver's library says."""

    def __init__(self, **free):
        cards = [Card(f"GPU-{name}", total=24 * GIB, free=left) for name, left in free.items()]
        self.library = nvml(*cards)

    def free(self, device, pool=""):
        return gpus.free_memory(pool, self.library)


@pytest.fixture
def place(world):
    """Return a function that places a model of 9 GiB on one of three GPUs with so much free."""

    def place(*free, need=9, **keys):
        names = "abc"[: len(free)]
        library = Cards(**{name: left * GIB for name, left in zip(names, free, strict=True)})
        world.resources = Resources(world.runtime, library, world.notes)
        all_of_them = tuple(f"GPU-{name}" for name in names)
        where = {"device": "cuda", "pool": "GPU-a", "gpus": all_of_them}
        return world.make(need * GIB, **where, **keys).removeprefix("GPU-")

    return place


def test_of_several_gpus_the_freest_is_taken(place):
    assert place(10, 20, 15) == "b"
    assert place(20, 20, 15) == "a"
    assert place(1, 2, 15) == "c"


def test_what_loads_counts_as_taken_on_its_gpu(world, place):
    world.worker("loading", does=WorkerState.LOADING, device="cuda", pool="GPU-b", need=9 * GIB)
    assert place(12, 20) == "a"
    assert place(10, 20) == "b"


def test_two_workers_of_a_model_spread(world, place):
    world.worker("first", device="cuda", pool="GPU-b", model="wants")
    assert place(10, 20) == "a"
    assert place(8, 20) == "b"  # where it fits
    world.worker("second", device="cuda", pool="GPU-a", model="wants")
    assert place(10, 20) == "b"
    world.worker("other", device="cuda", pool="GPU-b", model="other")
    assert place(10, 20) == "b"


def test_where_it_fits_on_no_gpu_idle_workers_of_one_give_way(world, place):
    world.worker("idle", device="cuda", pool="GPU-b", need=8 * GIB, kept=True)
    world.worker("busy", device="cuda", pool="GPU-a", need=8 * GIB, does=WorkerState.BUSY)
    with pytest.raises(MemoryRefused, match="2 GiB are free"):  # the driver gives nothing back
        place(3, 2)
    assert world.evicted == ["idle"]
    with pytest.raises(MemoryRefused, match="3 GiB are free"):
        place(3, 2)
    assert place(3, 2, force=True) == "a"


def test_a_worker_that_is_there_needs_no_gpu(place):
    assert place(1, 1, find=lambda: "GPU-there") == "there"


def test_workers_on_gpus_that_do_as_well_are_found_by_one_digest():
    one = WorkerSpec("m", None, "", {VISIBLE: "GPU-a"}, {}, pool="GPU-a", gpus=("GPU-a", "GPU-b"))
    other = one.on("GPU-b")
    assert (other.pool, other.variables) == ("GPU-b", {VISIBLE: "GPU-b"})
    assert other.digest == one.digest
    assert msgspec.structs.replace(one, gpus=()).digest != one.digest


def test_cores_are_shared_evenly_among_live_workers(world, tmp_path):
    spec = WorkerSpec("m", None, "", {}, None, "", threads=7)
    assert world.resources.threads(PreparedModel(world.manifest, spec, dict)) == 7
    for name in ("a", "b", "c"):
        world.worker(name)
    spec = WorkerSpec("m", None, "", {}, None, "")
    from orchestrator.system.cores import cores

    share = world.resources.threads(PreparedModel(world.manifest, spec, dict))
    assert share == max(1, cores() // 3)


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


BUSY = {"does": WorkerState.BUSY, "pid": os.getpid(), "need": GIB}


def test_a_job_that_may_wait_begins_once_a_busy_worker_is_idle_and_was_stopped(world):
    world.worker("other", **{**BUSY, "since": 1.0})
    world.worker("kept", kept=True, **BUSY)
    waiting = world.wait(3 * GIB)
    assert world.resources.claimed("kept")
    assert not world.resources.claimed("other")  # one suffices
    assert not waiting.done()
    world.worker("kept", kept=True, pid=os.getpid(), need=GIB)
    assert waiting.result() == "begun"
    assert world.evicted == ["kept"]
    assert not world.resources.claimed("kept")


@pytest.mark.parametrize("name", ["foreign", "small", "gone"])
def test_a_job_that_may_wait_is_refused_where_no_busy_worker_could_make_room(world, name):
    if name != "gone":
        world.worker(name, **{**BUSY, "need": 2 * GIB if name == "foreign" else GIB // 2})
    with pytest.raises(MemoryRefused):
        world.make(3 * GIB, wait=True)


def test_a_job_is_refused_once_the_worker_that_it_waits_for_is_no_help(world):
    world.worker("busy", **BUSY)
    waiting = world.wait(3 * GIB)
    world.runtime.forget("busy")  # and other programs have taken what it had
    with pytest.raises(MemoryRefused):
        waiting.result()


def test_a_worker_that_a_job_has_but_does_not_show_yet_is_busy(world):
    world.worker("taken", pid=os.getpid(), need=GIB)
    used = {"taken"}
    waiting = world.wait(3 * GIB, used=used)
    assert world.resources.claimed("taken")
    assert world.evicted == []
    used.clear()
    assert waiting.result() == "begun"
    assert world.evicted == ["taken"]


def test_a_wait_for_memory_says_so_and_ends_with_the_deadline(world):
    world.worker("busy", **BUSY)
    with pytest.raises(TimedOut, match="waiting for memory, which busy uses"):
        world.make(3 * GIB, wait=True, deadline=Deadline(1.1))
    assert ("wants", "waiting for memory, which busy uses") in world.notes.steps
    assert not world.resources.claimed("busy")


def test_each_of_several_waits_for_memory_can_be_cancelled(world):
    world.worker("busy", **BUSY)
    with contextlib.closing(Cancellation()) as first, contextlib.closing(Cancellation()) as last:
        waits = [world.wait(3 * GIB, cancellation=first)]
        waits.append(world.threads.submit(world.make, GIB, wait=True, cancellation=last))
        last.request()
        with pytest.raises(Cancelled, match="memory, after others that wait for it"):
            waits.pop().result()
        first.request()
        with pytest.raises(Cancelled, match="waiting for memory, which busy uses"):
            waits.pop().result()
    assert world.make(GIB, wait=True) == "begun"


def test_those_that_wait_for_memory_begin_in_the_order_in_which_they_came(world):
    world.worker("busy", **BUSY)
    begun = []
    first = world.wait(3 * GIB, begin=lambda _: begun.append("large"))
    asked = threading.Event()

    def alone():
        asked.set()
        return True

    small = {"begin": lambda _: begun.append("small"), "alone": alone}
    second = world.threads.submit(world.make, GIB, wait=True, **small)
    assert asked.wait(SOON)
    world.worker("busy", pid=os.getpid(), need=GIB)
    first.result()
    second.result()
    assert begun == ["large", "small"]


def test_no_other_start_takes_the_memory_that_another_waits_for(world):
    world.worker("busy", **{**BUSY, "need": 2 * GIB})
    waiting = world.wait(3 * GIB)  # 2 GiB are free and as many will be: one more than it needs
    with pytest.raises(MemoryRefused, match="1 GiB are free"):
        world.make(GIB + 1)
    with pytest.raises(MemoryRefused):  # nor one that has another worker to go to
        world.make(GIB + 1, wait=True, alone=lambda: False)
    assert world.make(GIB) == "begun"
    world.memory.left = 3 * GIB
    waiting.result()


def test_models_of_which_nothing_is_known_and_other_devices_wait_for_no_one(world):
    world.worker("busy", **BUSY)
    waiting = world.wait(3 * GIB)
    assert world.make(0, wait=True) == "begun"
    world.memory.left = 100 * GIB
    waiting.result()


def test_a_job_that_has_another_worker_by_now_waits_no_longer(world):
    world.worker("busy", **BUSY)
    answers = iter([True, True, False])
    with pytest.raises(MemoryRefused):
        world.make(3 * GIB, wait=True, alone=lambda: next(answers))
