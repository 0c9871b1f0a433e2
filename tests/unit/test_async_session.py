"""A session in an event loop, on a fake world and a fake engine."""

import asyncio
import contextlib
import select
import threading
import time

import pytest

from orchestrator.async_session import AsyncSession
from orchestrator.errors import Cancelled, EnvironmentFailure, JobFailed, UsageError
from orchestrator.jobs.job import Event, Job
from tests.fakes import FakeEngine, FakeWorkspace

SOON = 30.0


class Steps:
    """What a job does, as its text says, in the thread of the job."""

    def __init__(self):
        self.begun, self.ended = threading.Semaphore(0), threading.Semaphore(0)
        self.go_on = threading.Event()
        self.asked = 0

    def __call__(self, job):
        text = job.inputs["text"]
        self.begun.release()
        if text == "wait":
            assert self.go_on.wait(SOON)
        if text == "emit":
            for part in ("a", "b"):
                job.on_event(chunk(part))
        if text in ("until asked", "emit and wait"):
            if text == "emit and wait":
                job.on_event(chunk("first"))
            assert select.select([job.cancellation], [], [], SOON)[0]
            time.sleep(0.05)  # it takes a moment to stop
            self.asked += job.cancellation.drain()
            self.ended.release()
            raise Cancelled("as asked")
        if text == "until asked twice":
            while self.asked < 2:
                assert select.select([job.cancellation], [], [], SOON)[0]
                self.asked += job.cancellation.drain()
            raise Cancelled("as asked twice")
        if text == "fail":
            raise JobFailed("as asked")
        return text.upper()

    async def begin(self):
        """Wait until a job has begun, without blocking the loop."""
        while not self.begun.acquire(blocking=False):
            await asyncio.sleep(0.001)


def chunk(text):
    return Event("chunk", {"id": 1, "output": "text", "value": text}, [])


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def session(tmp_path, steps):
    """Return a session that is not open."""
    world = FakeWorkspace(tmp_path)
    engine = FakeEngine(steps)
    made = AsyncSession(workspace=world, engine=lambda *_: engine)
    made.engine, made.world = engine, world
    return made


def threads():
    return [each for each in threading.enumerate() if each.name.startswith("mm-")]


def run(coroutine):
    """Run it, and check that its threads end."""
    asyncio.run(coroutine)
    for thread in threads():
        thread.join(SOON)
        assert not thread.is_alive()


def test_a_job_is_awaited(session):
    async def main():
        async with session as mm:
            result = await mm.run("try", text="a")
            assert result["text"] == "A"
            with pytest.raises(JobFailed):
                await mm.run("echo", text="fail")
            with pytest.raises(UsageError):
                await mm.run("echo", text=3)
            with pytest.raises(UsageError, match="time-out"):
                await mm.run("echo", text="a", timeout=0)

    run(main())
    assert session.engine.closed == 1
    assert not session.world.environments.held


def test_jobs_that_wait_hold_no_thread(session, steps):
    async def main():
        async with session as mm:
            tasks = [asyncio.create_task(mm.run("echo", text="wait")) for _ in range(1000)]
            await steps.begin()
            assert len(threads()) == 1
            steps.go_on.set()
            assert {result["text"] for result in await asyncio.gather(*tasks)} == {"WAIT"}

    run(main())


def test_a_queued_job_ends_with_its_task_and_no_other(session, steps):
    async def main():
        async with session as mm:
            texts = ("wait", "b", "c")
            first, second, third = [asyncio.create_task(mm.run("echo", text=t)) for t in texts]
            await steps.begin()
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            steps.go_on.set()
            assert (await first)["text"] == "WAIT"
            assert (await third)["text"] == "C"

    run(main())
    assert [job.inputs["text"] for job in session.engine.jobs] == ["wait", "c"]


def test_a_task_that_is_cancelled_ends_when_its_job_has(session, steps):
    async def cancelled(mm):
        with pytest.raises(asyncio.CancelledError) as caught:
            await mm.run("echo", text="until asked")
        return caught.value.__cause__

    async def main():
        async with session as mm:
            task = asyncio.create_task(cancelled(mm))
            await steps.begin()
            task.cancel()
            assert str(await task) == "as asked"
            assert steps.ended.acquire(blocking=False)
            assert (await mm.run("echo", text="next"))["text"] == "NEXT"

    run(main())


