"""A batch that goes on: what is done is compared with what would be done now."""

import itertools
import json
import os

import msgspec
import pytest

from orchestrator.core.manifest import Input, Output
from orchestrator.core.value_checks import check_inputs
from orchestrator.errors import JobFailed, UsageError
from orchestrator.jobs.input_files import describe_inputs, resolve_files
from orchestrator.jobs.job import Job
from orchestrator.jobs.receipts import receipt
from orchestrator.jobs.results import Artifact, Result
from orchestrator.pipelines import batch_sources
from orchestrator.pipelines.batch_items import item_of, listed
from orchestrator.pipelines.batch_resume import Resumption
from orchestrator.pipelines.batch_run import Batch, BatchProgress
from orchestrator.pipelines.json_lines import JsonLines
from orchestrator.steps.pdf_renderer import PdfRenderer
from orchestrator.system.hashing import sha256_of
from orchestrator.system.removal import remove
from tests.models import model

PRODUCER = {
    "model": "m", "runner": "1" * 64, "lock": "2", "device": "cpu", "dtype": "float32",
    "patches": {"code": "3"}, "options": {"top": 1}, "versions": {"mm": "1"},
}  # fmt: skip

PDFS = PdfRenderer()  # never started: there is no PDF here
NAMES = ("a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "f.txt")


class World:
    """A model `m`, which copies a file, and its batches into `out.jsonl`."""

    def __init__(self, root):
        self.root = root
        self.out = root / "out.jsonl"
        self.producer = PRODUCER
        self.ran = []
        self.fail = set()
        self.meanwhile = lambda: None
        self.jobs = itertools.count()
        self.manifest = msgspec.structs.replace(
            model(root, "m").manifest,
            inputs={
                "page": Input(type="file", required=True),
                "speed": Input(type="number", default=1.0),
                "prompt": Input(type="text"),
                "voice": Input(type="file"),
            },
            outputs={
                "text": Output(type="text"),
                "copy": Output(type="file"),
                "other": Output(type="file"),
            },
        )
        for name in NAMES:
            (root / name).write_text(f"page {name}")

    def produced_by(self, job):
        return self.producer

    def load(self, job):
        pass

    def execute(self, job):
        values = resolve_files(self.manifest, check_inputs(self.manifest, job.inputs))
        page = self.root / values["page"]
        self.ran.append(page.name)
        described = describe_inputs(self.manifest, values)
        self.meanwhile()
        if page.name in self.fail:
            raise JobFailed("no")
        copy = self.scratch() / "copy.TXT"  # both in the job's directory, which goes
        other = copy.with_name("other")
        copy.write_bytes(page.read_bytes())
        other.write_text("other")
        return Result(
            {"text": "read", "copy": Artifact(copy), "other": Artifact(other)}, "m", "text",
            lambda: receipt(self.producer, described, {}), {"run": 0.1},
        )  # fmt: skip

    def scratch(self):
        path = self.root / f"job-{next(self.jobs)}"
        path.mkdir()
        return path

    def batch(self, *names, resume=True, mix=False, given=(), **more):
        """Run a batch over files, or over the objects `given`; return what is known of it."""
        self.ran.clear()
        progress = BatchProgress()
        files = {"copy", "other"}
        with JsonLines.open(self.out, resume=resume, outputs=files) as lines:
            resumption = Resumption(lines, self.manifest, progress, mix)
            resumption.compare_producers(self.produced_by)
            items = (item_of(name, self.root, self.manifest, more, PDFS) for name in names)
            left = list(resumption.pending(items))
            resumption.refuse()
            rest = listed(map(json.dumps, given), self.root, self.manifest, more, self.out, PDFS)
            batch = Batch(Job("m"), self.manifest, self, self.scratch, remove)
            batch.run(itertools.chain(left, resumption.left(rest)), lines, progress)
        self.lost = lines.lost
        return resumption

    def refused(self, *names, **more):
        """Run a batch that is refused; return what differs."""
        before = self.out.read_bytes()
        with pytest.raises(UsageError) as caught:
            self.batch(*names, **more)
        assert caught.value.exit_code == 2
        assert self.ran == []
        assert self.out.read_bytes() == before
        assert caught.value.fix == "choose another -o, or add --mix to have both in one file"
        return caught.value.what.removeprefix("holds results of another experiment: ")

    def lines(self):
        return [json.loads(line) for line in self.out.read_text().splitlines()]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


def test_a_line_says_what_its_inputs_were_and_the_receipt_lies_beside(world):
    world.batch("a.txt", resume=False, speed=2.0, prompt="long " * 100)
    (line,) = world.lines()
    found = (world.root / "a.txt").stat()
    assert line["inputs"]["page"] == {
        "sha256": sha256_of(world.root / "a.txt"),
        "size": found.st_size,
        "changed": found.st_mtime_ns,
    }
    assert line["inputs"]["speed"] == 2.0
    assert set(line["inputs"]["prompt"]) == {"sha256", "size"}
    (beside,) = world.root.glob("out.jsonl.files/receipt-*.json")
    assert json.loads(beside.read_text()) == PRODUCER
    assert line["receipt"].startswith(beside.stem.partition("-")[2])
    copy = line["outputs"]["copy"]
    assert (copy["path"].partition("/")[0], copy["media_type"]) == ("out.jsonl.files", "text/plain")
    assert (world.root / copy["path"]).read_text() == "page a.txt"
    assert (world.root / line["outputs"]["other"]["path"]).read_text() == "other"


def test_the_same_batch_goes_on_and_retries_what_failed(world):
    world.fail = {"b.txt"}
    world.batch("a.txt", "b.txt", resume=False)
    world.fail = set()
    resumption = world.batch(*NAMES)
    assert world.ran == list(NAMES[1:])
    assert resumption.progress.skipped == 1
    assert [line["input"] for line in world.lines()] == list(NAMES)
    assert {line["status"] for line in world.lines()} == {"ok"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "other"}, "the model is another (m, now other)"),
        ({"runner": "9" * 64}, "the runner changed"),
        ({"lock": "9"}, "the lock changed"),
        ({"patches": {"code": "9"}}, "the patch set changed"),
        ({"options": {"top": 2}}, "the options of the manifest changed"),
        ({"device": "cuda"}, "the device is another (cpu, now cuda)"),
        ({"dtype": "float16"}, "the dtype is another (float32, now float16)"),
        ({"versions": {"mm": "2"}}, "the environment changed (mm 1, now 2)"),
    ],
)
def test_another_producer_is_refused(world, change, said):
    world.fail = {"b.txt"}
    world.batch("a.txt", "b.txt", resume=False)
    world.producer = PRODUCER | change
    assert world.refused("a.txt", "b.txt", "c.txt") == said
    assert world.refused("c.txt") == said  # also where no item of it is asked for
    assert list(world.batch("a.txt", "c.txt", mix=True).differences) == [said]
    assert world.ran == ["c.txt"]
    assert len({line["receipt"] for line in world.lines()}) == 2
    assert world.refused("a.txt") == said  # it is mixed, and stays so


