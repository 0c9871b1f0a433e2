"""What is known of each step while a pipeline runs; the coordinator alone changes it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from orchestrator.core.pipelines.graph import Node
from orchestrator.pipelines.step_values import Value

PENDING = b""
"""Stands for the key of an item that a thread is working on."""


@dataclass
class StepState:
    """What is known of one step.

    Attributes:
        total: How many items there are; None while that is not known.
        keys: By item that was begun, the key of its result; None where there is none.
        ends: By item that was begun, when it ended.
        latest: When the latest of them ended.
        running: How many items are in threads now.
        finished: How many ended, in whatever way.
        flows: By output, the items of a list that the step itself returns, as they come.
        arrivals: By output, when each of these came.
        permits: By output, how many of these it may have made by now.
        extra: What was granted beyond the limit because everything else stood still.
        fed: By input that is taken while it grows, how many items there are to take.
        ended: Those of these inputs of which no more will come.
        asked: How many items of each the step has asked for, the one it waits for included.
        lost: Whether the step will not run, or not to its end, because something before it failed.
    """

    node: Node
    total: int | None = None
    keys: list[bytes | None] = field(default_factory=list)
    ends: array[float] = field(default_factory=lambda: array("d"))
    latest: float = 0.0
    running: int = 0
    finished: int = 0
    flows: dict[str, list[Value]] = field(default_factory=dict)
    arrivals: dict[str, array[float]] = field(default_factory=dict)
    permits: dict[str, int] = field(default_factory=dict)
    extra: int = 0
    fed: dict[str, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    asked: dict[str, int] = field(default_factory=dict)
    lost: bool = False

    @property
    def begun(self) -> int:
        """How many items were handed to a thread, or skipped."""
        return len(self.keys)

    @property
    def over(self) -> bool:
        """Whether nothing more will come from it."""
        return self.lost or (self.total is not None and self.finished >= self.total)

    @property
    def whole(self) -> bool:
        """Whether it is over and every item has a result."""
        return self.over and not self.lost and None not in self.keys

    @property
    def busy(self) -> bool:
        """Whether a thread of it goes on without a further permit or item."""
        return self.running > 0 and not self.at_gate and not self.hungry

    @property
    def at_gate(self) -> bool:
        """Whether it has made as many items of a list as it may by now."""
        return any(len(items) >= self.permits[name] for name, items in self.flows.items())

    @property
    def hungry(self) -> bool:
        """Whether it waits for an item that is not there yet."""
        return any(not self.is_answered(name, count - 1) for name, count in self.asked.items())

    def is_answered(self, name: str, number: int) -> bool:
        """Return whether that item of an input is there to take, or will never come."""
        return number < self.fed[name] or name in self.ended

    def begin(self) -> int:
        """Count the next item as one that a thread works on; return its number."""
        self.keys.append(PENDING)
        self.ends.append(0.0)
        self.running += 1
        return self.begun - 1

    def end(self, index: int, key: bytes | None, moment: float) -> None:
        """Count an item as ended."""
        self.keys[index] = key
        self.ends[index] = self.latest = moment
        self.running -= 1
        self.finished += 1

    def skip(self, moment: float) -> None:
        """Count the next item as ended without a result, because it lacks what it needs."""
        self.begin()
        self.end(self.begun - 1, None, moment)

    def ask(self, name: str) -> None:
        """Count an item of an input as wanted by the step, which waits for it."""
        self.asked[name] += 1

    def arrive(self, output: str, value: Value, moment: float) -> None:
        """Take an item of a list that the step itself returns."""
        self.flows[output].append(value)
        self.arrivals[output].append(moment)


def initial_state(node: Node) -> StepState:
    """Return the state of a step of which nothing has run yet."""
    lists = [name for name, kind in node.signature.outputs.items() if kind.many]
    return StepState(
        node,
        None if node.mapped else 1,
        flows={name: [] for name in lists},
        permits=dict.fromkeys(lists, 0),
        fed=dict.fromkeys(node.streams, 0),
        asked=dict.fromkeys(node.streams, 0),
        arrivals={name: array("d") for name in lists},
    )