def test_what_no_task_takes_leaves_no_files(session, steps):
    async def main():
        async with session as mm:
            session.engine.spool = mm._session.spool
            task = asyncio.create_task(mm.run("echo", text="wait"))
            await steps.begin()
            task.cancel()
            steps.go_on.set()  # it succeeds nevertheless
            with pytest.raises(asyncio.CancelledError):
                await task
            items = [{"text": text} for text in ("a", "b", "c")]
            async with contextlib.aclosing(mm.map("echo", items)) as results:
                with await anext(results) as result:
                    assert result["text"] == "A"
                await steps.begin()
                await steps.begin()  # the next one has begun as well
            directory = mm._session.spool().parent
            assert list(directory.glob("*/file")) == []

    run(main())


def test_a_task_that_is_cancelled_again_asks_its_job_again(session, steps):
    async def main():
        async with session as mm:
            task = asyncio.create_task(mm.run("echo", text="until asked twice"))
            await steps.begin()
            task.cancel()
            while not steps.asked:
                await asyncio.sleep(0.001)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())
    assert steps.asked == 2


def test_a_time_out_and_a_failed_sibling_cancel_jobs(session, steps):
    async def main():
        async with session as mm:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(mm.run("echo", text="until asked"), 0.01)
            assert steps.ended.acquire(blocking=False)

    run(main())


def test_a_job_says_in_the_loop_that_it_waits_and_begins(session, steps):
    async def main():
        heard, here = [], threading.get_ident()

        def on_event(event):
            assert threading.get_ident() == here
            heard.append((event.kind, event.params.get("place") or event.params.get("value")))

        async with session as mm:
            first = asyncio.create_task(mm.run("echo", text="wait"))
            await steps.begin()
            second = asyncio.create_task(
                mm.execute(Job("echo", {"text": "emit"}, on_event=on_event))
            )
            await asyncio.sleep(0)
            assert heard == [("waiting", 1)]
            steps.go_on.set()
            await asyncio.gather(first, second)
            assert heard[1:] == [("started", None), ("chunk", "a"), ("chunk", "b")]

    run(main())


def test_what_is_raised_at_an_event_is_raised_when_the_job_has_ended(session, steps):
    async def main():
        error = KeyError("mine")

        def on_event(event):
            if event.kind == "chunk":
                raise error

        async with session as mm:
            with pytest.raises(KeyError) as caught:
                await mm.execute(Job("echo", {"text": "emit and wait"}, on_event=on_event))
            assert caught.value is error
            assert steps.ended.acquire(blocking=False)

    run(main())


def test_a_stream_gives_the_chunks_as_they_come(session):
    async def main():
        async with session as mm:
            assert [part async for part in mm.stream("echo", text="emit")] == ["a", "b"]
            assert [part async for part in mm.stream("echo", text="x")] == ["X"]
            with pytest.raises(UsageError, match="no output"):
                await anext(mm.stream("echo", text="x", output="other"))
            with pytest.raises(JobFailed):
                await anext(mm.stream("echo", text="fail"))

    run(main())


def test_a_reader_that_takes_its_time_holds_no_worker(session):
    async def main():
        async with session as mm:
            stream = mm.stream("echo", text="emit")
            assert await anext(stream) == "a"
            assert (await mm.run("echo", text="next"))["text"] == "NEXT"
            assert [part async for part in stream] == ["b"]

    run(main())


@pytest.mark.parametrize("how", ["break", "aclosing", "cancel"])
def test_leaving_a_stream_cancels_its_job(session, steps, how):
    async def read(mm):
        async for part in mm.stream("echo", text="emit and wait"):
            assert part == "first"
            if how == "break":
                break

    async def main():
        async with session as mm:
            if how == "aclosing":
                async with contextlib.aclosing(mm.stream("echo", text="emit and wait")) as parts:
                    assert await anext(parts) == "first"
                assert steps.ended.acquire(blocking=False)
            elif how == "break":
                await read(mm)
            else:
                task = asyncio.create_task(read(mm))
                await steps.begin()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            # The only place is free again.
            assert (await mm.run("echo", text="next"))["text"] == "NEXT"

    run(main())
    assert steps.asked == 1


def test_map_keeps_the_order_and_reads_no_further_ahead_than_it_must(session):
    taken = []

    def items():
        for n in range(10):
            taken.append(n)
            yield {"text": str(n)}

    async def main():
        async with session as mm:
            results = mm.map("echo", items(), workers=2)
            assert (await anext(results))["text"] == "0"
            assert len(taken) <= 5
            assert [each["text"] async for each in results] == [str(n) for n in range(1, 10)]
            with pytest.raises(UsageError, match="workers"):
                await anext(mm.map("echo", [], workers=0))

    run(main())


