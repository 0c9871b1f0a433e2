"""Bars on a terminal: a line for each piece of work, and one for what it works on just now.

Imports rich, which takes time: it is imported when the first bar is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

WIDE = 60
"""Columns of a terminal that has room for bars."""

ECHO = 3
"""Columns that stay free for the echo of Ctrl-C, which would break a line that is full."""


class ProgressDisplay(Progress):
    """Draws tasks with the fields `text` and `current`, each on a line that is cut to the width."""

    def __init__(self, stream: TextIO) -> None:
        whole = Column(no_wrap=True)
        self._terminal = Console(file=stream)
        self._before = (
            SpinnerColumn(table_column=whole),
            TextColumn("{task.description}", markup=False, table_column=whole),
        )
        self._bar = BarColumn(bar_width=24, table_column=whole)
        self._text = _Cut("{task.fields[text]}", markup=False, table_column=Column())
        super().__init__(console=self._terminal, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the lines; asked for anew each time, as the terminal may have another width."""
        width = self._terminal.width
        self.columns = (*self._before, *([self._bar] if width >= WIDE else ()), self._text)
        yield Constrain(self.make_tasks_table(self.tasks), width - ECHO)
        for task in self.tasks:
            if current := task.fields["current"]:
                yield Constrain(_cut(Text(f"  {current}", style="dim")), width - ECHO)


class _Cut(TextColumn):
    """The column that gives way where a line is too long."""

    def render(self, task: Task) -> Text:
        return _cut(super().render(task))


def _cut(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
