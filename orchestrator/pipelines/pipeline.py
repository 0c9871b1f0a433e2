"""Pipelines for programs: load or write one, check it, run it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.core.manifest import Input
from orchestrator.core.paths import given_path
from orchestrator.core.pipelines import Declaration, Graph, Node, Step, Where
from orchestrator.core.pipelines.declaration import written_in_python
from orchestrator.core.values import check_inputs
from orchestrator.errors import Cancelled, EnvironmentFailure, ItemsFailed, MMError, UsageError
from orchestrator.flock import try_lock
from orchestrator.inputs import resolve_files
from orchestrator.pipelines.in_flight import InFlightJobs
from orchestrator.pipelines.outcome import Outcome
from orchestrator.pipelines.pipeline_catalog import find, graph_of
from orchestrator.pipelines.result_cleanup import LOCK
from orchestrator.pipelines.result_store import ResultStore
from orchestrator.pipelines.run_observer import RunObserver, repeating
from orchestrator.pipelines.run_plan import RunPlanner, StepPlan
from orchestrator.pipelines.run_record import RunRecord
from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.scheduler import Scheduler
from orchestrator.pipelines.step_executor import Jobs, StepExecutor, ignore_model_event
from orchestrator.pipelines.step_failures import in_words
from orchestrator.pipelines.step_values import Values, given
from orchestrator.session import Session

if TYPE_CHECKING:
    from orchestrator.flock import Held
    from orchestrator.home import Home
    from orchestrator.jobs.job import Event
    from orchestrator.pipelines.step_state import StepFailure
    from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class RunOptions:
    """How a pipeline is run, beside its inputs.

    Attributes:
        keep_going: Whether other items go on after one failed.
        retries: How often a job that failed is tried again.
        cache: Whether results that are kept are used, and new ones kept.
        force: Steps that run though their results are kept.
    """

    keep_going: bool = False
    retries: int = 0
    cache: bool = True
    force: frozenset[str] = frozenset()

    def told(self) -> dict[str, Any]:
        """Return them as plain data, for the record of a run."""
        return {
            "keep_going": self.keep_going,
            "retries": self.retries,
            "cache": self.cache,
            "force": sorted(self.force),
        }


class Pipeline:
    """Steps joined by their inputs and outputs, loaded from YAML or written in Python.

    Args:
        name: What it is called.
        steps: Its steps, in any order.
        outputs: A reference for each output, such as `"${{ steps.read.text }}"`; the first is the
            primary one.
        inputs: What it takes, as manifests declare inputs.
        summary: What it does, in one line.
    """

    def __init__(
        self,
        name: str,
        *,
        steps: Iterable[Step],
        outputs: Mapping[str, str],
        inputs: Mapping[str, Input] | None = None,
        summary: str = "",
    ) -> None:
        self.declaration = Declaration(
            name=name,
            inputs=dict(inputs or {}),
            steps=tuple(steps),
            outputs=dict(outputs),
            summary=summary,
        )
        self._where: Where = written_in_python(name)

    @classmethod
    def load(cls, name: str | Path, manifests: Iterable[str | Path] = ()) -> Pipeline:
        """Return the pipeline `name`: one that manifests declare, or a file by its path.

        Raises:
            UsageError: When there is none of that name.
            ManifestError: When its file cannot be read as a pipeline.
        """
        from orchestrator.userenv import snapshot
        from orchestrator.workspace import Workspace

        where = tuple(given_path(path, "manifests") for path in manifests)
        workspace = Workspace(variables=snapshot(), cwd=Path.cwd(), manifests=where)
        return cls.of(*find(workspace, str(name)).read())

    @classmethod
    def of(cls, declaration: Declaration, where: Where) -> Pipeline:
        """Return the pipeline of a declaration that was read from a file."""
        pipeline = cls(declaration.name, steps=(), outputs={})
        pipeline.declaration = declaration
        pipeline._where = where
        return pipeline

    @property
    def name(self) -> str:
        """What it is called."""
        return self.declaration.name

    def check(self, workspace: Workspace) -> Graph:
        """Return its graph on this machine.

        Raises:
            ManifestError: For the first mistake; `detail` has the others.
        """
        return graph_of(workspace, self.declaration, self._where)

    def run(
        self,
        session: Session | None = None,
        *,
        keep_going: bool = False,
        retries: int = 0,
        cache: bool = True,
        force: Iterable[str] = (),
        **inputs: Any,
    ) -> Outcome:
        """Run it and return its outputs.

        Args:
            session: Whose workers run its models; by default one that ends with the run.
            keep_going: Whether other items go on after one failed; those that failed are then in
                `Outcome.failures`.
            retries: How often a job that failed is tried again.
            cache: Whether results that are kept are used, and new ones kept.
            force: Ids of steps that run though their results are kept.
            **inputs: What it takes.

        Raises:
            ItemsFailed: When something failed and it was not to keep going.
            MMError: When a step cannot run at all.
        """
        options = RunOptions(keep_going, retries, cache, frozenset(force))
        with contextlib.ExitStack() as stack:
            if session is None:
                session = stack.enter_context(Session())
            graph = self.check(session.workspace)
            outcome = execute(graph, session, inputs, options)
            if outcome.failures and not keep_going:
                raise ItemsFailed(in_words(outcome.failures), detail=_details(outcome.failures))
            return outcome


def execute(
    graph: Graph,
    session: Session,
    inputs: Mapping[str, Any],
    options: RunOptions,
    on_event: Callable[[str, Event], None] = ignore_model_event,
) -> Outcome:
    """Run a checked pipeline; what failed is in the outcome.

    Args:
        graph: The pipeline.
        session: Whose home, scratch directory and workers are used.
        inputs: The pipeline's inputs as the user gave them.
        options: How to run it.
        on_event: Called with a model's name and each event of its jobs.

    Raises:
        MMError: When a step can run for no item at all.
        Cancelled: At an interrupt; what was done is kept.
    """
    unknown = sorted(options.force - set(graph.nodes))
    if unknown:
        raise UsageError(f"there is no step {unknown[0]!r}", fix=f"steps: {', '.join(graph.nodes)}")
    workspace = session.workspace
    values = take(graph, inputs)
    home = workspace.home
    home.prepare()
    with _results_in_use(home):
        store = ResultStore(home.results if options.cache else session.spool())
        record = RunRecord(home.runs, graph.document(), values, options.told())
        run_state = RunState(graph, values, store)
        in_flight = InFlightJobs()
        executors: dict[str, StepExecutor] = {}
        watch = RunObserver(
            record,
            workspace.reporter,
            graph,
            lambda failure: repeating(run_state, executors[failure.step], record, failure),
        )
        scheduler = Scheduler(run_state, executors, in_flight, watch, keep_going=options.keep_going)
        executors |= desks_of(
            graph, session, store, session.spool, options, in_flight, scheduler, on_event
        )
        _run_watched(scheduler, record, watch)
        return Outcome(
            graph, run_state, record.id, watch.counted, scheduler.failures, watch.commands
        )


def take(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, Values]:
    """Return the pipeline's inputs as values, checked, with defaults filled in.

    Raises:
        UsageError: For an input that is missing, unknown, not of its type, or no file.
    """
    declared = graph.declaration
    checked = check_inputs(declared, inputs)
    found = resolve_files(declared, checked)
    return {
        name: given(
            declared.inputs[name].type, value, many=declared.inputs[name].list, label=checked[name]
        )
        for name, value in found.items()
    }


class Signals(Protocol):
    """Hears from executors, in any thread; a `Scheduler` is one."""

    def warm(self, name: str) -> None:
        """Hear that a step has something to run."""

    def prepared(self, name: str, part: str, began: float, seconds: float) -> None:
        """Hear how long a step's environment, or the load of its first worker, has taken."""


