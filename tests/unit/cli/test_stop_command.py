"""`mm stop`: which workers it means. None is ended here: each record is of this very process."""

import io
import os

import click
import pytest

from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
from orchestrator.client.supervisors import start_time
from orchestrator.errors import UsageError
from tests.unit.catalog.worlds import write_model


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stop(user):
    runtime = user.root / "r"
    runtime.mkdir(mode=0o700)

    def stop(*words, **more):
        return user.mm("stop", *words, variables={"MM_RUNTIME_DIR": str(runtime)}, **more)

    def live(model, home="mm-home"):
        record = WorkerRecord(
            id=model.ljust(12, "0"),
            model=model,
            supervisor=os.getpid(),
            started=start_time(os.getpid()),
            environment="e",
            socket="s",
            log=str(user.root / home / "logs" / "workers" / f"{model}.0.log"),
        )
        RuntimeDirectory(runtime).write(record)

    stop.live = live
    return stop


def test_without_a_name_the_workers_are_listed_and_ended_after_a_question(stop, user, monkeypatch):
    stop.live("mine")
    stop.live("theirs", "other-home")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    with pytest.raises(click.Abort):
        stop()
    assert user.notes == ["live workers: mine"]


def test_without_a_name_and_a_terminal_nothing_is_ended(stop, monkeypatch):
    stop.live("mine")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(UsageError, match="name the models whose workers are to end"):
        stop()


def test_all_are_those_of_this_home(stop, user):
    stop.live("theirs", "other-home")
    stop("--all")
    assert user.notes == ["1 worker of another MM_HOME left; mm stop MODEL ends them"]


def test_nothing_to_end_is_said(stop, user, monkeypatch):
    stop("--all")
    assert user.notes == ["no worker is running"]
    monkeypatch.setattr("sys.stdin", Terminal())
    stop()
    assert user.notes == ["no worker is running"]


def test_a_task_is_no_model_and_its_models_are_named(stop, user):
    write_model(user.root / "a", "one", task="copy")
    write_model(user.root / "a", "two", task="copy")
    with pytest.raises(UsageError, match=r"'copy' is a task, and not a model; name one or two"):
        stop("copy", manifests=[user.root / "a" / "manifests"])


def test_a_model_and_all_are_refused(stop):
    with pytest.raises(UsageError, match="--all ends every worker"):
        stop("mine", "--all")
