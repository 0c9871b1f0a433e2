"""Bars in a notebook: what is displayed, changed and taken away."""

import sys
from types import SimpleNamespace

import pytest

from orchestrator.system import notebook_reporter
from orchestrator.system.notebook_reporter import NotebookReporter


class Cell:
    """Keeps what is displayed, in order; each element as it is now."""

    def __init__(self):
        self.shown = []

    def display(self, content, *, raw, display_id=False):
        assert raw
        self.shown.append(content["text/html"])
        place = len(self.shown) - 1

        def update(content, *, raw):
            assert raw
            self.shown[place] = content["text/html"]

        return SimpleNamespace(update=update) if display_id else None


@pytest.fixture
def cell():
    return Cell()


@pytest.fixture
def reporter(cell):
    return NotebookReporter(cell.display, interval=0)


def test_a_bar_moves_in_its_place_and_goes(cell, reporter):
    reporter.progress("ocr", "reading <1>", 1, 4)
    reporter.note("a & b")
    reporter.progress("ocr", "reading 2", 2, 4)
    assert cell.shown == [
        '<div>ocr <progress value="2" max="4"></progress> reading 2</div>',
        "<div>a &amp; b</div>",
    ]
    reporter.finish("ocr")
    assert cell.shown[0] == ""
    reporter.progress("ocr", "again")
    assert cell.shown[2] == "<div>ocr <progress></progress> again</div>"
    reporter.finish("ocr", "done")
    assert cell.shown[2] == "<div>done</div>"


def test_what_comes_too_fast_is_left_out(cell):
    reporter = NotebookReporter(cell.display)
    for done in range(1000):
        reporter.progress("<m>", "", done, 1000)
    assert cell.shown == ['<div>&lt;m&gt; <progress value="0" max="1000"></progress> </div>']


def test_the_progress_of_a_job_is_a_bar_that_goes_with_it(cell, reporter):
    received = []
    with reporter.following("ocr", received.append) as on_event:
        for kind, params in (
            ("log", {"text": "hello"}),
            ("progress", {"done": "?", "total": 2}),
            ("progress", {"done": 1, "total": 2, "text": "page 1"}),
        ):
            on_event(SimpleNamespace(kind=kind, params=params))
        assert cell.shown == ['<div>ocr <progress value="1" max="2"></progress> page 1</div>']
    assert cell.shown == [""]
    assert [event.kind for event in received] == ["log", "progress", "progress"]


@pytest.mark.parametrize("shell", [None, SimpleNamespace()])
def test_there_is_none_outside_of_a_kernel(monkeypatch, shell):
    assert notebook_reporter.notebook_reporter() is None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert notebook_reporter.notebook_reporter() is None


def test_a_kernel_has_one(monkeypatch, cell):
    shell = SimpleNamespace(kernel=1)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=cell.display))
    reporter = notebook_reporter.notebook_reporter()
    reporter.note("hello")
    assert cell.shown == ["<div>hello</div>"]
