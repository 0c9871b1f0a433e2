"""A worker that cannot answer: it is known by its record and state, and stands in no one's way."""

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from orchestrator.client.launch import connect, greet, spawn
from orchestrator.client.worker import NotBegun, Worker
from orchestrator.engines.kept import KeptEngine
from orchestrator.engines.messages import load_request, run_in_worker
from orchestrator.engines.resources import Resources
from orchestrator.errors import Cancelled, TimedOut
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.system.waiting import Deadline
from tests.contract.test_engine import SOON, World

HOLDS = """
import ctypes, os, time
def load(context):
    with open(os.environ["LOADS"], "a") as stream:
        stream.write("x")
    return os.getpid()

def run(model, job, *, what):
    job.log(what)
    if what == "hold":  # the interpreter's lock, in C code
        ctypes.PyDLL(None).sleep(3)
    if what == "hold on":
        ctypes.PyDLL(None).sleep(600)
    while what == "wait" and not job.cancelled:
        time.sleep(0.01)
    return {"text": str(model)}
"""


class Crowd(World):
    """Clients of kept workers, each with an engine of its own, as `mm run` has it."""

    def __init__(self, root):
        super().__init__(root, "kept")
        self.spec = replace(self.spec, runner={"runner.py": HOLDS})
        self.threads = ThreadPoolExecutor()

    def client(self, patience=SOON):
        """Return another client's engine; `patience` is how long it believes in a silent worker."""
        resources = Resources(self.runtime, self.memory, self.notes)
        return KeptEngine(self.runtime, self.root / "logs", self.scratch, resources, patience)

    def begin(self, what, **keys):
        """Begin a job in a thread, and return its future once the job runs."""
        begun = threading.Event()

        def on_event(event):
            if event.kind == "log":
                begun.set()

        job = self.job(what, keys={"on_event": on_event, **keys})
        future = self.threads.submit(self.client().run, *job)
        assert begun.wait(SOON)
        return future

    @property
    def record(self):
        (record,) = self.runtime.records()
        return record

    def close(self):
        for record in list(self.runtime.records()):
            record.foreign().end()
        self.threads.shutdown()
        super().close()


@pytest.fixture
def crowd(tmp_path):
    made = Crowd(tmp_path)
    yield made
    made.close()


def test_a_busy_worker_is_waited_for_however_long_it_cannot_answer(crowd):
    busy = crowd.begin("hold")
    served = crowd.client(patience=0.1).run(*crowd.job())
    assert served.outputs == busy.result().outputs
    assert crowd.loads == 1
    assert ("m", "waiting for its worker, which is busy") in crowd.notes.steps


def test_a_deadline_ends_that_wait_and_nothing_else(crowd):
    crowd.begin("hold on")
    with pytest.raises(TimedOut, match="waiting for its worker, which is busy"):
        crowd.client().run(*crowd.job(keys={"deadline": Deadline(0.3)}))
    assert crowd.runtime.status(crowd.record.id).working
    assert crowd.loads == 1


def test_a_request_to_stop_ends_that_wait_too(crowd):
    crowd.begin("hold on")
    with contextlib.closing(Cancellation()) as cancellation:
        cancellation.request()
        client = crowd.client()
        with pytest.raises(Cancelled, match="waiting for its worker, which is busy"):
            client.run(*crowd.job(keys={"cancellation": cancellation}))
    assert not client._jobs
    assert crowd.runtime.status(crowd.record.id).working


def test_a_client_that_waits_for_it_keeps_no_one_from_starting_another(crowd):
    crowd.begin("hold on")
    waiting = crowd.threads.submit(crowd.client().run, *crowd.job())
    other = replace(crowd.spec, dtype="float16")
    started = crowd.threads.submit(crowd.client().run, *crowd.job(spec=other))
    assert started.result(SOON)
    assert not waiting.done()


def test_an_idle_worker_that_does_not_answer_is_passed_over_and_left_alone(crowd):
    first = int(crowd.client().run(*crowd.job()).outputs["text"])
    os.kill(first, signal.SIGSTOP)
    second = crowd.client(patience=0.1).run(*crowd.job()).outputs["text"]
    assert int(second) != first
    assert any("does not answer" in note for note in crowd.notes.notes)
    os.kill(first, signal.SIGCONT)
    assert len(list(crowd.runtime.records())) == 2


