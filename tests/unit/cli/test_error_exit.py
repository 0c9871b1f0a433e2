"""How an error ends: a sentence, one JSON object, a log of what no one expected."""

import errno
import json
import sys

import pytest

from orchestrator.cli import error_exit
from orchestrator.cli.context import Context
from orchestrator.errors import MMError, Rejected
from tests.unit.catalog.worlds import write_model

HALF = "no such voice: \udcff\ud800"
"""Halves of surrogate pairs, as in the name of a file that is not UTF-8."""


@pytest.fixture
def context(tmp_path):
    return Context(variables={"HOME": str(tmp_path), "MM_HOME": str(tmp_path)}, cwd=tmp_path)


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (Rejected(HALF), "rejected", 2),
        (ValueError(HALF), "failed", 1),
        (KeyboardInterrupt(), "cancelled", 130),
    ],
)
def test_every_error_is_one_json_object(context, capfdbinary, error, outcome, code):
    ended, described = error_exit.outcome_of(error)
    context.out_json({"outcome": ended, "error": described})
    (line,) = capfdbinary.readouterr().out.splitlines()
    document = json.loads(line)
    assert (document["outcome"], document["error"]["exit_code"]) == (outcome, code)
    assert isinstance(error, KeyboardInterrupt) or HALF in document["error"]["message"]


@pytest.mark.parametrize(
    ("words", "model", "code"),
    [
        (["one", "--text", "a", "extra"], "one", 2),
        (["one", "--json", "--json", "--text", "a", "--text", "b"], "one", 2),
        (["one", "--nonsense"], "one", 2),
        (["none-such"], None, 2),
        (["one", "--keep-alive", "soon"], "one", 2),
    ],
)
def test_what_is_wrong_before_anything_runs_is_one_json_object(user, words, model, code):
    manifests = write_model(user.root / "a", "one")
    assert user.fails("run", *words, "--json", manifests=[manifests]) == code
    (line,) = user.out
    document = json.loads(line)
    assert document["model"] == model
    assert (document["outcome"], document["error"]["exit_code"]) == ("rejected", code)


@pytest.mark.parametrize(
    "words",
    [
        ["ps", "extra", "--json"],
        ["ps", "--json", "--nonsense"],
        ["doctor", "--json", "none-such"],
        ["model", "list", "--json", "extra"],
        ["model", "show", "none-such", "--json"],
        ["env", "list", "--json", "extra"],
        ["env", "sync", "--json", "none-such"],
        ["batch", "none-such", "x", "-o", "y", "--json"],
        ["pipeline", "run", "none-such", "--json"],
        ["none-such", "--json"],
        ["--json"],
    ],
    ids=" ".join,
)
def test_whatever_fails_with_json_prints_one_object(user, words):
    assert user.fails(*words) == 2
    (line,) = user.out
    document = json.loads(line)
    assert (document["version"], document["outcome"]) == (1, "rejected")
    assert document["error"]["exit_code"] == 2
    assert document["error"]["message"]


def test_a_pipeline_that_prints_its_object_prints_no_second_one(context, capsys):
    context.out_json({"outcome": "failed"})
    assert error_exit.conclude(MMError("1 item failed"), context, ["--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert captured.err == "mm: 1 item failed\n"


def test_without_a_wish_for_json_an_error_prints_none(user):
    manifests = write_model(user.root / "a", "one")
    for words in (
        ["run", "one", "--nonsense", "--", "--json"],
        ["env", "exec", "no", "x", "--json"],
    ):
        assert user.fails(*words, manifests=[manifests]) == 2
        assert user.out == []


def test_the_log_of_a_fault_holds_what_is_no_unicode_text(context, capsys, tmp_path):
    sys.stderr.reconfigure(errors="backslashreplace")  # as Python's own is
    assert error_exit.conclude(ValueError(HALF), context, [HALF]) == 1
    (log,) = (tmp_path / "logs").glob("fault-*.log")
    assert r"no such voice: \udcff\ud800" in log.read_text()
    assert "please report it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "full", "/x"), 3, "/x: the disk is full"),
        (OSError(errno.EMFILE, "many"), 3, "too many files are open"),
        (PermissionError(errno.EACCES, "no", "/x"), 2, "/x: permission denied"),
        (RuntimeError("can't start new thread"), 3, "no more processes or threads"),
        (MemoryError(), 3, "no memory is left"),
    ],
    ids=["disk", "descriptors", "permission", "thread", "memory"],
)
def test_what_the_machine_refuses_is_no_fault(context, capsys, error, code, said):
    assert error_exit.conclude(error, context, []) == code
    assert said in capsys.readouterr().err
    assert error_exit.outcome_of(error)[1]["exit_code"] == code


def test_the_log_of_a_fault_holds_no_credentials(context, capsys):
    url = "https://u:hunter2@host/x"
    assert error_exit.conclude(ValueError(url), context, ["--index", url]) == 1
    (log,) = (context.home.logs).iterdir()
    assert "hunter2" not in log.read_text() + capsys.readouterr().err
    assert "***@host" in log.read_text()


def test_commands_name_the_manifests_that_were_given(context, capsys):
    error = MMError(
        "tiny cannot be fetched",
        where="https://host/mm model",
        fix="run: mm model pull tiny; HF_ENDPOINT=https://x mm model pull tiny; "
        "mm model add tiny DIR",
    )
    error_exit.conclude(error, context, [])
    assert capsys.readouterr().err == f"mm: {error}\n"
    context.manifests = ("models", "of mine")
    error_exit.conclude(error, context, [])
    one = "mm --manifests=models '--manifests=of mine' model"
    assert capsys.readouterr().err == (
        f"mm: https://host/mm model: tiny cannot be fetched; run: {one} pull tiny; "
        f"HF_ENDPOINT=https://x {one} pull tiny; {one} add tiny DIR\n"
    )
