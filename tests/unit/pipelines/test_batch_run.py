"""A batch in its threads: which items run, what is written on the way out, what is left behind."""

import itertools
import json
import select
import threading

import pytest

from orchestrator.errors import Cancelled, Crashed, EnvironmentFailure, JobFailed, UsageError
from orchestrator.jobs.job import Job
from orchestrator.jobs.results import Result
from orchestrator.pipelines.batch_items import Item
from orchestrator.pipelines.batch_resume import Resumption
from orchestrator.pipelines.batch_run import Batch, BatchProgress
from orchestrator.pipelines.json_lines import JsonLines
from tests.models import model

SOON = 30.0


class Jobs:
    """Runs a function of the job, which returns the result's text."""

    def __init__(self, execute):
        self._execute = execute
        self.ran = []
        self.loads = 0

    def produced_by(self, job):
        return {}

    def load(self, job):
        self.loads += 1

    def execute(self, job):
        self.ran.append(job.inputs["text"])
        text = self._execute(job)
        return Result({"text": text}, job.name, "text", dict, {"run": 0.1})


class World:
    """A file of results, and the directories of items that run."""

    def __init__(self, root):
        self.root = root
        self.out = root / "out.jsonl"
        self.directories = []
        self.progress = BatchProgress()

    def scratch(self):
        path = self.root / f"job-{len(self.directories)}"
        path.mkdir()
        self.directories.append(path)
        return path

    def run(
        self, jobs, names, *, inputs=None, report=lambda: None, workers=1, retries=0, resume=False
    ):
        items = (Item(name, inputs or (lambda _, name=name: {"text": name})) for name in names)
        self.run_items(jobs, items, report=report, workers=workers, retries=retries, resume=resume)

    def run_items(self, jobs, items, *, report=lambda: None, workers=1, retries=0, resume=False):
        manifest = model(self.root, "m").manifest
        batch = Batch(
            Job("m"), manifest, jobs, self.scratch, lambda path: path.rmdir(), workers, retries
        )
        with JsonLines.open(self.out, resume=resume) as lines:
            left = Resumption(lines, manifest, self.progress).left(items)
            batch.run(left, lines, self.progress, report)

    def written(self):
        return self.out.read_text().count('"status": "ok"')

    def left(self):
        return [path for path in self.directories if path.exists()]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_an_item_that_is_named_twice_runs_twice_and_is_resumed_once_for_each(world):
    world.run(Jobs(lambda job: "x"), ["a"])
    jobs = Jobs(lambda job: "x")
    world.run(jobs, ["a", "b", "a"], resume=True)
    assert sorted(jobs.ran) == ["a", "b"]
    assert (world.progress.skipped, world.written()) == (1, 3)


def test_no_item_leaves_a_directory_behind(world):
    def fail(job):
        raise JobFailed("no")

    world.run(Jobs(fail), ["a", "b"])
    assert len(world.directories) == 2
    assert world.left() == []


def test_an_item_whose_input_cannot_be_made_fails_alone(world):
    def broken(directory):
        raise UsageError("no such page")

    world.run(Jobs(lambda job: "x"), ["a"], inputs=broken)
    assert [str(error) for _, error in world.progress.failed] == ["no such page"]
    assert world.left() == []


def test_an_item_whose_input_cannot_be_made_has_its_line_after_those_before_it(world):
    refused = threading.Event()

    def execute(job):
        if job.inputs["text"] == "a":
            assert refused.wait(10)
        return "x"

    def items():
        yield Item("a", lambda _: {"text": "a"})
        yield Item("b", refuse)
        refused.set()
        yield Item("c", lambda _: {"text": "c"})

    def refuse(directory):
        raise UsageError("no such page")

    world.run_items(Jobs(execute), items())
    lines = [json.loads(line) for line in world.out.read_text().splitlines()]
    assert [line["input"] for line in lines] == ["a", "b", "c"]
    assert world.left() == []


