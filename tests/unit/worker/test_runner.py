"""What is told of a runner's errors, whatever they are made of."""

import pytest

from orchestrator.worker import runner

NAMELESS = {"__builtins__": __builtins__}
"""The global names of code that belongs to no module; a class made there has no `__module__`."""


class Text(str):
    __slots__ = ()

    def strip(self, *_):
        raise SystemExit("strip")

    splitlines = strip


class Unprintable(Exception):
    def __str__(self):
        raise SystemExit("str")


class Odd(Exception):
    def __str__(self):
        return Text("odd")


class Stranger(Exception):
    __module__ = None


class Meta(type):
    def __getattribute__(cls, name):
        if name in ("__module__", "__name__", "__qualname__"):
            raise KeyboardInterrupt
        return super().__getattribute__(name)


class Shy(Exception, metaclass=Meta):
    pass


class Liar(Exception):
    @property
    def __traceback__(self):
        raise GeneratorExit

    __cause__ = __context__ = __class__ = __traceback__


def nameless(text):
    return eval("type('Nameless', (Exception,), {})", NAMELESS)(text)


def chained(text):
    error = None
    for _ in range(3000):
        error, cause = ValueError(text), error
        error.__cause__ = cause
    return error


def caught(error):
    """Return `error` as the worker has it: with its own frame and the runner's."""

    def run():
        raise error

    try:
        run()
    except BaseException as same:  # noqa: BLE001 - it may be anything
        return same


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (nameless("as asked"), "Nameless: as asked"),
        (Stranger("as asked"), "Stranger: as asked"),
        (Unprintable(), "Unprintable: (its text cannot be shown: SystemExit)"),
        (Odd(), "Odd: odd"),
        (Shy("as asked"), "Shy: as asked"),
        (Liar("as asked"), "Liar: as asked"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(4), "SystemExit: 4"),
        (ValueError("half \ud800"), "ValueError: half \ud800"),
        (ValueError("two\nlines"), "ValueError: two"),
        (chained("as asked"), "ValueError: as asked"),
    ],
    ids=[
        "without a module",
        "of no module",
        "without a text",
        "a text of its own kind",
        "without a name",
        "lies of itself",
        "interrupt",
        "exit",
        "half a surrogate pair",
        "lines",
        "a long chain",
    ],
)
def test_every_error_has_a_line_and_a_traceback(error, line):
    same = caught(error)
    assert runner.last_line(same) == line
    trace = runner.traceback_of(same)
    assert "Traceback (most recent call last):\n" in trace
    assert "raise error" in trace
    assert "in caught" not in trace


def test_a_line_is_cut_and_a_text_is_not():
    error = ValueError("x" * 10_000_000)
    assert len(runner.last_line(error)) < 10_000
    assert len(runner.text_of(error)) == 10_000_000