def test_of_another_model_the_inputs_are_not_compared(world):
    world.batch("a.txt", resume=False, speed=1.0)
    world.producer = PRODUCER | {"model": "other"}
    (world.root / "a.txt").write_text("another")
    assert world.refused("a.txt", speed=2.0) == "the model is another (m, now other)"


def test_a_producer_that_is_not_known_any_more_is_refused(world):
    world.batch("a.txt", resume=False)
    (beside,) = world.root.glob("out.jsonl.files/receipt-*.json")
    beside.unlink()
    world.batch("a.txt", "b.txt")
    assert world.ran == ["b.txt"]
    beside.unlink()
    world.producer = PRODUCER | {"runner": "9"}
    assert world.refused("a.txt") == "another model, environment or device made some of them"


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, {"speed": 2.0}, "the input speed changed (1.0, now 2.0)"),
        ({"speed": 2.0}, {}, "the input speed changed (2.0, now 1.0)"),
        ({}, {"prompt": "x"}, "the input prompt is given now"),
        ({"prompt": "x"}, {}, "the input prompt is no longer given"),
        ({"prompt": "x" * 999}, {"prompt": "y" * 999}, "the input prompt changed"),
        ({"voice": "b.txt"}, {"voice": "c.txt"}, "c.txt changed"),
        ({"voice": "b.txt"}, {}, "the input voice is no longer given"),
    ],
)
def test_other_inputs_are_refused_once_for_all_items(world, before, now, said):
    world.batch("a.txt", "b.txt", resume=False, **before)
    assert world.refused("a.txt", "b.txt", "c.txt", **now) == said
    world.batch("a.txt", "b.txt", "c.txt", **before)
    assert world.ran == ["c.txt"]


def test_the_default_and_the_same_value_given_are_the_same(world):
    world.batch("a.txt", resume=False)
    world.batch("a.txt", "b.txt", speed=1)
    assert world.ran == ["b.txt"]


def rewrite(path, text, *, keep_time):
    """Write a file; with another time, or with the very time that it had."""
    before = path.stat()
    path.write_text(text)
    when = before.st_mtime_ns if keep_time else before.st_mtime_ns + 1
    os.utime(path, ns=(when, when))


