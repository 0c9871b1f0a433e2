"""`mm logs`: which log is printed, and how much of it."""

import io
import os
import sys

import pytest

from orchestrator.cli.logs import CHUNK
from orchestrator.errors import UsageError
from tests.unit.catalog.worlds import write_model


@pytest.fixture
def logs(user):
    """Print logs of the models `one` and `two` of the task `copy`; `one` has the newer one."""
    manifests = write_model(user.root / "a", "one")
    write_model(user.root / "a", "two")
    write_model(user.root / "a", "three", task="other")
    directory = user.root / "mm-home" / "logs" / "workers"
    directory.mkdir(parents=True)
    for when, (name, text) in enumerate(
        [
            ("two.0", "two\n"),
            ("one.1", "older\n"),
            ("one.0", "a\nb\n\nc\n"),
            ("gone.0", "gone\n"),
            ("one.7b.0", "dot\n"),
        ]
    ):
        (directory / f"{name}.log").write_text(text)
        os.utime(directory / f"{name}.log", (when, when))

    def logs(*words):
        variables = {"MM_RUNTIME_DIR": str(user.root / "r")}
        return user.mm("logs", *words, manifests=[manifests], variables=variables)

    return logs


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("one", ["a", "b", "", "c"]),
        ("two", ["two"]),
        ("copy", ["a", "b", "", "c"]),
        ("gone", ["gone"]),
        ("one.7b", ["dot"]),
    ],
)
def test_the_newest_log_of_a_model_or_of_a_task_is_printed(logs, name, printed):
    assert logs(name) == printed


def test_of_a_task_it_is_said_whose_log_it_is(logs, user):
    logs("copy")
    assert user.notes[-1] == "copy: the log of one"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("three", "no worker of three has left a log; run: mm run three …"),
        ("other", "no worker of other has left a log; run: mm run other …"),
        ("thre", "there is no model or task 'thre'; did you mean three or other?"),
        ("*", "there is no model or task '*'; run: mm model list"),
    ],
)
def test_a_name_without_a_log_is_refused(logs, name, sentence):
    with pytest.raises(UsageError) as caught:
        logs(name)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "lines", "printed"),
    [
        ("a\nb\n\nc\n", 1, "c\n"),
        ("a\nb\n\nc\n", 2, "\nc\n"),
        ("a\nb\n\nc\n", 4, "a\nb\n\nc\n"),
        ("a\nb\n\nc\n", 9, "a\nb\n\nc\n"),
        ("a\nb", 1, "b"),
        ("", 1, ""),
        ("x\n" * 200_000, 100_000, "x\n" * 100_000),
        ("a\n" + "x" * 200_000 + "\n", 1, "x" * 200_000 + "\n"),
    ],
    ids=["one", "two", "all", "more", "no end", "empty", "many", "long"],
)
def test_the_last_lines_alone(logs, user, capsys, text, lines, printed):
    (user.root / "mm-home" / "logs" / "workers" / "one.0.log").write_text(text)
    assert logs("one", "--tail", str(lines)) == printed.splitlines()


def test_a_log_is_printed_byte_for_byte_and_a_terminal_obeys_none_of_it(logs, user, monkeypatch):
    log = user.root / "mm-home" / "logs" / "workers" / "one.0.log"
    said = b"\x1b[31mred \x9b\xc2\x9b " + b"x" * (CHUNK - 12) + "ü\n".encode()  # in two reads
    log.write_bytes(said)
    binary = io.BytesIO()
    stream = io.TextIOWrapper(binary)
    monkeypatch.setattr(sys, "stdout", stream)
    logs("one")
    assert binary.getvalue() == said
    binary.truncate(0), binary.seek(0)
    stream.isatty = lambda: True
    logs("one")
    shown = binary.getvalue().decode()
    assert shown.startswith(r"\u001b[31mred \x9b\u009b x")
    assert shown.endswith("xü\n")
