"""Several workers of a kind, too little memory for all of them, and loads that fail."""

import contextlib
import queue
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial

import pytest
from msgspec.structs import replace

from orchestrator.engines.kept import KeptEngine
from orchestrator.engines.local import LocalEngine
from orchestrator.engines.resources import LOADING, Resources
from orchestrator.engines.start_failures import StartFailures
from orchestrator.errors import Cancelled, JobFailed, MemoryRefused, TimedOut
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.system.waiting import Deadline
from tests.contract.test_engine import SOON, SOURCE, World

TIB = 1 << 40
"""What a model of these tests says it needs; what it really has is nothing beside it."""


class Shared:
    """The memory of a machine on which each live worker takes as much as it says it needs."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.total = 100 * TIB

    def free(self, device, pool=""):
        states = {record: self.runtime.status(record.id).state for record in self.runtime.records()}
        # What those that are loading will take is subtracted elsewhere.
        taken = sum(record.need for record, state in states.items() if state not in LOADING)
        return self.total - taken


class Machine(World):
    """An engine that may have several workers of a kind, on a machine with so much memory."""

    def __post_init__(self):
        self.now = 0.0
        self.limit = 1
        self.failures = StartFailures
        super().__post_init__()
        self.spec = replace(self.spec, need=TIB)
        self.threads = ThreadPoolExecutor(16)
        self.cancellations = []

    def new_engine(self):
        self.memory = Shared(self.runtime)
        resources = Resources(self.runtime, self.memory, self.notes)
        kind = {"local": LocalEngine, "kept": KeptEngine}[self.kind]
        failures = self.failures(self.notes, lambda: self.now)
        return kind(
            self.runtime, self.root / "logs", self.scratch, resources,
            limit=self.limit, failures=failures,
        )  # fmt: skip

    def submit(self, what="wait", *, spec=None, on_log=lambda: None, **keys):
        """Begin a job in a thread; return its future and its cancellation."""
        cancellation = Cancellation()
        self.cancellations.append(cancellation)

        def on_event(event):
            if event.kind == "log":
                on_log()

        keys = {"cancellation": cancellation, "on_event": on_event, **keys}
        return self.threads.submit(self.run, what, spec=spec, keys=keys), cancellation

    def begin(self, what="wait", **keys):
        """Begin a job in a thread, and return once it runs."""
        running = threading.Event()
        future, cancellation = self.submit(what, on_log=running.set, **keys)
        assert running.wait(SOON)
        return future, cancellation

    def close(self):
        for cancellation in self.cancellations:
            cancellation.request()
        self.threads.shutdown()
        super().close()
        for cancellation in self.cancellations:
            cancellation.close()


@pytest.fixture(params=["local", "kept"])
def machine(request, tmp_path):
    made = Machine(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture
def kept(tmp_path):
    made = Machine(tmp_path, "kept")
    yield made
    made.close()


@pytest.fixture
def local(tmp_path):
    made = Machine(tmp_path, "local")
    yield made
    made.close()


def until(condition):
    """Wait until something is the case."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def waiting(machine):
    """Return how many requests wait in each worker."""
    return [machine.runtime.status(record.id).waiting for record in machine.runtime.records()]


def ended(*futures):
    """Return how futures end: their errors, or None."""
    return [future.exception(SOON) for future in futures]


