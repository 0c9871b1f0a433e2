"""A session on a fake world and a fake engine: what is asked of the engine, and when."""

import select
import signal
import threading
import time

import pytest

from orchestrator.errors import Cancelled, Crashed, JobFailed, OutputError, UsageError
from orchestrator.jobs.job import Event, Job
from orchestrator.session import Session
from orchestrator.system.waiting import Deadline
from tests.fakes import FakeSession, FakeWorkspace

SOON = 30.0


@pytest.fixture
def world(tmp_path):
    return FakeWorkspace(tmp_path)


def test_a_job_goes_to_the_engine_with_what_the_manifest_says(world):
    with FakeSession(world) as mm:
        result = mm.run("try", text="a")
        assert dict(result) == {"text": "A"}
        (job,), (model,) = mm.engine.jobs, mm.engine.models
        assert (model.load_seconds, model.run_seconds(job), model.keep_alive(job)) == (7, 9, 180)
        assert model.spec.manifest == world.declared.digest
        assert model.spec.lock == "ll"
        assert list(model.spec.runner.values()) == ["# the runner\n"]
        assert world.environments.held
    assert mm.engine.closed == 1
    assert not world.environments.held


def test_a_job_may_limit_its_load(world):
    with FakeSession(world) as mm:
        for limit in (None, 3, None):
            mm.execute(Job("echo", {"text": "a"}, load_timeout=limit))
        assert [model.load_seconds for model in mm.engine.models] == [7, 3, 7]
    with pytest.raises(UsageError, match="the load time-out must be more than 0 seconds"):
        Job("echo", load_timeout=0)


@pytest.mark.parametrize("seconds", [-1, 10**400, float("nan")])
def test_no_worker_stays_for_such_a_time(seconds):
    with pytest.raises(UsageError, match="a worker cannot stay for"):
        Job("echo", keep_alive=seconds)


def test_building_an_environment_costs_a_job_nothing_of_its_time(world):
    with FakeSession(world) as mm:
        deadline = Deadline(60)
        before = deadline.at
        mm.execute(Job("echo", {"text": "a"}, deadline=deadline))
        assert world.environments.deadline is deadline
        assert deadline.at >= before + 0.01


def test_what_is_known_is_not_worked_out_again(world):
    with FakeSession(world) as mm:
        first = mm.run("echo", text="a")
        again = mm.run("echo", text="b")
    assert world.environments.ensured == 1
    assert mm.engine.models[0] is mm.engine.models[1]
    assert first.receipt["identity"] == again.receipt["identity"]
    assert first.receipt["inputs"] != again.receipt["inputs"]
    assert first.receipt["timings"]["run"] == 0.5
    assert first.receipt["warnings"] == ["cut off"]


def test_bad_input_is_said_before_anything_is_built(world):
    with FakeSession(world) as mm:
        for wrong in ({}, {"text": 3}, {"text": "a", "other": 1}, {"text": "a", "n": "x"}):
            with pytest.raises(UsageError):
                mm.run("echo", **wrong)
        for seconds in (0, -1, float("nan"), float("inf"), 1e18, 10**5000, "3"):
            with pytest.raises(UsageError, match="time-out"):
                mm.run("echo", text="a", timeout=seconds)
            with pytest.raises(UsageError, match="time-out"):
                mm.submit("echo", text="a", timeout=seconds)
        for seconds in (-1, float("nan")):
            with pytest.raises(UsageError, match="stay"):
                Job("echo", {"text": "a"}, keep_alive=seconds)
        with pytest.raises(UsageError, match="mapping"):
            next(mm.map("echo", ["a"]))
        with pytest.raises(UsageError, match="at least 1"):
            next(mm.map("echo", [{"text": "a"}], workers="2"))
    assert mm.engine.jobs == []
    assert world.environments.ensured == 0
    with pytest.raises(UsageError, match="at least 1"):
        FakeSession(world, workers=0)


def test_a_session_that_has_ended_takes_no_job_and_ends_once(world):
    with FakeSession(world) as mm:
        assert mm.submit("echo", text="a").result()["text"] == "A"
    mm.close()
    assert mm.engine.closed == 1
    for begin in (mm.submit, mm.run):
        with pytest.raises(Cancelled, match="has ended"):
            begin("echo", text="a")


