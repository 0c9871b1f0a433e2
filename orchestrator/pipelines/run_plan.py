"""What a run would do, and why: which results are kept, and what changed where one is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from orchestrator.core.pipelines import Node
from orchestrator.core.pipelines.cache_key import Recipe, differences
from orchestrator.errors import MMError
from orchestrator.pipelines.job_runner import ModelUnusable
from orchestrator.pipelines.readiness import Readiness
from orchestrator.pipelines.run_context import RunContext
from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.step_executor import StepExecutor
from orchestrator.pipelines.step_state import PENDING, StepState


@dataclass(frozen=True)
class ItemPlan:
    """What would happen to one item of a step.

    Attributes:
        label: What people call the item; empty where the step runs once.
        kept: Whether its result is there.
        why: Why it would run; empty where it is kept.
    """

    label: str
    kept: bool
    why: str = ""


@dataclass(frozen=True)
class StepPlan:
    """What would happen to a step.

    Attributes:
        step: Its id.
        runs: The model or built-in step that it runs.
        items: By item, in order.
        unknown: Why nothing is known of its items yet; empty where that is known.
    """

    step: str
    runs: str
    items: tuple[ItemPlan, ...]
    unknown: str = ""


class RunPlanner:
    """Walks through a run without running anything.

    Args:
        run_state: The states of the run; they are filled with what is kept.
        executors: The executors of its steps, in the order of the graph.
        context: What all steps of the run share.
        last_keys: The latest keys of earlier runs, as `run_history.last_keys` returns them.
        unbuilt: Returns why what a model's results depend on is not known yet, or an empty text.
    """

    def __init__(
        self,
        run_state: RunState,
        executors: Mapping[str, StepExecutor],
        context: RunContext,
        last_keys: Mapping[tuple[str, str | int], str],
        unbuilt: Callable[[str], str],
    ) -> None:
        self._run_state = run_state
        self._readiness = Readiness(run_state, began=0.0)
        self._executors = executors
        self._store = context.store
        self._force = context.options.force
        self._last_keys = last_keys
        self._unbuilt = unbuilt

    def plans(self) -> list[StepPlan]:
        """Return what would happen to each step, in the order of the graph."""
        return [self._plan(executor.node) for executor in self._executors.values()]

    def _plan(self, node: Node) -> StepPlan:
        state = self._run_state.states[node.id]
        runs = node.runs
        if waiting := self._waiting(node):
            state.lost = True
            return StepPlan(node.id, runs, (), f"it depends on {waiting}, which would run")
        self._readiness.learn_total(state)
        items = tuple(self._item(state, index) for index in range(state.total or 0))
        state.finished = len(items)
        return StepPlan(node.id, runs, items)

    def _waiting(self, node: Node) -> str:
        """Return a step that the whole of `node` needs and that would run; empty where none is."""
        states = self._run_state.states
        needed = set(node.needs)
        if node.follows and states[node.follows].node.mapped:
            needed -= {node.follows} - node.waits_for
        if node.follows and states[node.follows].lost:
            return node.follows
        return next((name for name in sorted(needed) if not states[name].whole), "")

    def _item(self, state: StepState, index: int) -> ItemPlan:
        node = state.node
        label = self._run_state.label(state, index)
        before = self._run_state.states.get(node.follows)
        state.keys.append(None)
        if before is not None and before.node.mapped and before.keys[index] in (None, PENDING):
            return ItemPlan(label, kept=False, why=f"{before.node.id} runs again for it")
        look_up = partial(self._run_state.look_up, state, index)
        try:
            model = self._executors[node.id].model(look_up)
        except MMError as error:
            return ItemPlan(label, kept=False, why=f"it would fail: {error}")
        if why := self._unbuilt(model):
            return ItemPlan(label, kept=False, why=why)
        try:
            recipe = self._executors[node.id].recipe(look_up)
        except ModelUnusable as unusable:
            raise unusable.cause from unusable
        if node.id in self._force:
            return ItemPlan(label, kept=False, why="it is forced to")
        if not self._executors[node.id].cacheable:
            return ItemPlan(label, kept=False, why="it has an effect, and always runs")
        kept = self._store.find(recipe.key)
        if kept is None:
            return ItemPlan(label, kept=False, why=self._why(node.id, label, index, recipe))
        state.keys[index] = bytes.fromhex(kept.key)
        for name, values in kept.outputs.items():
            if isinstance(values, tuple):
                state.flows[name] = list(values)
        return ItemPlan(label, kept=True)

    def _why(self, step: str, label: str, index: int, recipe: Recipe) -> str:
        key = self._last_keys.get((step, label or index))
        if key is None:
            return "it is new"
        if key == recipe.key:
            return "its result was removed"
        kept = self._store.find(key)
        producer = self._store.producer(kept.identity) if kept is not None else None
        if kept is None or producer is None:
            return "it changed, and the result of before was removed"
        before = Recipe(producer, kept.inputs, kept.identity)
        return "; ".join(differences(before, recipe)) or "what it stands for changed"
