"""Observes a run: counts for the outcome, writes the record, reports to the user."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from orchestrator.core.pipelines.references import Reference
from orchestrator.core.units import format_left
from orchestrator.errors import MMError
from orchestrator.pipelines.outcome import Counts
from orchestrator.pipelines.pace import Pace
from orchestrator.pipelines.readiness import AHEAD
from orchestrator.pipelines.run_events import (
    ItemBegan,
    ItemDone,
    ItemFailed,
    RunEvent,
    StepFailure,
    StepProgress,
)
from orchestrator.pipelines.run_record import RunRecord
from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.step_failures import is_rejection, repeat_command
from orchestrator.pipelines.step_values import Value, for_step, resolve_inputs
from orchestrator.system.reporter import Reporter


class RunObserver:
    """Counts, records and reports what happens in a run.

    Args:
        record: The run's record.
        reporter: Receives notes and progress.
        run_state: The states of its steps.

    Attributes:
        counted: By step, how many items ended in which way.
        commands: For each failure, in their order, the command that repeats it; empty where there
            is none, or the input was rejected.
    """

    def __init__(self, record: RunRecord, reporter: Reporter, run_state: RunState) -> None:
        self._record = record
        self._reporter = reporter
        self._run_state = run_state
        self.counted = dict.fromkeys(run_state.states, Counts())
        self.commands: list[str] = []
        self._paces = {
            name: Pace(AHEAD if self._is_waited_for(name) else 0) for name in self.counted
        }
        self._current: dict[str, str] = {}

    def on_event(self, event: RunEvent) -> None:
        """Take what happened in the run."""
        if isinstance(event, ItemBegan):
            self._began(event)
        elif isinstance(event, ItemDone):
            self._done(event)
        elif isinstance(event, ItemFailed):
            self._failed(event)
        elif isinstance(event, StepProgress):
            self._progress(event)
        else:
            self._record.prepared(event)

    def finish(self) -> None:
        """Take the progress of every step away."""
        for name in self._run_state.states:
            self._reporter.finish(name)

    def _is_waited_for(self, step: str) -> bool:
        """Return whether other steps take its items one by one, and it must wait for them."""
        nodes = [state.node for state in self._run_state.states.values()]
        return any(
            node.follows == step or any(each.step == step for each in node.streams.values())
            for node in nodes
        )

    def _began(self, event: ItemBegan) -> None:
        state = self._run_state.states[event.step]
        source = state.node.source
        item: object = None
        with suppress(MMError):  # its result was taken away: the step will say so
            item = self._run_state.item(source, event.item) if source is not None else None
        text = item.data if isinstance(item, Value) and item.type == "text" else ""
        name = self._run_state.label(state, event.item).rpartition("/")[2]
        self._current[event.step] = str(text or name)
        self._progress(StepProgress(event.step, state.finished, state.total))

    def _done(self, event: ItemDone) -> None:
        reused = event.result.reused
        self._count(event.step, done=not reused, kept=reused)
        if not reused and event.index is not None:
            self._paces[event.step].count(self.counted[event.step].done, event.span.ended)
        self._record.done(event)
        for warning in event.result.warnings:
            self._reporter.note(f"{event.step}{_on(event.label)}: {warning}")

    def _failed(self, event: ItemFailed) -> None:
        failure = event.failure
        self._count(failure.step, failed=True)
        # What was rejected once is rejected again.
        command = "" if is_rejection(failure) else self._repeat_command(failure)
        self.commands.append(command)
        self._record.failed(event, command)
        self._reporter.note(f"{failure.step} failed{_on(failure.label)}: {failure.error}")

    def _progress(self, event: StepProgress) -> None:
        pace, left, over = self._paces[event.step], None, event.finished == event.total
        if not self._run_state.states[event.step].node.mapped:
            pace.count(event.finished, time.time())
        text = f"{event.finished:,}"
        if event.total is not None:
            text += f" of {event.total:,}"
            left = pace.left(event.total - event.finished)
        if left and not over:
            text += f", about {format_left(left)} left"
        current = "" if over else " ".join(self._current.get(event.step, "").split())
        self._reporter.progress(event.step, f"{text}\n{current}", event.finished, event.total or 0)

    def _count(
        self, step: str, *, done: bool = False, kept: bool = False, failed: bool = False
    ) -> None:
        was = self.counted[step]
        self.counted[step] = Counts(was.done + done, was.kept + kept, was.failed + failed)

    def _repeat_command(self, failure: StepFailure) -> str:
        """Return the command that repeats what failed, alone; empty where there is none."""
        state = self._run_state.states[failure.step]
        node, index = state.node, failure.index or 0
        if not node.signature.model:
            return ""

        def spill(name: str, text: str) -> Path:
            return self._record.spill(f"{failure.step}-{index + 1}.{name}.txt", text)

        def look_up(reference: Reference) -> object:
            return self._run_state.look_up(state, index, reference)

        chosen = {"--device": node.step.device, "--dtype": node.step.dtype}
        options = [word for pair in chosen.items() if pair[1] != "auto" for word in pair]
        try:
            inputs = resolve_inputs(node, look_up)
            arguments = {name: for_step(values) for name, values in inputs.items()}
            return repeat_command(node.runs, arguments, spill, options)
        except MMError:  # what it was given fits into no command line, or was not there
            return ""


def _on(label: str) -> str:
    return f" on {label}" if label else ""
