"""What a session says: of its models, of its results, of errors."""

import ast
import re
import traceback
from pathlib import Path

import pytest

import orchestrator
from orchestrator.catalog import ManifestDirectory, Origin, inspect_tree
from orchestrator.errors import Cancelled, JobFailed, ManifestError, MMError, UsageError
from orchestrator.jobs.job import Job
from orchestrator.jobs.results import Artifact, Result
from orchestrator.session import Session
from orchestrator.session_models import SessionModels
from orchestrator.system.settings import update_settings
from orchestrator.workspace import Workspace
from tests.fakes import FakeEngine, FakeEnvironments
from tests.models import Notes
from tests.unit.catalog.worlds import write_model


@pytest.fixture
def manifests(tmp_path):
    return write_model(
        tmp_path,
        "one",
        task="answer",
        preference=2,
        more="timeouts: {load: 3}\n",
    )


@pytest.fixture
def open_session(tmp_path, manifests):
    """Return a function that makes a session of a program on a fake engine."""
    made = []

    def open_session(run=lambda job: "x", **keys):
        keys = {"manifests": [manifests], "home": tmp_path / "home", **keys}
        made.append(Session(engine=lambda *_: FakeEngine(run), **keys))
        return made[-1]

    yield open_session
    for session in made:
        session.close()


def test_a_session_lists_what_it_has(open_session, manifests):
    write_model(manifests.parent, "two", task="answer", preference=5)
    session = open_session()
    assert session.tasks()["answer"] == ["two", "one"]
    assert session.models()["one"] == {
        "task": "answer",
        "summary": "A model",
        "devices": ["cpu"],
        "manifest": str(manifests / "one.yaml"),
    }
    assert session.inputs("one") == {
        "text": {"type": "text", "required": False, "help": "", "list": False}
    }
    assert session.inputs("tts")["speed"]["default"] == 1.0
    with pytest.raises(UsageError, match="no model or task 'three'"):
        session.inputs("three")


def test_a_list_sees_a_manifest_that_was_written_since(open_session, manifests):
    session = open_session()
    assert "two" not in session.models()
    write_model(manifests.parent, "two")
    assert "two" in session.models()


def test_a_session_names_itself_in_a_line(open_session, tmp_path):
    session = open_session(workers=3)
    assert repr(session) == f"<Session: FakeEngine in {tmp_path}/home, 3 worker(s)>"
    session.close()
    assert repr(session).endswith(", closed>")


def test_a_result_is_shown_in_a_line(tmp_path):
    np = pytest.importorskip("numpy")
    outputs = {
        "text": "word " * 100_000,
        "boxes": [[1, 2, 3, 4]] * 1000,
        "array": np.zeros((100, 200), "f4"),
        "raw": memoryview(bytes(8)),
        "file": Artifact(tmp_path / "a.png"),
    }
    shown = repr(Result(outputs, "m", "text", dict, {}))
    assert shown.startswith("<Result of m: text='word word ")
    assert "array=<array float32 (100, 200)>, raw=<memoryview B (8,)>" in shown
    assert len(shown) < 600


def test_an_error_shows_a_program_the_traceback_of_the_runner(open_session):
    said = 'Traceback (most recent call last):\n  File "runner.py", line 7, in run\nKeyError: 1\n'
    error = JobFailed("m failed", fix="add --debug", detail=said, fix_in_code="")
    session = open_session(lambda job: raise_from(error))
    work = session.workspace
    work.environments = FakeEnvironments(work.home, work.variables, work.reporter)
    with pytest.raises(JobFailed) as caught:
        session.run("one", text="x")
    assert str(caught.value) == "m failed"
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.index(said) < shown.index("direct cause") < shown.rindex("m failed")
    assert "what came over the wire" not in shown


def raise_from(error):
    try:
        int("what came over the wire")
    except ValueError as cause:
        raise error from cause


def test_an_error_advises_a_program_with_arguments(open_session):
    with pytest.raises(UsageError) as caught:
        open_session().run("one", text="x", model="hibari")
    assert caught.value.fix == "look at: Session.inputs('hibari')"


def test_a_directory_that_is_ignored_is_warned_of_once(open_session, manifests, monkeypatch):
    (manifests / "odd.yaml").write_text("nam: odd\n")
    session = open_session()
    with pytest.warns(UserWarning, match=r"odd\.yaml:1"), pytest.raises(MMError):
        session.run("answer")  # no lock, after the choice
    (manifests / "odd.yaml").write_text("nam: odd\n\n")
    with pytest.raises(MMError):
        session.run("answer")
    with pytest.raises(ManifestError, match=r"odd\.yaml:1"):
        session.run("odd")


def test_a_session_no_longer_uses_what_lost_its_trust(tmp_path):
    write_model(tmp_path, "one", task="answer")
    notes = Notes()
    workspace = Workspace({}, tmp_path, root=tmp_path / "home", reporter=notes)
    found = ManifestDirectory(tmp_path / "manifests", Origin.FOUND)
    contents = inspect_tree(found)
    update_settings(
        workspace.home,
        lambda settings: settings.trusting(str(found.path), contents.digest, contents.files),
    )
    models = SessionModels(workspace, FakePreparer(), engine=None)
    assert models.choose(Job("one")).name == "one"
    runner = tmp_path / "envs" / "one" / "runner.py"
    text = runner.read_text()
    runner.write_text("import os\n")
    for _ in range(2):
        with pytest.raises(ManifestError, match=r"changed since it was trusted \(envs/one/runner"):
            models.choose(Job("one"))
    assert len([note for note in notes.notes if "envs/one/runner.py" in note]) == 1
    runner.write_text(text)
    assert models.choose(Job("one")).name == "one"


class FakePreparer:
    """Finds the files of every model."""

    def check(self, declared, device, dtype):
        pass


def test_a_session_with_a_reporter_warns_through_it(open_session, manifests):
    (manifests / "odd.yaml").write_text("nam: odd\n")
    notes = Notes()
    session = open_session(reporter=notes)
    for _ in range(2):
        with pytest.raises(MMError):
            session.run("answer")
    assert len([note for note in notes.notes if "odd.yaml:1" in note]) == 1


def test_an_error_without_words_for_programs_keeps_its_advice():
    error = Cancelled("x", fix="run: mm stop x")
    error.address_program()
    assert str(error) == "x; run: mm stop x"


ROOT = Path(orchestrator.__file__).parent
OF_COMMANDS = (
    "cli/",
    "comparison/",
    "conversion.py",
    "doctor/",
    "serve/server.py",
    "pipelines/batch_",
    "pipelines/json_lines",
    "backends/virtual",
)
"""What no session runs, but for a backend that only an option chooses."""


def test_advice_that_names_an_option_has_words_for_programs():
    missing = []
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        calls = () if name.startswith(OF_COMMANDS) else ast.walk(ast.parse(file.read_text()))
        for call in calls:
            given = {each.arg: each.value for each in getattr(call, "keywords", ())}
            advice = ast.unparse(given["fix"]) if "fix" in given else ""
            option = re.search(r"(^|\W)(--[a-z]|-o )|mm logs|mm run", advice)
            whole_command = re.search(r"run( there)?: (mm env|mm model|pip|ray)", advice)
            if option and not whole_command and "fix_in_code" not in given:
                missing.append(f"{name}:{call.lineno}")
    assert missing == []