def test_leaving_map_cancels_what_it_has_begun(session, steps):
    async def main():
        async with session as mm:
            items = [{"text": text} for text in ("a", "until asked", "never", "never")]
            async with contextlib.aclosing(mm.map("echo", items)) as results:
                assert (await anext(results))["text"] == "A"
                await steps.begin()
                await steps.begin()
            assert steps.ended.acquire(blocking=False)

    run(main())
    assert [job.inputs["text"] for job in session.engine.jobs] == ["a", "until asked"]


def test_the_end_cancels_what_is_queued_and_waits_for_what_runs(session, steps):
    async def main():
        async with session as mm:
            tasks = [asyncio.create_task(mm.run("echo", text="wait")) for _ in range(100)]
            await steps.begin()
            closing = asyncio.create_task(mm.close())
            with pytest.raises(Cancelled, match="before it began"):
                await tasks[1]
            assert not closing.done()
            steps.go_on.set()
            await closing
            assert (await tasks[0])["text"] == "WAIT"
            ends = await asyncio.gather(*tasks[1:], return_exceptions=True)
            assert {type(end).__mro__[1] for end in ends} == {Cancelled}
            with pytest.raises(Cancelled, match="has ended"):
                await mm.run("echo", text="a")

    run(main())
    assert session.engine.closed == 1


def test_an_error_in_the_body_cancels_what_runs(session, steps):
    ends = []

    async def main():
        async with session as mm:
            task = asyncio.create_task(mm.run("echo", text="until asked"))
            await steps.begin()
            task.add_done_callback(lambda task: ends.append(task.exception()))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        run(main())
    assert steps.asked == 1
    assert isinstance(ends[0], Cancelled)
    assert session.engine.closed == 1


def test_cancelling_the_end_asks_what_runs_to_stop(session, steps):
    async def main():
        async with session as mm:
            task = asyncio.create_task(mm.run("echo", text="until asked"))
            await steps.begin()
            closing = asyncio.create_task(mm.close())
            await asyncio.sleep(0.01)
            assert not closing.done()
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            with pytest.raises(Cancelled):
                await task
            assert session.engine.closed == 1

    run(main())


def test_a_session_that_cannot_be_opened_leaves_nothing(tmp_path):
    def engine(*_):
        raise EnvironmentFailure("no engine")

    async def main():
        with pytest.raises(EnvironmentFailure, match="no engine"):
            async with AsyncSession(workspace=FakeWorkspace(tmp_path), engine=engine):
                pass

    run(main())
    assert list((tmp_path / "home" / "jobs").iterdir()) == []


def test_cancelled_while_it_opens_a_session_leaves_nothing(tmp_path):
    begun, go_on = threading.Event(), threading.Event()
    made = FakeEngine(str)

    def engine(*_):
        begun.set()
        assert go_on.wait(SOON)
        return made

    async def main():
        async with AsyncSession(workspace=FakeWorkspace(tmp_path), engine=engine):
            pytest.fail("it was opened")

    async def outer():
        task = asyncio.create_task(main())
        while not begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(outer())
    assert made.closed == 1
    assert list((tmp_path / "home" / "jobs").iterdir()) == []


def test_where_a_session_cannot_be_used_is_said(session):
    async def use():
        await session.run("echo", text="a")

    async def first():
        with pytest.raises(UsageError, match="not open; open it with: async with"):
            await use()
        await session.__aenter__()
        with pytest.raises(UsageError, match="was opened before"):
            await session.__aenter__()

    asyncio.run(first())  # which leaves it open
    with pytest.raises(UsageError, match="belongs to another event loop"):
        asyncio.run(use())
    with pytest.raises(UsageError, match="an engine of their own"):
        AsyncSession(kept=True, engine="ray")
    session._session.close()


def test_jobs_of_a_loop_that_is_closed_are_not_run(session, steps):
    loop = asyncio.new_event_loop()

    async def begin():
        mm = await session.__aenter__()
        tasks = [asyncio.create_task(mm.run("echo", text="wait")) for _ in range(3)]
        await steps.begin()
        return tasks

    tasks = loop.run_until_complete(begin())
    for task in tasks:
        task._log_destroy_pending = False  # this test has left them alone on purpose
    loop.close()
    steps.go_on.set()
    session._session._in_flight.wait()
    assert len(session.engine.jobs) == 1
    session._session.close()
    for task in tasks:
        task.get_coro().close()