class Unheard:
    """Hears nothing."""

    def warm(self, name: str) -> None:
        """Drop the signal."""

    def prepared(self, name: str, part: str, began: float, seconds: float) -> None:
        """Drop the signal."""


def desks_of(
    graph: Graph,
    jobs: Jobs,
    store: ResultStore,
    scratch: Callable[[], Path],
    options: RunOptions,
    in_flight: InFlightJobs,
    signals: Signals,
    on_event: Callable[[str, Event], None] = ignore_model_event,
) -> dict[str, StepExecutor]:
    """Return the executor of each step of a run."""
    return {
        name: StepExecutor(
            node,
            jobs,
            store,
            scratch,
            retries=options.retries,
            force=name in options.force,
            in_flight=in_flight,
            began=partial(signals.warm, name),
            told=partial(signals.prepared, name),
            on_event=on_event,
        )
        for name, node in graph.nodes.items()
    }


def explain(
    graph: Graph, session: Session, inputs: Mapping[str, Any], options: RunOptions
) -> list[StepPlan]:
    """Return what `execute` would do, and why; nothing is run or built."""
    values = take(graph, inputs)
    home = session.workspace.home
    home.prepare()
    with _results_in_use(home):
        store = ResultStore(home.results)
        run_state = RunState(graph, values, store)
        executors = desks_of(
            graph,
            session,
            store,
            session.spool,
            options,
            InFlightJobs(),
            Unheard(),
        )

        def unbuilt(node: Node) -> str:
            built = not node.signature.model or session.is_built(node.signature.name)
            return "" if built else "its environment is not built"

        explainer = RunPlanner(
            graph, run_state, executors, store, home.runs, unbuilt, options.force
        )
        return explainer.plans()


def _run_watched(scheduler: Scheduler, record: RunRecord, watch: RunObserver) -> None:
    outcome = "stopped: a fault in mm itself"
    try:
        scheduler.run()
        outcome = "failed" if scheduler.failures else "done"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise Cancelled(
            "interrupted; what is done is kept", fix="run the same command to go on"
        ) from None
    except MMError as error:
        outcome = f"stopped: {error}"
        raise
    finally:
        watch.finish()
        record.close(outcome, {name: vars(each) for name, each in watch.counted.items()})


@contextlib.contextmanager
def _results_in_use(home: Home) -> Iterator[Held]:
    held = try_lock(home.locks / LOCK, shared=True)
    if held is None:
        raise EnvironmentFailure(
            "results are being removed by another mm", fix="wait for mm pipeline clean to end"
        )
    with held:
        yield held


def _details(failures: Iterable[StepFailure]) -> str:
    return "\n".join(each.error.detail for each in failures if each.error.detail)