def test_at_an_interrupt_what_ends_well_on_the_way_out_is_written_and_nothing_else(world):
    others = threading.Barrier(4)

    def execute(job):
        if job.inputs["text"] == "quick":
            others.wait(SOON)
            return "x"
        others.wait(SOON)
        assert select.select([job.cancellation], [], [], SOON)[0]
        if job.inputs["text"] == "cancelled":
            raise Cancelled("as asked")
        if job.inputs["text"] == "broken":
            raise JobFailed("the rest was cut off")
        return "x"

    def interrupt():
        raise KeyboardInterrupt

    names = ["quick", "late", "cancelled", "broken"]
    with pytest.raises(Cancelled, match="interrupted; what is done is written"):
        world.run(Jobs(execute), names, report=interrupt, workers=4)
    assert "failed" not in world.out.read_text()
    assert world.written() == 2
    jobs = Jobs(lambda job: "x")
    world.run(jobs, names, resume=True)
    assert jobs.ran == ["cancelled", "broken"]
    assert world.left() == []


def test_inputs_are_made_as_they_are_needed(world):
    ahead = []

    def execute(job):
        ahead.append(len(world.directories) - len(jobs.ran))
        if job.inputs["text"] == "w50":
            raise EnvironmentFailure("enough")
        return "x"

    jobs = Jobs(execute)
    with pytest.raises(EnvironmentFailure, match="enough"):
        world.run(jobs, (f"w{number}" for number in itertools.count()))
    assert max(ahead) <= 2  # one whose turn is next, and one that is made while that waits
    assert world.written() in (50, 51)  # the one behind may have ended well
    assert jobs.loads == 1


@pytest.mark.parametrize(("retries", "done"), [(1, 0), (2, 1)])
def test_a_failed_job_is_tried_again(world, retries, done):
    def execute(job):
        if len(jobs.ran) < 3:
            raise Crashed("not yet")
        return "x"

    jobs = Jobs(execute)
    world.run(jobs, ["a"], retries=retries)
    assert world.progress.done == done


def test_a_job_that_is_stopped_is_not_tried_again(world):
    both_run = threading.Barrier(2)

    def execute(job):
        both_run.wait(SOON)
        if job.inputs["text"] == "bad":
            raise EnvironmentFailure("no space")
        assert select.select([job.cancellation], [], [], SOON)[0]
        raise Crashed("killed")

    jobs = Jobs(execute)
    with pytest.raises(EnvironmentFailure, match="no space"):
        world.run(jobs, ["slow", "bad"], workers=2, retries=3)
    assert sorted(jobs.ran) == ["bad", "slow"]
    assert world.written() == 0


def test_the_jobs_of_a_batch_keep_their_model(world):
    kept = []
    world.run(Jobs(lambda job: kept.append(job.models) or "x"), ["a", "b"])
    assert kept[0] is kept[1] is not None


@pytest.mark.parametrize("retries", [0, 2])
def test_a_load_that_fails_in_the_middle_ends_the_batch_after_its_retries(world, retries):
    def execute(job):
        if job.inputs["text"] == "a":
            return "x"
        error = JobFailed("m failed while loading")
        error.retry_after = 0.01
        raise error

    jobs = Jobs(execute)
    with pytest.raises(JobFailed, match="while loading"):
        world.run(jobs, ["a", *"b" * 1000], retries=retries)
    assert jobs.ran == ["a", *"b" * (retries + 1)]
    assert world.written() == 1


def test_an_interrupt_ends_the_pause_before_the_next_try(world):
    tried = threading.Event()

    def execute(job):
        if job.inputs["text"] == "a":
            tried.wait(SOON)
            return "x"
        error = JobFailed("m failed while loading")
        error.retry_after = 3600
        tried.set()
        raise error

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(Cancelled, match="interrupted"):
        world.run(Jobs(execute), ["a", "b"], report=interrupt, workers=2, retries=1)