def test_everything_is_given_back_when_the_engine_cannot_end_in_order(world):
    mm = FakeSession(world)
    mm.run("echo", text="a")

    def close():
        raise OSError("no such directory")

    mm.engine.close = close
    spool = mm.spool()
    with pytest.raises(OSError, match="no such directory"):
        mm.close()
    assert not spool.exists()
    assert not world.environments.held


def test_a_crash_is_tried_again_as_often_as_was_asked(world):
    ends = [Crashed("one"), Crashed("two"), None]

    def run(job):
        end = ends.pop(0)
        if end:
            raise end
        return "done"

    with FakeSession(world, run) as mm:
        assert mm.execute(Job("echo", {"text": "a"}, retries=2))["text"] == "done"
        assert [note for note in world.notes.notes if "again" in note] == [
            "one; trying again (2 left)",
            "two; trying again (1 left)",
        ]


@pytest.mark.parametrize(("error", "tried"), [(Crashed("x"), 2), (JobFailed("x"), 1)])
def test_what_is_no_crash_is_not_tried_again(world, error, tried):
    def run(job):
        raise error

    with FakeSession(world, run) as mm:
        with pytest.raises(type(error)):
            mm.execute(Job("echo", {"text": "a"}, retries=1))
        assert len(mm.engine.jobs) == tried


def test_a_submitted_job_is_a_future_and_the_end_waits_for_it(world):
    begun, go_on = threading.Event(), threading.Event()

    def run(job):
        begun.set()
        assert go_on.wait(30)
        return "late"

    with FakeSession(world, run) as mm:
        future = mm.submit("echo", text="a")
        assert begun.wait(30)
        go_on.set()
    assert future.result()["text"] == "late"
    assert mm.engine.closed == 1


def until_asked(job):
    """Run until the job is asked to stop."""
    assert select.select([job.cancellation], [], [], SOON)[0]
    raise Cancelled("as asked")


def test_the_end_cancels_what_is_queued_and_waits_for_what_runs(world):
    begun, go_on = threading.Event(), threading.Event()

    def run(job):
        begun.set()
        assert go_on.wait(SOON)
        return job.inputs["text"]

    with FakeSession(world, run) as mm:
        futures = [mm.submit("echo", text=str(n)) for n in range(1000)]
        assert begun.wait(SOON)
        futures[1].add_done_callback(lambda _: go_on.set())
    assert futures[0].result()["text"] == "0"
    assert all(future.cancelled() for future in futures[1:])
    assert len(mm.engine.jobs) == 1


def test_a_job_that_runs_is_cancelled_alone(world):
    begun = threading.Semaphore(0)

    def run(job):
        begun.release()
        return until_asked(job) if job.inputs["text"] == "wait" else "ran"

    with FakeSession(world, run) as mm:
        first, second = mm.submit("echo", text="wait"), mm.submit("echo", text="b")
        assert begun.acquire(timeout=SOON)
        assert first.cancel()
        with pytest.raises(Cancelled, match="as asked"):
            first.result(SOON)
        assert first.cancelled()
        assert second.result(SOON)["text"] == "ran"


def test_a_job_whose_environment_is_built_is_cancelled_alone(world):
    building = threading.Event()

    def build(stopped):
        building.set()
        while not stopped():
            time.sleep(0.01)
        raise Cancelled("while it was built")

    world.environments.build = build
    with FakeSession(world, workers=2) as mm:
        first = mm.submit("echo", text="a")
        assert building.wait(SOON)
        world.environments.build = lambda stopped: None
        second = mm.submit("echo", text="b")
        first.cancel()
        with pytest.raises(Cancelled, match="while it was built"):
            first.result(SOON)
        assert second.result(SOON)["text"] == "B"


def test_jobs_of_another_model_do_not_wait_in_the_same_queue(world):
    go_on = threading.Event()

    def run(job):
        assert job.device == "cpu" or go_on.wait(SOON)
        return "ran"

    with FakeSession(world, run) as mm:
        blocked = [mm.submit("echo", text="a") for _ in range(2)]
        assert mm.submit("echo", text="b", device="cpu").result(SOON)["text"] == "ran"
        go_on.set()
        assert [future.result(SOON)["text"] for future in blocked] == ["ran", "ran"]


