"""Models that are functions, and a short way from YAML to a scheduler over them."""

import itertools
import threading

from orchestrator.core.manifest import Input
from orchestrator.core.pipelines import Kind, Port, Signature, check, read_pipeline
from orchestrator.core.pipelines.signatures import port_of
from orchestrator.pipelines.board import Board
from orchestrator.pipelines.flight import InFlight
from orchestrator.pipelines.pipeline import RunOptions, desks_of
from orchestrator.pipelines.scheduler import Scheduler
from orchestrator.pipelines.store import ResultStore
from orchestrator.pipelines.values import given
from orchestrator.results import Result
from orchestrator.steps import NAMES, builtin

LIST = Signature(
    "lister", {"count": Port(Kind("integer"), True)}, {"items": Kind("text", many=True)}
)


class FakeModels:
    """Models by name: functions of their inputs. Counts what was asked of them."""

    def __init__(self, **models):
        self.models = models
        self.versions = dict.fromkeys(models, "1")
        self.ran = []
        self.prepared = []
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()

    def produced_by(self, job):
        return {"model": job.name, "runner": self.versions[job.name]}

    def load(self, job):
        self.prepared.append(job.name)

    def execute(self, job):
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
            self.ran.append((job.name, dict(job.inputs)))
        try:
            text = self.models[job.name](**job.inputs)
        finally:
            with self._lock:
                self._running -= 1
        return Result(
            {"text": text}, model=job.name, primary="text", receipt=dict, timings={"run": 0.5}
        )

    def signature(self, step):
        if step.run in NAMES:
            return builtin(step.run).signature
        inputs = {
            "text": port_of(Input(type="text", required=True)),
            "texts": port_of(Input(type="text", list=True)),
            "extra": port_of(Input(type="text")),
        }
        return Signature(step.run, inputs, {"text": Kind("text")}, model=True)


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self):
        self.ended = []
        self.failures = []
        self.latest = {}
        self.turns = []
        self.preparations = []

    def done(self, step, index, label, done, turn):
        self.turns.append((step, turn))
        self.ended.append((step, index, "kept" if done.reused else "done"))

    def failed(self, failure, turn):
        self.failures.append((failure.step, failure.index, str(failure.error)))

    def counts(self, step, finished, total):
        self.latest[step] = (finished, total)

    def prepared(self, step, part, began, seconds):
        self.preparations.append((step, part))


class Run:
    """A pipeline over fake models, run once."""

    def __init__(self, yaml, models, directory, *, store=None, force=(), retries=0,
                 keep_going=False, **inputs):  # fmt: skip
        declaration, where = read_pipeline(yaml.encode(), file="p.yaml", stem="p")
        self.graph, problems = check(declaration, where, models.signature)
        assert problems == []
        values = {
            name: given(declaration.inputs[name].type, value, many=declaration.inputs[name].list)
            for name, value in inputs.items()
        }
        self.store = store or ResultStore(directory / "results")
        self.heard = Heard()
        self.flight = InFlight()
        numbers = itertools.count()

        def scratch():
            path = directory / f"job-{next(numbers)}"
            path.mkdir()
            return path

        self.board = Board(self.graph, values, self.store)
        self.desks = {}
        self.scheduler = Scheduler(
            self.board, self.desks, self.flight, self.heard, keep_going=keep_going
        )
        options = RunOptions(retries=retries, force=frozenset(force))
        self.desks |= desks_of(
            self.graph, models, self.store, scratch, options, self.flight, self.scheduler
        )
        self.scheduler.run()

    def output(self, name):
        value = self.board.value(self.graph.outputs[name][0])
        return [each.data for each in value] if isinstance(value, tuple) else value.data
