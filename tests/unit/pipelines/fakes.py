"""Models that are functions, and a short way from YAML to a scheduler over them."""

from __future__ import annotations

import array
import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.core.manifest import Input
from orchestrator.core.names import BUILT_IN_STEPS
from orchestrator.core.pipelines import Kind, Port, Signature, check, read_pipeline
from orchestrator.core.pipelines.step_signatures import port_of
from orchestrator.core.value_checks import AudioValue
from orchestrator.errors import EnvironmentFailure, UsageError
from orchestrator.jobs.in_flight import InFlightJobs
from orchestrator.jobs.results import Audio, Result
from orchestrator.pipelines.result_store import ResultStore
from orchestrator.pipelines.run_context import RunContext, RunOptions
from orchestrator.pipelines.run_events import ItemDone, ItemFailed, Preparation, StepProgress
from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.scheduler import Scheduler
from orchestrator.pipelines.step_executor import step_executors
from orchestrator.pipelines.step_values import given
from orchestrator.steps import builtin

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from orchestrator.core.pipelines.declaration import Step
    from orchestrator.jobs.job import Job
    from orchestrator.pipelines.run_events import RunEvent, Span


VOICES = ("plain", "wide")
"""The models of the task `voice`, of which each item's text chooses."""

SOUNDS = {
    "say": Signature(
        "say", {"text": Port(Kind("text"), True)}, {"audio": Kind("audio")}, model=True
    ),
    "tune": Signature(
        "tune", {"audio": Port(Kind("audio"), True)}, {"audio": Kind("audio")}, model=True
    ),
    "tts": Signature(
        "tts", {"text": Port(Kind("text"), True)}, {"audio": Kind("audio")}, model=True
    ),
}
"""Models that return a sound."""

READER = Signature(
    "ocr",
    {"image": Port(Kind("image"), True)},
    {"text": Kind("text"), "markdown": Kind("text"), "boxes": Kind("json")},
    model=True,
)
"""A model that returns all of its outputs by name, or some."""


def sound(*samples: int) -> Audio:
    """Return a sound of 8000 Hz."""
    data = array.array("h", samples).tobytes()
    return Audio(AudioValue(memoryview(data), "<i2", (len(samples),), 8000))


class FakeModels:
    """Models by name: functions of their inputs. Counts what was asked of them.

    A function returns the text or the sound of its model, and warnings behind it if there are any;
    or its outputs by name.
    """

    def __init__(self, **models: Callable[..., Any]) -> None:
        self.models = models
        self.versions = dict.fromkeys(models, "1")
        self.ran: list[tuple[str, dict[str, Any]]] = []
        self.prepared: list[str] = []
        self.broken: set[str] = set()
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()

    def produced_by(self, job: Job) -> Mapping[str, Any]:
        return {"model": job.name, "runner": self.versions[job.name]}

    def model_for(self, job: Job) -> str:
        """Return `plain` for ASCII, `wide` for other texts, and none for a question mark."""
        assert job.name == "voice"
        assert job.candidates == VOICES
        text = str(job.inputs.get("text", ""))
        if "?" in text:
            raise UsageError(f"no model speaks {text}")
        return VOICES[not text.isascii()]

    def load(self, job: Job) -> None:
        if job.name in self.broken:
            raise EnvironmentFailure(f"{job.name} does not load")
        self.prepared.append(job.name)

    def execute(self, job: Job) -> Result:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
            self.ran.append((job.name, dict(job.inputs)))
        try:
            made = self.models[job.name](**job.inputs)
        finally:
            with self._lock:
                self._running -= 1
        value, *warnings = made if isinstance(made, tuple) else (made,)
        primary = "audio" if job.name in SOUNDS else "text"
        outputs = value if isinstance(value, dict) else {primary: value}
        return Result(outputs, job.name, primary, dict, {"run": 0.5}, warnings=tuple(warnings))

    def signature(self, step: Step) -> Signature:
        if step.run in BUILT_IN_STEPS:
            return builtin(step.run).signature
        if step.run in SOUNDS:
            return SOUNDS[step.run]
        if step.run == READER.name:
            return READER
        inputs = {
            "text": port_of(Input(type="text", required=True)),
            "texts": port_of(Input(type="text", list=True)),
            "extra": port_of(Input(type="text")),
            "page": port_of(Input(type="image")),
        }
        if step.run == "voice":
            one = Signature("plain", inputs, {"text": Kind("text")}, model=True)
            return replace(one, candidates=VOICES)
        return Signature(step.run, inputs, {"text": Kind("text")}, model=True)


class Observed:
    """An observer that keeps what happened."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, int | None, str]] = []
        self.failures: list[tuple[str, int | None, str]] = []
        self.latest: dict[str, tuple[int, int | None]] = {}
        self.spans: list[tuple[str, Span]] = []
        self.preparations: list[tuple[str, str]] = []
        self.warnings: list[tuple[str, int | None, str]] = []

    def on_event(self, event: RunEvent) -> None:
        match event:
            case ItemDone(step, index, _, result, span):
                self.warnings += [(step, index, warning) for warning in result.warnings]
                self.spans.append((step, span))
                self.ended.append((step, index, "kept" if result.reused else "done"))
            case ItemFailed(failure):
                self.failures.append((failure.step, failure.index, str(failure.error)))
            case StepProgress(step, finished, total):
                self.latest[step] = (finished, total)
            case Preparation(step, part):
                self.preparations.append((step, part))


class Run:
    """A pipeline over fake models, run once."""

    def __init__(
        self,
        yaml: str,
        models: FakeModels,
        directory: Path,
        *,
        store: ResultStore | None = None,
        force: Collection[str] = (),
        retries: int = 0,
        keep_going: bool = False,
        **inputs: Any,
    ) -> None:
        declaration, where = read_pipeline(yaml.encode(), file="p.yaml", stem="p")
        graph, problems = check(declaration, where, models.signature)
        assert problems == []
        assert graph is not None
        self.graph = graph
        values = {
            name: given(declaration.inputs[name].type, value, many=declaration.inputs[name].list)
            for name, value in inputs.items()
        }
        self.store = store or ResultStore(directory / "results")
        self.observed = Observed()
        numbers = itertools.count()

        def scratch() -> Path:
            path = directory / f"job-{next(numbers)}"
            path.mkdir()
            return path

        self.run_state = RunState(self.graph, values, self.store)
        options = RunOptions(keep_going, retries, force=frozenset(force))
        context = RunContext(
            models, self.store, scratch, options, InFlightJobs(), self.observed.on_event
        )
        self.scheduler = Scheduler(self.run_state, step_executors(self.graph, context), context)
        self.scheduler.run()

    def output(self, name: str) -> Any:
        value = self.run_state.value(self.graph.outputs[name][0])
        return [each.data for each in value] if isinstance(value, tuple) else value.data
