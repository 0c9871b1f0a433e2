"""What a pipeline gives back: its outputs, lists among them, and what failed."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import msgspec

from orchestrator.core.pipelines.graph import Graph
from orchestrator.core.value_checks import AudioValue
from orchestrator.jobs.results import Artifact, Audio
from orchestrator.pipelines.run_events import StepFailure
from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.step_values import Value


@dataclass(frozen=True)
class Counts:
    """How many items of a step ended in which way."""

    done: int = 0
    kept: int = 0
    failed: int = 0


class Items(Sequence[Any]):
    """A list output, in order; each item is read when it is asked for.

    An item that failed or was passed over is None.
    """

    def __init__(self, length: int, get: Callable[[int], Value | None]) -> None:
        self._length = length
        self._get = get

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length))]
        if not -self._length <= index < self._length:
            raise IndexError(index)
        value = self._get(index % self._length)
        return None if value is None else shown(value)

    def values(self) -> Iterator[Value | None]:
        """Yield the items as the pipeline holds them; None for what is not there."""
        for index in range(self._length):
            yield self._get(index)


class Outcome(Mapping[str, Any]):
    """The outputs of a pipeline's run, by name.

    Files lie in `MM_HOME/results` until they are cleaned; `save` them elsewhere, change none.

    Attributes:
        run: The id of the run's record.
        failures: What failed, where the run was to keep going.
        alone: For each failure the command that repeats it alone; empty where there is none.
        counts: By step, how many items were done, kept from before, or failed.
        primary: The name of the main output.
    """

    def __init__(
        self,
        graph: Graph,
        run_state: RunState,
        run: str,
        counts: Mapping[str, Counts],
        failures: Sequence[StepFailure] = (),
        alone: Sequence[str] = (),
    ) -> None:
        self._graph = graph
        self._run_state = run_state
        self.run = run
        self.counts = counts
        self.failures: tuple[StepFailure, ...] = tuple(failures)
        self.alone = tuple(alone)
        self.primary = graph.primary

    def __getitem__(self, name: str) -> Any:
        value = self.value(name)
        return value if isinstance(value, Items) or value is None else shown(value)

    @property
    def lost(self) -> list[str]:
        """The steps that did not run, because something that they need failed."""
        return [name for name, state in self._run_state.states.items() if state.lost]

    def value(self, name: str) -> Value | Items | None:
        """Return an output as the pipeline holds it; None where its step did not end well."""
        reference, _ = self._graph.outputs[name]
        state = self._run_state.states[reference.step]
        if state.node.mapped:
            return Items(
                state.begun, lambda index: _given(self._run_state.output(reference, index))
            )
        value = self._run_state.output(reference, 0)
        if isinstance(value, tuple):
            return Items(len(value), value.__getitem__)
        return _given(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph.outputs)

    def __len__(self) -> int:
        return len(self._graph.outputs)

    def __repr__(self) -> str:
        return f"Outcome(run={self.run!r}, outputs={list(self)}, failures={len(self.failures)})"


def _given(value: Any) -> Value | None:
    return None if value is msgspec.UNSET or value.absent else value


def shown(value: Value) -> Any:
    """Return a value in the form that `Result` has it in."""
    if value.file is None:
        return value.data
    if value.type == "array":
        return value.for_step()
    if value.type == "audio" and (audio := read_wav(value.file)) is not None:
        return audio
    return Artifact(value.file)


def read_wav(path: Path) -> Audio | None:
    """Return the sound in a WAV file of 16 bits; None for a file of another kind."""
    try:
        with wave.open(str(path), "rb") as reader:
            if reader.getsampwidth() != 2:
                return None
            channels, frames = reader.getnchannels(), reader.getnframes()
            shape = (frames,) if channels == 1 else (frames, channels)
            data = memoryview(reader.readframes(frames))
            return Audio(AudioValue(data, "<i2", shape, reader.getframerate()))
    except (wave.Error, EOFError):
        return None