REENTRIES = {
    "run": lambda mm: mm.run("echo", text="a"),
    "load": lambda mm: mm.load(Job("echo")),
    "produced_by": lambda mm: mm.produced_by(Job("echo")),
    "result": lambda mm: mm.submit("echo", text="never").result(),
    "map": lambda mm: list(mm.map("echo", [{"text": "never"}])),
    "stream": lambda mm: list(mm.stream("echo", text="a")),
    "close": lambda mm: mm.close(),
}


@pytest.mark.parametrize("what", REENTRIES)
@pytest.mark.parametrize("where", ["event", "signal", "submitted"])
def test_what_would_wait_for_its_own_thread_is_refused(world, what, where):
    refused = []

    def enter(*_):
        with pytest.raises(UsageError, match="in the middle of a job"):
            REENTRIES[what](mm)
        refused.append(what)

    def run(job):
        if job.inputs["text"] == "outer" and where == "signal":
            signal.raise_signal(signal.SIGUSR1)
        elif job.inputs["text"] == "outer":
            job.on_event(chunk("x"))
        return "ran"

    before = signal.signal(signal.SIGUSR1, enter)
    try:
        with FakeSession(world, run) as mm:
            job = Job("echo", {"text": "outer"}, on_event=enter)
            outer = mm.start(job).result() if where == "submitted" else mm.execute(job)
            assert outer["text"] == "ran"
            assert refused
            assert mm.run("echo", text="after")["text"] == "ran"
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("first", ["job", "engine", "scratch"])
def test_an_interrupt_of_the_end_does_not_leave_it_half_done(world, first):
    """The first interrupt cancels what runs; at every later one the end goes on."""
    begun, asked = threading.Event(), []
    main = threading.get_ident()

    def run(job):
        begun.set()
        while not select.select([job.cancellation], [], [], 0.05)[0]:
            signal.pthread_kill(main, signal.SIGINT)
        asked.append(job.cancellation.drain())
        while not select.select([job.cancellation], [], [], 0.05)[0]:
            signal.pthread_kill(main, signal.SIGINT)
        raise Cancelled("at the second request")

    mm = FakeSession(world, run if first == "job" else lambda job: "ran")
    spool = mm.spool()
    interrupt = [KeyboardInterrupt()]

    def interrupted(close):
        def step():
            close()
            if interrupt:
                raise interrupt.pop()

        return step

    if first == "engine":
        mm.engine.close = interrupted(mm.engine.close)
    if first == "scratch":
        mm._scratch.close = interrupted(mm._scratch.close)
    future = mm.submit("echo", text="a")
    if first == "job":
        assert begun.wait(SOON)
    else:
        future.result()
    with pytest.raises(KeyboardInterrupt):
        mm.close()
    assert mm.engine.closed == (2 if first == "engine" else 1)
    assert not spool.exists()
    assert not world.environments.held
    assert future.done()
    assert asked == ([1] if first == "job" else [])


def test_a_session_that_is_stopped_cancels_everything_and_takes_no_more(world):
    begun = threading.Event()

    def run(job):
        begun.set()
        return until_asked(job)

    with FakeSession(world, run) as mm:
        futures = [mm.submit("echo", text="a") for _ in range(3)]
        assert begun.wait(SOON)
        mm.cancel_all()
        for future in futures:
            with pytest.raises(Cancelled):
                future.result(SOON)
        with pytest.raises(Cancelled):
            mm.submit("echo", text="a")
    assert mm.engine.closed == 1


def test_an_error_in_the_body_cancels_what_still_runs(world):
    begun = threading.Event()

    def run(job):
        begun.set()
        return until_asked(job)

    with pytest.raises(ZeroDivisionError), FakeSession(world, run) as mm:  # noqa: PT012
        futures = [mm.submit("echo", text="a") for _ in range(3)]
        assert begun.wait(30)
        _ = 1 / 0
    assert all(future.cancelled() for future in futures)
    assert mm.engine.closed == 1


def test_map_keeps_the_order_and_reads_no_further_ahead_than_it_must(world):
    taken = []

    def items():
        for n in range(10):
            taken.append(n)
            yield {"text": str(n)}

    with FakeSession(world) as mm:
        results = mm.map("echo", items(), workers=2)
        assert next(results)["text"] == "0"
        assert len(taken) <= 5
        assert [result["text"] for result in results] == [str(n) for n in range(1, 10)]
        assert {job.workers for job in mm.engine.jobs} == {2}
        with pytest.raises(UsageError, match="workers"):
            next(mm.map("echo", [], workers=0))


