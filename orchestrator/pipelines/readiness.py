"""What may run next: which items are there, what they wait for, and how far a step may be ahead.

Items flow: a step takes an item as soon as the step before has made it, in order. No step gets
further than `AHEAD` items before the slowest that takes them, so that neither memory nor disk fills
with what no step has taken.
"""

from __future__ import annotations

import sys

from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.step_state import PENDING, StepState

AHEAD = 8
"""Items that a step may be ahead of those that take them, beside what these are working on."""


class Readiness:
    """Decides from the states of a run; changes nothing but totals and grants.

    Args:
        run_state: The run.
        began: When it began, in seconds of `time.time()`.
    """

    def __init__(self, run_state: RunState, began: float) -> None:
        self._run_state = run_state
        self._began = began
        self.states = run_state.states
        self._takers = {
            name: [state for state in self.states.values() if state.node.follows == name]
            for name in self.states
        }
        self._streaming = [state for state in self.states.values() if state.node.streams]

    def is_lost(self, state: StepState) -> bool:
        """Return whether a step lacks, for good, something that all of its items need."""
        needed = [self.states[name] for name in state.node.waits_for]
        before = self.states.get(state.node.follows)
        if before is not None:
            if before.lost:
                return True
            if not before.node.mapped:
                needed.append(before)
        for name, source in state.node.streams.items():
            before, index = self.states[source.step], state.fed[name]
            if before.node.mapped and index < before.begun and before.keys[index] is None:
                return True  # its next item failed
            needed.append(before)
        return any(each.over and not each.whole for each in needed)

    def feed(self) -> None:
        """Count the items that are there for the steps that take lists while they grow."""
        for state in self._streaming:
            for name, source in state.node.streams.items():
                before, count = self.states[source.step], state.fed[name]
                if before.node.mapped:
                    while count < before.begun and before.keys[count] not in (None, PENDING):
                        count += 1
                else:
                    count = len(before.flows[source.name])
                state.fed[name] = count
                if before.whole:
                    state.ended.add(name)

    def is_ready(self, state: StepState) -> bool:
        """Return whether a step has its next item, a thread for it, and all that it waits for."""
        index = state.begun
        if state.total is not None and index >= state.total:
            return False
        if state.running >= state.node.step.workers:
            return False
        if not self._has_whole(state):
            return False
        if len(state.ended) < len(state.fed) and not any(state.fed.values()):
            return False
        source = state.node.source
        if source is None or source.root == "inputs":
            return True
        before = self.states[source.step]
        if before.node.mapped:
            return index < before.begun and before.keys[index] != PENDING
        return index < len(before.flows[source.name])

    def _has_whole(self, state: StepState) -> bool:
        """Whether the steps of which it needs everything have ended."""
        return all(self.states[name].over for name in state.node.waits_for)

    def is_skipped(self, state: StepState) -> bool:
        """Return whether the next item of a step, which is ready, failed in the step before."""
        before = self.states.get(state.node.follows)
        return before is not None and before.node.mapped and before.keys[state.begun] is None

    def ready_since(self, state: StepState) -> float:
        """Return when the next item of a step, which is ready, had all that it needs."""
        moments = [self._began, *(self.states[name].latest for name in state.node.waits_for)]
        wanted = [(each, 0) for each in state.node.streams.values()]
        if state.node.source is not None and state.node.source.step:
            wanted.append((state.node.source, state.begun))
        for source, index in wanted:
            before = self.states[source.step]
            arrived = before.ends if before.node.mapped else before.arrivals[source.name]
            moments += arrived[index : index + 1]
        return max(moments)

    def learn_total(self, state: StepState) -> bool:
        """Set how many items a step has, as soon as that is known; return whether it is new."""
        source = state.node.source
        if state.total is not None or source is None:
            return False
        if source.root == "inputs":
            state.total = len(self._run_state.list(source))
        elif self.states[source.step].node.mapped:
            state.total = self.states[source.step].total
        elif self.states[source.step].over:
            state.total = len(self.states[source.step].flows[source.name])
        return state.total is not None

    def limit(self, state: StepState, output: str = "") -> int:
        """Return how many items a step may have begun, for the sake of those that take them.

        Args:
            state: The step.
            output: The list of its own of which it is asked how many items it may have.
        """
        taken = [
            each.finished
            for each in self._takers[state.node.id]
            if not each.over and each.node.source and output in ("", each.node.source.name)
        ]
        for each in self._streaming:
            # A step that waits for more than the list does not hold back what makes it.
            if not each.over and self._has_whole(each):
                taken += [
                    each.asked[name]
                    for name, of in each.node.streams.items()
                    if of.step == state.node.id and output in ("", of.name)
                ]
        if not taken:
            return sys.maxsize
        slowest = min(taken)
        return slowest + AHEAD + state.node.step.workers + state.extra

    def let_through(self) -> bool:
        """Where everything stands still, let the first step that is held back go on a little.

        This happens when a step waits for all items of another, and is itself needed by one that
        takes these items one by one.
        """
        for state in self.states.values():
            held = not state.over and self.is_ready(state)
            if state.flows:
                held = state.running > 0 and state.at_gate
            if held:
                state.extra += AHEAD
                return True
        return False
