"""Bars on a terminal: a line for each piece of work, and one for what it works on just now.

Imports rich, which takes time: it is imported when the first bar is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column
from rich.text import Text

WIDE = 60
"""Columns of a terminal that has room for bars."""


class ProgressDisplay(Progress):
    """Draws tasks with the fields `text` and `current`, each on a line that is cut to the width."""

    def __init__(self, stream: TextIO) -> None:
        self._spinner = SpinnerColumn()
        self._name = TextColumn("{task.description}", markup=False)
        self._bar = BarColumn(bar_width=24)
        cut = Column(no_wrap=True, overflow="ellipsis")
        self._text = TextColumn("{task.fields[text]}", markup=False, table_column=cut)
        self._terminal = Console(file=stream)
        super().__init__(console=self._terminal, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the lines; asked for anew each time, as the terminal may have another width."""
        bar = [self._bar] if self._terminal.width >= WIDE else []
        self.columns = (self._spinner, self._name, *bar, self._text)
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if current := task.fields["current"]:
                yield Text(f"  {current}", style="dim", no_wrap=True, overflow="ellipsis")
