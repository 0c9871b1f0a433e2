"""The jobs of a server: their places, their files, and what outlives it."""

import asyncio
import json
import math
import threading
from types import SimpleNamespace

import pytest

from orchestrator.errors import TimedOut
from orchestrator.jobs.job import Event
from orchestrator.jobs.results import Result
from orchestrator.serve import kept_jobs
from orchestrator.serve.answers import JobStream
from orchestrator.serve.jobs import MAX_KEPT, ServedJobs
from orchestrator.serve.lanes import Lanes
from orchestrator.serve.metrics import Metrics
from orchestrator.serve.refused import Refused
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.served_models import Served
from orchestrator.serve.threads import uninterrupted
from tests.models import model


class Session:
    """Runs each job at once; its outputs are what it is given."""

    def __init__(self, outputs=None, chunks=()):
        self.outputs = outputs or {"text": "so"}
        self.chunks = chunks
        self.jobs = []

    async def execute(self, job):
        self.jobs.append(job)
        job.on_event(Event("started", {}, []))
        if self.outputs == "late":
            raise TimedOut("too late")
        for chunk in self.chunks:
            job.on_event(Event("chunk", {"output": "text", "value": chunk}, []))
        return Result(self.outputs, "m", "text", dict, {}, ())

    def chunk(self, model, event):
        return event.params["value"]


@pytest.fixture
def declared(tmp_path):
    return model(tmp_path, "m")


def make_jobs(tmp_path, session=None, most=MAX_KEPT, **places):
    root = tmp_path / "jobs"
    root.mkdir(exist_ok=True)
    lanes = Lanes(**{"each": 2, "total": 4, **places})
    return ServedJobs(session or Session(), lanes, root, 600.0, Metrics(), most=most), lanes, root


def test_a_job_without_a_place_leaves_nothing(tmp_path, declared):
    async def main():
        jobs, lanes, _ = make_jobs(tmp_path, each=0)
        for begin in (
            jobs.start,
            lambda job: JobStream(jobs, job, lambda _: b"", lambda _: b""),
        ):
            with pytest.raises(Refused):
                begin(ServedJob(declared, {}, jobs.new_directory()))
        assert not lanes.jobs

    asyncio.run(main())  # its end waits for what is removed in the background
    assert not list((tmp_path / "jobs").iterdir())


def test_a_job_that_cannot_be_written_down_gives_its_place_back(tmp_path, declared):
    async def main():
        jobs, lanes, root = make_jobs(tmp_path)
        job = ServedJob(declared, {}, root / "is-not-there", lasting=True)
        with pytest.raises(OSError, match="is-not-there"):
            jobs.start(job)
        assert not lanes.jobs
        assert not jobs.recent()

    asyncio.run(main())


def test_the_end_of_a_job_counts_even_where_it_cannot_be_written(tmp_path, declared):
    async def main():
        jobs, _, root = make_jobs(tmp_path)
        job = jobs.start(ServedJob(declared, {}, jobs.new_directory(), lasting=True))
        job.directory.rename(root / "elsewhere")
        job.directory.touch()
        with pytest.raises(Refused, match="on the server, "):
            await job.wait()
        assert jobs.find(job.id).state == "failed"

    asyncio.run(main())


def test_so_many_jobs_are_kept(tmp_path, declared):
    async def main():
        jobs, _, _ = make_jobs(tmp_path, most=1)
        one = jobs.start(ServedJob(declared, {}, jobs.new_directory(), lasting=True))
        (one.directory / "upload-0.png").touch()
        await one.wait()
        assert "upload-0.png" not in {each.name for each in one.directory.iterdir()}
        with pytest.raises(Refused) as full:
            jobs.start(ServedJob(declared, {}, jobs.new_directory(), lasting=True))
        assert (full.value.status, full.value.retry_after) == (429, 600)
        jobs.forget(one)
        await jobs.start(ServedJob(declared, {}, jobs.new_directory(), lasting=True)).wait()

    asyncio.run(main())
    assert len(list((tmp_path / "jobs").iterdir())) == 1