def test_the_work_goes_on_with_the_workers_that_fit_and_this_is_said_once(machine):
    machine.memory.total = 2 * TIB
    machine.engine.load(*machine.job())
    running = queue.SimpleQueue()
    jobs = [machine.submit(on_log=partial(running.put, n), workers=4) for n in range(6)]
    until(lambda: machine.notes.notes)
    # Of a session two jobs run at once. Kept workers have a queue each, of whatever length.
    at_once = 2 if machine.kind == "local" else 1
    for _ in range(6 // at_once):
        now = [running.get(timeout=SOON) for _ in range(at_once)]
        assert running.qsize() <= 2 - at_once
        assert len(list(machine.runtime.records())) == 2
        for future, cancellation in (jobs[number] for number in now):
            cancellation.request()
            assert isinstance(future.exception(SOON), Cancelled)
    assert machine.loads == 2
    assert machine.notes.notes == ["m: 2 of 4 workers: memory"]


def test_workers_of_a_model_spread_over_gpus_and_are_found_on_each(machine):
    spec = replace(machine.spec, pool="GPU-a", gpus=("GPU-a", "GPU-b"))
    jobs = [machine.begin(spec=spec, workers=2) for _ in range(2)]
    assert sorted(record.pool for record in machine.runtime.records()) == ["GPU-a", "GPU-b"]
    for future, cancellation in jobs:
        cancellation.request()
        assert isinstance(future.exception(SOON), Cancelled)
    machine.run("pid", spec=spec)
    machine.run("pid", spec=spec)
    assert machine.loads == 2


def test_a_job_that_may_start_a_worker_takes_one_that_is_idle_by_then(machine):
    first, stop = machine.begin()
    with machine.runtime.starting():  # as another mm does
        second, _ = machine.submit("pid", workers=2)
        until(lambda: ("m", "waiting for another mm, which starts a worker") in machine.notes.steps)
        stop.request()
        assert isinstance(first.exception(SOON), Cancelled)
    assert second.exception(SOON) is None
    assert machine.loads == 1


def test_more_workers_are_tried_again_after_a_while(machine):
    machine.memory.total = TIB
    first, _ = machine.begin(workers=2)
    second, _ = machine.submit("pid", workers=2)
    until(lambda: machine.notes.notes)
    machine.memory.total = 2 * TIB
    machine.now = 1.0
    third, _ = machine.begin(workers=2)
    assert not first.done()
    assert not third.done()
    assert machine.loads == 2
    del second


def test_an_idle_kept_worker_makes_room_for_a_session(local):
    kept = Machine(local.root, "kept")
    try:
        kept.runtime = local.runtime
        kept.engine = kept.new_engine()
        kept.run()
        local.memory.total = TIB
        local.run(spec=replace(local.spec, dtype="float16"))
        (left,) = local.runtime.records()
        assert not left.kept
    finally:
        kept.close()


def test_a_job_waits_for_the_memory_of_a_busy_worker_and_gets_it_before_later_jobs(machine):
    machine.memory.total = TIB
    other = replace(machine.spec, dtype="float16")
    first, stop = machine.begin()
    with pytest.raises(MemoryRefused):
        machine.run(spec=other)
    order = queue.SimpleQueue()
    sooner, _ = machine.submit("wait", spec=other, wait=True, on_log=lambda: order.put("sooner"))
    (record,) = machine.runtime.records()
    until(lambda: machine.engine._resources.claimed(record.id))
    later, _ = machine.submit("wait", wait=True, on_log=lambda: order.put("later"))
    stop.request()
    assert isinstance(first.exception(SOON), Cancelled)
    assert order.get(timeout=SOON) == "sooner"
    machine.cancellations[-2].request()
    assert isinstance(sooner.exception(SOON), Cancelled)
    assert order.get(timeout=SOON) == "later"
    assert not later.done()


def test_a_job_that_waits_for_memory_can_be_cancelled_or_comes_too_late(machine):
    machine.memory.total = TIB
    other = replace(machine.spec, dtype="float16")
    machine.begin()
    with contextlib.closing(Cancellation()) as cancellation:
        cancellation.request()
        with pytest.raises(Cancelled, match="waiting for memory, which m uses"):
            machine.run(spec=other, keys={"wait": True, "cancellation": cancellation})
    with pytest.raises(TimedOut, match="waiting for memory, which m uses"):
        machine.run(spec=other, keys={"wait": True, "deadline": Deadline(0.3)})
    (record,) = machine.runtime.records()
    assert machine.runtime.status(record.id).working
    assert not machine.engine._resources.claimed(record.id)


def test_a_job_that_waits_for_its_worker_can_be_cancelled_or_comes_too_late(local):
    local.begin()
    with contextlib.closing(Cancellation()) as cancellation:
        cancellation.request()
        with pytest.raises(Cancelled, match="waiting for its worker, which is busy"):
            local.run(keys={"cancellation": cancellation})
    with pytest.raises(TimedOut, match="waiting for its worker, which is busy"):
        local.run(keys={"deadline": Deadline(0.3)})
    assert local.loads == 1


SLOW = "import time\ndef load(c):\n c.log('loading')\n time.sleep(600)\ndef run(m, j): 0\n"


def test_a_load_can_be_cancelled_alone_or_comes_too_late(machine):
    slow = replace(machine.spec, runner={"runner.py": SLOW})
    future, cancellation = machine.begin(spec=slow)
    cancellation.request()
    with pytest.raises(Cancelled):
        future.result(SOON)
    with pytest.raises(TimedOut):
        machine.run(spec=slow, keys={"deadline": Deadline(1)})
    assert list(machine.runtime.records()) == []
    assert machine.run()


def broken(machine, more=""):
    source = SOURCE.replace("return os.getpid()", f"raise ValueError('as asked'){more}")
    return replace(machine.spec, runner={"runner.py": source})


def test_a_load_that_failed_is_not_tried_again_by_each_job(machine):
    pauses = [1, 2, 4, 8, 16, 32, 60, 60]
    for count, pause in enumerate(pauses, start=1):
        with pytest.raises(JobFailed, match="as asked;") as first:
            machine.run(spec=broken(machine))
        assert first.value.retry_after == pause
        for _ in range(3):
            said = r"failed while loading: ValueError: as asked \(failed at \d\d:\d\d:\d\d; "
            with pytest.raises(JobFailed, match=f"{said}tried again in {pause} s") as again:
                machine.run(spec=broken(machine))
            assert again.value.detail == first.value.detail
        assert machine.loads == count
        machine.now += pause


def test_an_edit_is_tried_at_once_and_a_load_that_succeeds_counts_anew(machine):
    with pytest.raises(JobFailed):
        machine.run(spec=broken(machine))
    assert machine.run()
    with pytest.raises(JobFailed, match="as asked;"):
        machine.run(spec=broken(machine, "  # edited"))
    flag = machine.root / "fixed"
    flaky = SOURCE.replace("return os.getpid()", f"return open({str(flag)!r}).fileno()")
    flaky = replace(machine.spec, runner={"runner.py": flaky})
    for _ in range(2):
        with pytest.raises(JobFailed, match="fixed';") as failed:
            machine.run(spec=flaky)
        machine.now += failed.value.retry_after
    flag.touch()
    assert machine.run(spec=flaky)
    for record in list(machine.runtime.records()):
        record.foreign().end()
    flag.unlink()
    with pytest.raises(JobFailed, match="fixed';") as failed:
        machine.run(spec=flaky)
    assert failed.value.retry_after == 1


class NotedLate(StartFailures):
    """Failures that are noted a good while after the worker has ended, as on a busy machine."""

    def keep(self, key, error):
        time.sleep(0.3)
        super().keep(key, error)


@pytest.mark.parametrize("failures", [StartFailures, NotedLate])
def test_many_jobs_at_once_load_a_broken_model_once(machine, failures):
    machine.failures = failures
    machine.engine = machine.new_engine()
    jobs = [machine.submit("pid", spec=broken(machine))[0] for _ in range(8)]
    assert {type(error) for error in ended(*jobs)} == {JobFailed}
    assert machine.loads == 1


def test_a_deadline_that_was_too_short_says_nothing_of_the_model(machine):
    slow = replace(machine.spec, options={"slow": True})
    with pytest.raises(TimedOut):
        machine.run(spec=slow, keys={"deadline": Deadline(0.3)})
    assert machine.run(spec=slow)


def test_a_job_that_may_be_run_again_waits_for_the_next_try(machine):
    with pytest.raises(JobFailed):
        machine.run(spec=broken(machine))
    with pytest.raises(TimedOut, match="waiting for the next try to load it"):
        machine.run(spec=broken(machine), keys={"retries": 1, "deadline": Deadline(0.2)})
    machine.now = 1.0
    with pytest.raises(JobFailed, match="as asked;"):
        machine.run(spec=broken(machine), keys={"retries": 1})


def test_a_job_goes_to_an_idle_worker_of_its_kind_and_else_to_the_shortest_queue(kept):
    kept.limit = 2
    kept.engine = kept.new_engine()
    first, _ = kept.begin()
    second, stop = kept.begin()
    assert kept.loads == 2
    kept.engine = kept.new_engine()  # another client, which starts no more
    served = [kept.submit("pid")[0] for _ in range(2)]
    until(lambda: sum(waiting(kept)) == 2)
    assert waiting(kept) == [1, 1]
    stop.request()
    assert isinstance(second.exception(SOON), Cancelled)
    assert len(wait(served, SOON, FIRST_COMPLETED).done) == 1
    assert not first.done()


def test_so_many_workers_are_loaded_as_are_asked_for_and_those_that_are_there_count(kept):
    kept.engine.load(*kept.job())
    kept.engine.load(*kept.job(keys={"workers": 3}))
    kept.engine.load(*kept.job(keys={"workers": 2}))
    assert kept.loads == 3
    assert len(list(kept.runtime.records())) == 3
    kept.run()
    assert kept.loads == 3


def test_of_the_workers_that_are_asked_for_those_are_loaded_that_fit(kept):
    kept.memory.total = 2 * TIB
    kept.engine.load(*kept.job(keys={"workers": 4}))
    assert len(list(kept.runtime.records())) == 2
    assert kept.notes.notes == ["m: 2 of 4 workers: memory"]


def test_a_load_sets_how_long_workers_stay_that_are_there_busy_ones_too(kept):
    kept.engine.load(*kept.job(keys={"keep_alive": 60, "workers": 2}))
    kept.begin()
    for says, stays in ((900, 900), (None, 900), (float("inf"), float("inf"))):
        kept.engine = kept.new_engine()
        kept.engine.load(*kept.job(keys={"keep_alive": says, "workers": 2}))
        keeps = {kept.runtime.status(record.id).keep for record in kept.runtime.records()}
        # The job that runs was sent with a time of its own before.
        assert keeps == {stays}
    assert kept.loads == 2
