"""What is told of a runner's errors, whatever they are made of."""

import errno
import importlib
import inspect
import os

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


PACKAGE = {
    "/models/m/runner/__init__.py": (
        "from .lines import upper\n"
        "from .deep.table import NAMES\n"
        "def load(context): return NAMES\n"
        "def run(model, job, *, text): return upper(text)\n"
    ),
    "/models/m/runner/lines.py": (
        "# -*- coding: latin-1 -*-\ndef upper(text):\n    return text.upper() + 'é'\n"
    ),
    "/models/m/runner/deep/__init__.py": "",
    "/models/m/runner/deep/table.py": "from ..lines import upper\nNAMES = [upper('a')]\n",
}


@pytest.fixture
def imported():
    yield runner.import_runner
    runner._forget()


def test_a_folder_is_a_package_that_is_executed_from_its_texts(imported):
    module = imported(PACKAGE)
    assert module.load(None) == ["Aé"]
    assert module.run(None, None, text="b") == "Bé"
    assert module.__file__ == "/models/m/runner/__init__.py"
    assert inspect.getsource(module.upper).startswith("def upper(text):")


def test_a_second_import_has_nothing_of_the_first(imported):
    with pytest.raises(ModuleNotFoundError, match=r"mm_runner\.lines"):
        imported({"/m/runner/__init__.py": PACKAGE["/models/m/runner/__init__.py"]})
    assert imported(PACKAGE).load(None) == ["Aé"]
    assert imported({"/m/runner.py": "load = run = print"}).__file__ == "/m/runner.py"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("mm_runner.lines")


def test_a_traceback_shows_the_text_that_was_executed_and_no_frame_of_ours(imported, tmp_path):
    folder = tmp_path / "runner"
    folder.mkdir()
    broken = folder / "lines.py"
    broken.write_text("edited = 'since'\n" * 3)
    files = {str(folder / "__init__.py"): "from . import lines\n", str(broken): "\n\n1 / 0\n"}
    with pytest.raises(ZeroDivisionError) as caught:
        imported(files)
    trace = runner.traceback_of(caught.value)
    assert "1 / 0" in trace
    assert "since" not in trace
    assert [line.split('"')[1] for line in trace.splitlines() if "File" in line] == list(files)
    assert sorted(os.listdir(folder)) == ["lines.py"]


@pytest.mark.parametrize("files", [{}, {"/m/runner.py": 3}])
def test_files_that_are_no_texts_are_refused(imported, files):
    with pytest.raises(TypeError, match="texts"):
        imported(files)


def raised_from(cause):
    error = RuntimeError("could not save")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "full"), errno.ENOSPC),
        (raised_from(raised_from(OSError(errno.EMFILE, "many"))), errno.EMFILE),
        (OSError(errno.ENOENT, "none"), 0),
        (OSError("no number"), 0),
        (raised_from(None), 0),
        (ValueError("x"), 0),
    ],
    ids=["full", "from", "path", "no number", "no cause", "other"],
)
def test_what_the_machine_refuses_is_seen_through_the_errors_raised_from_it(error, number):
    assert runner.refused(error) == number
