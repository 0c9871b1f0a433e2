"""What a model says is shown and not obeyed; elsewhere it is written as it is."""

import io
import json
import sys

import pytest

from orchestrator.cli import terminal
from orchestrator.cli.terminal import visible


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain, grün and 日本\n\ttoo", "plain, grün and 日本\n\ttoo"),
        ("\x1b[31mred\x1b[0m", r"\u001b[31mred\u001b[0m"),
        ("\x1b]0;a title\x07", r"\u001b]0;a title\u0007"),
        ("\x9b2J\r\x08\x7f", r"\u009b2J\u000d\u0008\u007f"),
        ("fine\rover\r\n", "fine\\u000dover\r\n"),
        ("\u202etxt.exe\u2066", r"\u202etxt.exe\u2066"),
        ("half \ud83d", r"half \ud83d"),
    ],
)
def test_nothing_steers_the_terminal(said, shown):
    assert visible(said) == shown


SAID = "\x1b[2Jgr\u00fcn\x9b \u202e\ud83d\r\x07\n"


@pytest.fixture
def output(monkeypatch):
    """Standard output, a terminal or not."""

    def output(*, terminal):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        stream.isatty = lambda: terminal
        monkeypatch.setattr(sys, "stdout", stream)
        return stream.buffer

    return output


def test_a_pipe_gets_a_text_byte_for_byte(output):
    written = output(terminal=False)
    terminal.write_result(SAID)
    terminal.write_result(b"\x9b\xff")
    terminal.write_result(memoryview(b"\x00"))
    expected = b"\x1b[2Jgr\xc3\xbcn\xc2\x9b \xe2\x80\xae\\ud83d\r\x07\n" + b"\x9b\xff\x00"
    assert written.getvalue() == expected


def test_a_terminal_gets_nothing_that_it_obeys_and_json_stays_json(output):
    written = output(terminal=True)
    terminal.write_result(SAID)
    expected = r"\u001b[2Jgr\u00fcn\u009b \u202e\ud83d\u000d\u0007"
    assert written.getvalue().decode() == expected.replace(r"\u00fc", "\u00fc") + "\n"
    written = output(terminal=True)
    terminal.write_result(json.dumps({"text": SAID}, ensure_ascii=False))
    assert json.loads(written.getvalue()) == {"text": SAID}
    written = output(terminal=True)
    terminal.write_result(b"raw \x9b1m")
    assert written.getvalue() == rb"raw \x9b1m"