@pytest.mark.parametrize(
    ("text", "keep_time", "same"),
    [
        ("page A.txt", False, False),
        ("page a.txt and more", True, False),
        ("page a.txt", False, True),
    ],
    ids=["content", "size", "touched"],
)
@pytest.mark.parametrize("objects", [False, True], ids=["named", "listed"])
def test_a_file_counts_by_its_content(world, text, keep_time, same, objects):
    def items(*names):
        found = [{"page": str(world.root / name)} for name in names]
        return ((), {"given": found}) if objects else (names, {})

    names, more = items("a.txt", "b.txt")
    world.batch(*names, resume=False, **more)
    rewrite(world.root / "a.txt", text, keep_time=keep_time)
    names, more = items("a.txt", "b.txt", "c.txt")
    if same:
        world.batch(*names, **more)
        assert world.ran == ["c.txt"]
    else:
        assert world.refused(*names, **more) == "a.txt changed"


@pytest.mark.parametrize("rest", [(), ("b.txt", "c.txt")], ids=["alone", "first"])
def test_of_items_that_come_one_by_one_none_runs_after_a_difference(world, rest):
    world.fail = {"b.txt"}
    world.batch("a.txt", "b.txt", resume=False)
    (world.root / "a.txt").write_text("another")
    assert world.refused(given=["a.txt", *rest]) == "a.txt changed"


def test_a_text_that_is_read_from_a_file_counts_by_the_file(world, tmp_path):
    inputs = {**world.manifest.inputs, "page": Input(type="text", required=True)}
    world.manifest = msgspec.structs.replace(world.manifest, inputs=inputs)
    (tmp_path / "page.txt").write_text("a.txt")
    world.batch("page.txt", resume=False)
    (line,) = world.lines()
    assert line["inputs"]["page"]["size"] == 5
    assert world.refused("page.txt", speed=2.0) == "the input speed changed (1.0, now 2.0)"
    (tmp_path / "page.txt").write_text("b.txt")
    os.utime(tmp_path / "page.txt", ns=(0, 0))
    assert world.refused("page.txt") == "page.txt changed"


def test_a_file_that_changes_while_its_item_runs_is_another_afterwards(world, tmp_path):
    world.meanwhile = lambda: rewrite(tmp_path / "a.txt", "page A.txt", keep_time=False)
    world.batch("a.txt", resume=False)
    assert world.refused("a.txt") == "a.txt changed"


def test_a_file_that_was_not_touched_is_not_read(world):
    world.batch("a.txt", "b.txt", resume=False)
    for name in ("a.txt", "b.txt"):
        path = world.root / name
        when = path.stat().st_mtime_ns
        path.write_text("page ?.txt")  # of the same size, at the same time: no one can know
        os.utime(path, ns=(when, when))
    world.batch("a.txt", "b.txt")
    assert world.ran == []


def test_a_file_that_is_gone_since_its_item_was_done_is_no_difference(world):
    given = [{"page": str(world.root / name)} for name in ("a.txt", "b.txt")]
    world.batch(given=given[:1], resume=False)
    (world.root / "a.txt").unlink()
    world.batch(given=given)
    assert world.ran == ["b.txt"]


def test_every_page_of_a_document_is_read_for_once(world):
    document = world.root / "book.pdf"
    document.write_bytes(b"%PDF")
    first = batch_sources.InputFile.of(f"{document}#page=1")
    assert first.described()["page"] == 1
    assert first.differs(batch_sources.InputFile.of(f"{document}#page=2").described())
    before = batch_sources._digest.cache_info().misses
    for page in range(1, 50):
        batch_sources.InputFile.of(f"{document}#page={page}").described()
    assert batch_sources._digest.cache_info().misses == before


def test_many_differences_are_counted(world):
    names = [f"n{number}.txt" for number in range(9)]
    for name in names:
        (world.root / name).write_text("x")
    world.batch(*names, resume=False)
    for name in names:
        (world.root / name).write_text("yy")
    said = world.refused(*names)
    assert said == "n0.txt changed; n1.txt changed; n2.txt changed; n3.txt changed; and 5 more"


def test_a_result_whose_file_is_gone_is_made_again(world):
    world.batch("a.txt", "b.txt", resume=False)
    (lost, kept) = (world.root / line["outputs"]["copy"]["path"] for line in world.lines())
    lost.unlink()
    world.batch("a.txt", "b.txt")
    assert (world.ran, world.lost) == (["a.txt"], 1)
    assert lost.read_text() == "page a.txt"
    assert sorted(line["input"] for line in world.lines()) == ["a.txt", "b.txt"]
    assert kept.exists()


def test_a_line_of_before_without_inputs_is_not_compared(world):
    world.batch("a.txt", resume=False)
    (line,) = world.lines()
    del line["inputs"]
    world.out.write_text(json.dumps(line) + "\n")
    world.batch("a.txt", "b.txt", speed=3.0)
    assert world.ran == ["b.txt"]


def test_a_file_that_cannot_be_written_ends_the_batch_with_a_sentence(world):
    (world.root / "out.jsonl.files").write_text("not a directory")
    with pytest.raises(
        UsageError, match=r"receipt-.*\.json: cannot be written \(File exists\); choose"
    ):
        world.batch("a.txt", "b.txt", resume=False)
    assert world.lines() == []
