"""A session that lives on while files are edited: its next job sees what `mm run` would."""

import contextlib
import os
import shutil

import pytest

from orchestrator.errors import EnvironmentFailure, ManifestError, SourceError
from orchestrator.session import Session
from orchestrator.workspace import Workspace
from tests.models import Notes

RUNNER = """
import os
WORDS = "first"

def load(context):
    if context.model_dir:
        return open(os.path.join(context.model_dir, "words.py")).read().strip()
    return f"{WORDS} {context.options.get('ending', '')}".strip()

def run(model, job, *, text):
    return {"text": f"{text}: {model}, {os.getpid()}"}
"""

MANIFEST = """\
name: {name}
task: answer
summary: Answers with what it was loaded from
environment: {{python: ">=3.10", dependencies: []}}
inputs: {{text: {{type: text, required: true}}}}
outputs: {{text: {{type: text}}}}
"""

SOURCE = "source: {repo: owner/model, revision: main, include: ['*.py'], size: 1 kB}\n"

PATCHES = """\
name: fitting
patches:
  - id: words
    why: To see it.
    file: words.py
    python: {{replace: {{"'old'": "'{word}'"}}}}
    expect: 1
"""


class World:
    """A session on two models, `one` and `two`, of the task `answer`."""

    def __init__(self, manifests, variables, elsewhere, mm):
        self.manifests, self.mm = manifests, mm
        self.notes = Notes()
        self.session = Session(
            workspace=Workspace(
                {**os.environ, **variables}, elsewhere, (manifests,), reporter=self.notes
            )
        )

    def ask(self, name="one"):
        """Return what a job was answered from."""
        return self.session.run(name, text=name)["text"].rpartition(",")[0].partition(": ")[2]

    def pid(self, name="one"):
        return int(self.session.run(name, text=name)["text"].rpartition(", ")[2])

    def manifest(self, name="one"):
        return self.manifests / f"{name}.yaml"

    def runner(self, name="one"):
        return self.manifests.parent / "envs" / name / "runner.py"

    def command(self, *arguments):
        ended = self.mm("--manifests", self.manifests, *arguments)
        assert ended.code == 0, ended


@pytest.fixture
def world(declare, workplace, tmp_path, mm):
    made = World(declare({"one": RUNNER, "two": RUNNER}, MANIFEST), workplace, tmp_path, mm)
    with contextlib.closing(made.session):
        yield made
    mm("use", "answer", "--clear")
    for name in ("one", "two"):
        mm("--manifests", made.manifests, "model", "remove", name)


def edit(path, old, new):
    """Change a file where it is, without a change of its directory."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_runner_is_read_again_and_its_old_worker_ends(world):
    assert world.ask() == "first"
    before = world.pid()
    edit(world.runner(), "first", "next_")  # of the same size
    assert world.ask() == "next_"
    assert world.pid() != before
    assert world.pid() == world.pid()
    folder = world.runner().parent / "runner"
    folder.mkdir()
    world.runner().rename(folder / "__init__.py")
    (folder / "words.py").write_text("WORDS = 'inner'\n")
    edit(folder / "__init__.py", 'WORDS = "next_"', "from .words import WORDS")
    assert world.ask() == "inner"
    edit(folder / "words.py", "inner", "deeper")
    assert world.ask() == "deeper"


def test_a_manifest_is_read_again_and_a_broken_one_can_be_repaired(world):
    assert world.ask() == "first"
    world.manifest().write_text(MANIFEST.format(name="one") + "options: {ending: end}\n")
    assert world.ask() == "first end"
    edit(world.manifest(), "options:", "otions:")
    with pytest.raises(ManifestError) as broken:
        world.ask()
    said = world.mm("--manifests", world.manifests, "run", "one", "--text", "x")
    assert said.sentence == f"mm: {broken.value}"
    with pytest.raises(ManifestError, match="otions"):
        world.ask()
    edit(world.manifest(), "otions:", "options:")
    assert world.ask() == "first end"
    world.manifest().unlink()
    with pytest.raises(Exception, match="no model or task 'one'"):
        world.ask()


def test_another_model_comes_to_stand_for_a_task(world):
    edit(world.runner("two"), "first", "second")
    assert world.ask("answer") == "first"
    world.command("use", "answer", "two")
    assert world.ask("answer") == "second"
    world.command("use", "answer", "--clear")
    assert world.ask("answer") == "first"
    world.manifest("two").write_text(MANIFEST.format(name="two") + "preference: 5\n")
    assert world.ask("answer") == "second"
    assert [note.partition(" (")[0] for note in world.notes.notes if note.startswith("answer")] == [
        "answer: one", "answer: two", "answer: one", "answer: two",
    ]  # fmt: skip


def test_a_lock_that_no_longer_fits_is_refused_until_it_is_made_again(world):
    assert world.ask() == "first"
    before = world.session.run("one", text="x").receipt["produced_by"]["lock"]
    edit(world.manifest(), ">=3.10", ">=3.9")
    with pytest.raises(EnvironmentFailure, match="no longer fits its manifest"):
        world.ask()
    world.command("env", "lock", "one")
    after = world.session.run("one", text="x").receipt["produced_by"]["lock"]
    assert after != before
    world.command("env", "lock", "--mine", "one")
    assert world.session.run("one", text="x").receipt["produced_by"]["own_lock"]
    shutil.rmtree(world.session.workspace.home.mine / "one")
    assert world.session.run("one", text="x").receipt["produced_by"]["lock"] == after


def test_the_files_of_a_model_may_come_change_and_go(world, tmp_path):
    assert world.ask("answer") == "first"
    world.manifest("two").write_text(MANIFEST.format(name="two") + SOURCE + "preference: 5\n")
    assert world.ask("answer") == "first"
    (tmp_path / "words.py").write_text("word = 'old'\n")
    world.command("model", "add", "two", tmp_path)
    assert world.ask("answer") == "word = 'old'"
    (tmp_path / "words.py").write_text("word = 'new'\n")
    with pytest.raises(SourceError, match="changed since it was pulled or added"):
        world.ask("two")
    (tmp_path / "words.py").write_text("word = 'old'\n")
    world.command("model", "add", "two", tmp_path)
    sets = world.manifests / "patches"
    sets.mkdir()
    (sets / "fitting.yaml").write_text(PATCHES.format(word="patched"))
    with world.manifest("two").open("a") as stream:
        stream.write("patches: [fitting]\n")
    assert world.ask("two") == "word = ('patched')"
    edit(sets / "fitting.yaml", "patched", "better")
    assert world.ask("two") == "word = ('better')"


def test_files_that_are_gone_are_missed_and_a_batch_keeps_what_it_began_with(world):
    from orchestrator.jobs.job import Job

    job = Job("one", {"text": "x"}, models={})
    first = world.session.execute(job)
    edit(world.runner(), "first", "edited")
    assert world.ask() == "edited"
    kept = world.session.execute(job)
    assert "first" in kept["text"]
    assert kept.receipt["identity"] == first.receipt["identity"]
    world.runner().unlink()
    with pytest.raises(ManifestError, match="cannot be read"):
        world.ask()