def test_a_failed_item_is_raised_in_its_turn(world):
    def run(job):
        if job.inputs["text"] == "1":
            raise JobFailed("bad item")
        return "ok"

    with FakeSession(world, run) as mm:
        results = mm.map("echo", [{"text": str(n)} for n in range(4)])
        assert next(results)["text"] == "ok"
        with pytest.raises(JobFailed):
            next(results)


def chunk(text):
    return Event("chunk", {"id": 1, "output": "text", "value": text}, [])


def test_a_stream_gives_the_chunks_as_they_come(world):
    def run(job):
        for part in ("a", "b"):
            job.on_event(chunk(part))
        job.on_event(Event("log", {"id": 1, "text": "no chunk"}, []))
        return "ab"

    with FakeSession(world, run) as mm:
        assert list(mm.stream("echo", text="x")) == ["a", "b"]


def test_a_runner_that_streams_nothing_gives_one_chunk(world):
    with FakeSession(world) as mm:
        assert list(mm.stream("echo", text="x")) == ["X"]
        with pytest.raises(UsageError, match="no output"):
            next(mm.stream("echo", text="x", output="other"))


def test_what_came_before_a_failure_is_kept(world):
    def run(job):
        job.on_event(chunk("first"))
        raise JobFailed("then this")

    with FakeSession(world, run) as mm:
        stream = mm.stream("echo", text="x")
        assert next(stream) == "first"
        with pytest.raises(JobFailed):
            next(stream)


def test_a_chunk_that_the_manifest_does_not_allow_is_an_error(world):
    def run(job):
        job.on_event(chunk(3))
        return "x"

    with FakeSession(world, run) as mm, pytest.raises(OutputError):
        list(mm.stream("echo", text="x"))


def test_whoever_stops_iterating_cancels_the_job(world):
    def run(job):
        job.on_event(chunk("first"))
        return until_asked(job)

    with FakeSession(world, run) as mm:
        stream = mm.stream("echo", text="x")
        assert next(stream) == "first"
        stream.close()
        assert len(mm.engine.jobs) == 1
        assert not [each for each in threading.enumerate() if each.name.startswith("mm-echo")]


def test_an_engine_that_does_not_exist_is_refused(world):
    with pytest.raises(UsageError, match="no engine"):
        Session(workspace=world, engine="cloud")


def test_threads_may_share_a_session(world):
    with FakeSession(world) as mm:
        found = []

        def work(n):
            found.append(mm.run("echo", text=f"t{n}")["text"])

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == sorted(f"T{n}" for n in range(16))


def test_a_session_holds_the_files_of_results_that_are_not_discarded(world):
    with FakeSession(world) as mm:
        mm.engine.spool = mm.spool
        kept = mm.run("echo", text="a")
        for _ in range(5):
            with mm.run("echo", text="b") as result:
                assert result["text"] == "B"
        held = files(mm)
        assert len(held) == 1
        kept.discard()
        kept.discard()
        assert not held[0].exists()


def files(mm):
    return list(mm.spool().parent.glob("*/file"))


def test_what_no_one_takes_leaves_no_files(world):
    begun = threading.Event()

    def run(job):
        if job.inputs["text"] == "bad":
            assert begun.wait(SOON)
            raise JobFailed("bad item")
        begun.set()
        return "ok"

    with FakeSession(world, run) as mm:
        mm.engine.spool = mm.spool
        with pytest.raises(JobFailed):
            list(mm.map("echo", [{"text": "bad"}, {"text": "a"}], workers=2))
        assert list(mm.stream("echo", text="x")) == ["ok"]
        for thread in threading.enumerate():
            if thread.name.startswith("mm-echo"):
                thread.join(SOON)
        assert len(mm.engine.jobs) == 3
        assert files(mm) == []


def test_an_interrupt_of_map_cancels_the_item_that_it_waits_for(world):
    begun = threading.Event()

    def run(job):
        begun.set()
        return until_asked(job)

    def interrupted(job):
        future = Session.start(mm, job)
        future.result = interrupt
        return future

    def interrupt():
        assert begun.wait(SOON)
        raise KeyboardInterrupt

    with FakeSession(world, run) as mm:
        mm.start = interrupted
        with pytest.raises(KeyboardInterrupt):
            list(mm.map("echo", [{"text": "a"}]))
