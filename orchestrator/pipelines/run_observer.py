"""Hears what happens in a run: counts it for the outcome, records it, tells it to people."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.core.pipelines.references import Reference
from orchestrator.errors import MMError
from orchestrator.pipelines.outcome import Counts
from orchestrator.pipelines.step_failures import command_alone, is_rejection

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.core.pipelines import Graph
    from orchestrator.pipelines.run_record import RunRecord
    from orchestrator.pipelines.run_state import RunState
    from orchestrator.pipelines.step_executor import StepExecutor, StepResult
    from orchestrator.pipelines.step_state import Span, StepFailure
    from orchestrator.reporting import Reporter


class RunObserver:
    """Counts, records and reports what happens in a run.

    Args:
        record: The run's record.
        reporter: Who tells people.
        graph: The pipeline.
        alone: Returns the command that repeats alone what failed; empty where there is none.

    Attributes:
        counted: By step, how many items ended in which way.
        commands: For each failure, in their order, the command that repeats it; empty where there
            is none, or the input was rejected.
    """

    def __init__(
        self,
        record: RunRecord,
        reporter: Reporter,
        graph: Graph,
        alone: Callable[[StepFailure], str],
    ) -> None:
        self._record = record
        self._reporter = reporter
        self._graph = graph
        self._alone = alone
        self.counted = dict.fromkeys(graph.nodes, Counts())
        self.commands: list[str] = []

    def done(self, step: str, index: int | None, label: str, done: StepResult, turn: Span) -> None:
        """Count and record a result, and say why it may not be what was asked for."""
        was = self.counted[step]
        self.counted[step] = Counts(
            was.done + (not done.reused), was.kept + done.reused, was.failed
        )
        self._record.done(step, index, label, done, turn)
        at = f" on {label}" if label else ""
        for warning in done.warnings:
            self._reporter.note(f"{step}{at}: {warning}")

    def failed(self, failure: StepFailure, turn: Span) -> None:
        """Count, record and tell a failure."""
        was = self.counted[failure.step]
        self.counted[failure.step] = Counts(was.done, was.kept, was.failed + 1)
        # What was rejected once is rejected again.
        self.commands.append("" if is_rejection(failure) else self._alone(failure))
        self._record.failed(failure, turn, self.commands[-1])
        at = f" on {failure.label}" if failure.label else ""
        self._reporter.note(f"{failure.step} failed{at}: {failure.error}")

    def counts(self, step: str, finished: int, total: int | None) -> None:
        """Show how far a step is."""
        if self._graph.nodes[step].mapped:
            text = f"{finished} of {total}" if total is not None else f"{finished}"
            self._reporter.progress(step, text, finished, total or 0)

    def prepared(self, step: str, part: str, began: float, seconds: float) -> None:
        """Record an environment or a first load."""
        self._record.prepared(step, part, began, seconds)

    def finish(self) -> None:
        """Take the progress of every step away."""
        for name in self._graph.nodes:
            self._reporter.finish(name)


def repeating(
    run_state: RunState, executor: StepExecutor, record: RunRecord, failure: StepFailure
) -> str:
    """Return the command that repeats what failed, alone; empty where there is none."""
    node = executor.node
    index = failure.index or 0
    if not node.signature.model:
        return ""

    def spill(name: str, text: str) -> Path:
        return record.spill(f"{failure.step}-{index + 1}.{name}.txt", text)

    def look_up(reference: Reference) -> object:
        return run_state.look_up(run_state.states[failure.step], index, reference)

    chosen = {"--device": node.step.device, "--dtype": node.step.dtype}
    options = [word for pair in chosen.items() if pair[1] != "auto" for word in pair]
    try:
        return command_alone(node.signature.name, executor.arguments(look_up), spill, options)
    except MMError:  # what it was given fits into no command line, or was not there
        return ""
