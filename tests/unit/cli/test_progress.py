"""Progress on a terminal is cut to its width; elsewhere lines stay, and do not name the moment."""

import io

import pytest
from rich.cells import cell_len

from orchestrator.cli.progress import TerminalReporter
from orchestrator.cli.progress_display import ProgressDisplay

SENTENCE = "港口的管理员把每一次潮水都记在一本旧账簿里" * 5
TEXT = "120 of 1,200, about 2 h 10 min left"


def drawn(width):
    stream = io.StringIO()
    display = ProgressDisplay(stream)
    display.add_task("read", total=1200, completed=120, text=TEXT, current="scan.pdf#page=121")
    display.add_task("speak", total=None, text="88", current=SENTENCE)
    display.console.width = width
    display.console.print(display.get_renderable())
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [24, 40, 80])
def test_each_line_is_cut_to_the_width(width):
    lines = drawn(width)
    assert len(lines) == 4
    assert all(cell_len(line.rstrip()) <= width - 3 for line in lines)
    assert lines[0].split()[1:2] == ["read"]
    assert ("━" in lines[0]) == (width == 80)
    assert lines[3].startswith("  港口")
    assert lines[3].rstrip().endswith("…")


def test_without_a_terminal_the_second_line_is_left_out():
    stream = io.StringIO()
    reporter = TerminalReporter(stream)
    reporter.progress("speak", "1 of 9\nThe tide rose.", 1, 9)
    assert stream.getvalue() == "mm: speak: 1 of 9\n"