def test_the_wait_for_memory_has_a_limit_that_begins_after_the_queue(tmp_path, declared):
    async def main():
        session = Session("late")
        jobs, _, _ = make_jobs(tmp_path, session)
        job = jobs.start(ServedJob(declared, {}, jobs.new_directory()))
        with pytest.raises(Refused) as late:
            await job.wait()
        assert late.value.status == 504
        assert session.jobs[0].deadline.at < math.inf

    asyncio.run(main())


def test_a_record_that_is_damaged_is_removed_and_the_others_are_taken_up(tmp_path, declared):
    async def main():
        jobs, _, root = make_jobs(tmp_path)
        record = {"version": 1, "id": "a", "model": "m", "created": 1.0, "state": "queued"}
        broken = ("", "{}", json.dumps({**record, "created": "soon"}))
        for number, text in enumerate(broken):
            (root / str(number)).mkdir()
            (root / str(number) / "job.json").write_text(text)
        for name, inputs in (("good", {}), ("none", None)):
            (root / name).mkdir()
            (root / name / "job.json").write_text(
                json.dumps({**record, "id": name, "inputs": inputs})
            )

        async def every():
            return [Served(declared)]

        await jobs.restore(SimpleNamespace(all=every))
        await jobs.find("good").wait()
        assert jobs.find("none").state == "cancelled"
        assert {each.name for each in root.iterdir()} == {"good", "none"}

    asyncio.run(main())


def test_a_job_whose_model_can_no_longer_run_says_so(tmp_path, declared):
    async def main():
        jobs, _, root = make_jobs(tmp_path)
        (root / "one").mkdir()
        (root / "one" / "job.json").write_text(
            json.dumps(
                {
                    "version": 1, "id": "a", "model": "m", "created": 1.0, "state": "queued",
                    "inputs": {},
                }
            )
        )  # fmt: skip

        async def every():
            return [Served(declared, "has no environment yet", "mm env sync m")]

        await jobs.restore(SimpleNamespace(all=every))
        job = jobs.find("a")
        assert (job.state, job.error.status) == ("failed", 503)
        assert "mm env sync m" in job.error.message
        assert json.loads((root / "one" / "job.json").read_text())["state"] == "failed"

    asyncio.run(main())


def test_a_job_that_had_begun_is_cancelled_and_its_events_end_with_that(tmp_path, declared):
    async def main():
        session = Session()
        jobs, _, _ = make_jobs(tmp_path, session)
        job = ServedJob(declared, {}, jobs.new_directory(), lasting=True)
        kept_jobs.save(job)
        kept_jobs.mark_begun(job.directory)
        (job.directory / "events").write_text("event: queued\ndata: {}\n\n")

        async def every():
            return [Served(declared)]

        for _ in range(2):
            again, _, _ = make_jobs(tmp_path, session)
            await again.restore(SimpleNamespace(all=every))
            found = again.find(job.id)
            assert (found.state, found.error.code) == ("cancelled", "cancelled")
            text = (job.directory / "events").read_text()
            assert [line for line in text.splitlines() if line.startswith("event: ")] == [
                "event: queued",
                "event: error",
            ]
        assert not session.jobs

    asyncio.run(main())


def test_sound_is_encoded_in_threads_and_in_order(tmp_path, declared):
    threads = set()

    def part(value):
        threads.add(threading.current_thread())
        return bytes([value])

    async def main():
        jobs, _, _ = make_jobs(tmp_path, Session(chunks=[1, 2, 3]))
        job = ServedJob(declared, {}, jobs.new_directory())
        stream = JobStream(jobs, job, part, lambda _: b"!")
        await stream.whole()
        assert stream.spool.path.read_bytes() == b"\1\2\3!"
        await stream.close()

    asyncio.run(main())
    assert threading.main_thread() not in threads


def test_a_task_that_is_cancelled_ends_after_what_it_writes(tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    def write():
        begun.set()
        go_on.wait()
        (tmp_path / "written").touch()

    async def main():
        task = asyncio.create_task(uninterrupted(write))
        await asyncio.to_thread(begun.wait)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (tmp_path / "written").exists()

    asyncio.run(main())
