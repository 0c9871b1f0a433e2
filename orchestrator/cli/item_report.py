"""What a run over many items says meanwhile: what failed, what is doubtful, how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.cli.context import Context
    from orchestrator.pipelines.batch_run import BatchProgress

FAILURES_SHOWN = 20


@dataclass
class ItemReport:
    """Says what is new, each time it is called.

    Attributes:
        context: The command's.
        name: The model.
        progress: What has been counted.
        bar: Whether to show how far it is.
    """

    context: Context
    name: str
    progress: BatchProgress
    bar: bool = True
    _failed: int = 0
    _warned: int = 0

    def __call__(self) -> None:
        """Say it."""
        progress = self.progress
        for item, error in progress.failed[self._failed : FAILURES_SHOWN]:
            self.context.say(f"failed: {item.key}: {error}")
        for item, warning in progress.warnings[self._warned :]:
            self.context.say(f"{item.key}: {warning}")
        self._failed, self._warned = len(progress.failed), len(progress.warnings)
        if self.bar:
            ended = progress.skipped + progress.ended
            self.context.reporter.progress(self.name, str(progress), ended, progress.total)