def started_by_another(crowd):
    """Start a worker as another client does that goes no further."""
    job, model = crowd.job()
    worker = spawn(model.spec, crowd.runtime, crowd.root / "logs", kept=True)
    greet(worker)
    return worker, load_request(job, model, 1, 600)


def test_a_worker_that_another_starts_is_waited_for(crowd):
    worker, load = started_by_another(crowd)
    second = crowd.threads.submit(crowd.client().run, *crowd.job())
    worker.load(load)
    assert second.result(SOON).outputs["text"] == str(worker.pid)
    worker.keep()
    worker.leave()


def test_one_that_its_starter_has_forgotten_is_not_waited_for_for_ever(crowd):
    worker, _ = started_by_another(crowd)
    second = crowd.client(patience=0.5).run(*crowd.job())
    assert second.outputs["text"] != str(worker.pid)
    assert crowd.loads == 1
    worker.stop()


def test_a_deadline_in_the_queue_ends_no_job_but_its_own(crowd):
    first = crowd.begin("wait", timeout=2)
    with pytest.raises(TimedOut, match="waiting for its turn"):
        crowd.client().run(*crowd.job(keys={"deadline": Deadline(0.3)}))
    assert crowd.runtime.status(crowd.record.id).working
    with pytest.raises(TimedOut, match="took longer than 2 seconds to run"):
        first.result(SOON)
    assert crowd.client().run(*crowd.job())
    assert crowd.loads == 1


def test_a_request_that_a_busy_worker_has_not_read_waits_for_its_turn(crowd):
    """Its client receives nothing: it reads in the state that the worker is at another's."""
    events = []
    worker, _ = crowd.client()._obtain(*crowd.job(), {})
    busy = crowd.begin("hold")
    job = crowd.job(keys={"timeout": 1, "on_event": events.append})
    done = run_in_worker(worker, *job, crowd.scratch, 1, 600)
    worker.leave()
    assert events[0].kind == "waiting"
    assert done.outputs == busy.result().outputs


def test_one_that_leaves_the_queue_ends_no_job_that_its_process_has_there_too(crowd):
    first, second = Cancellation(), Cancellation()
    running = crowd.begin("wait", cancellation=first)
    waiting = threading.Semaphore(0)

    def queue(what, cancellation, begun):
        def on_event(event):
            if event.kind == "waiting":
                waiting.release()
            elif event.kind == "log":
                begun.set()

        job = crowd.job(what, keys={"cancellation": cancellation, "on_event": on_event})
        future = crowd.threads.submit(crowd.client().run, *job)
        assert waiting.acquire(timeout=SOON)
        return future

    begun, third = threading.Event(), Cancellation()
    next_one = queue("wait", second, begun)
    last = queue("wait", third, threading.Event())
    first.request()
    assert isinstance(running.exception(SOON), Cancelled)
    assert begun.wait(SOON)  # it began after the last one was sent
    third.request()
    assert isinstance(last.exception(SOON), Cancelled)
    assert crowd.runtime.status(crowd.record.id).working
    second.request()
    assert isinstance(next_one.exception(SOON), Cancelled)
    assert crowd.client().run(*crowd.job())
    assert crowd.loads == 1
    for each in (first, second, third):
        each.close()


def test_what_waits_for_a_load_that_fails_has_not_begun(crowd):
    fail = crowd.root / "fail"
    source = f"""
import os, time
def load(context):
    context.log("loading")
    while not os.path.exists({str(fail)!r}):
        time.sleep(0.01)
    raise ValueError("as asked")
def run(model, job, *, what): ...
"""
    job, model = crowd.job(spec=replace(crowd.spec, runner={"runner.py": source}))
    starter = spawn(model.spec, crowd.runtime, crowd.root / "logs", kept=True)
    greet(starter)
    starter.connection.send("load", load_request(job, model, 1, 600).params)
    assert starter.connection.next(time.monotonic() + SOON).kind == "log"
    second, events = Worker(starter.record, crowd.runtime, starter.record.foreign()), []

    def on_event(event):
        events.append(event.kind)
        fail.touch()

    connect(second)
    with pytest.raises(NotBegun):
        run_in_worker(second, replace(job, on_event=on_event), model, crowd.scratch, 1)
    assert events == ["waiting"]
    starter.stop()
