"""How an error ends: a sentence, one JSON object, a log of what no one expected."""

import json
import sys

import click
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
    with pytest.raises((MMError, click.ClickException)):
        user.mm("run", *words, "--json", manifests=[manifests])
    (line,) = user.out
    document = json.loads(line)
    assert document["model"] == model
    assert (document["outcome"], document["error"]["exit_code"]) == ("rejected", code)


def test_without_a_wish_for_json_an_error_prints_none(user):
    manifests = write_model(user.root / "a", "one")
    with pytest.raises(click.ClickException):
        user.mm("run", "one", "--nonsense", "--", "--json", manifests=[manifests])
    assert user.out == []


def test_the_log_of_a_fault_holds_what_is_no_unicode_text(context, capsys, tmp_path):
    sys.stderr.reconfigure(errors="backslashreplace")  # as Python's own is
    assert error_exit.conclude(ValueError(HALF), context, [HALF]) == 1
    (log,) = (tmp_path / "logs").glob("fault-*.log")
    assert r"no such voice: \udcff\ud800" in log.read_text()
    assert "please report it" in capsys.readouterr().err
