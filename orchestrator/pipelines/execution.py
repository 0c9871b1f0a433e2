"""A checked pipeline, executed or explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.core.pipelines import Graph
from orchestrator.core.refusals import refusals
from orchestrator.core.value_checks import check_inputs
from orchestrator.errors import Cancelled, MMError, UsageError
from orchestrator.jobs.in_flight import InFlightJobs
from orchestrator.jobs.input_files import resolve_files
from orchestrator.jobs.job import Event
from orchestrator.pipelines.outcome import Outcome
from orchestrator.pipelines.pipeline_catalog import missing_packages
from orchestrator.pipelines.result_cleanup import LOCK
from orchestrator.pipelines.result_store import ResultStore
from orchestrator.pipelines.run_context import RunContext, RunOptions
from orchestrator.pipelines.run_history import last_keys
from orchestrator.pipelines.run_observer import RunObserver
from orchestrator.pipelines.run_plan import RunPlanner, StepPlan
from orchestrator.pipelines.run_record import RunRecord
from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.scheduler import Scheduler
from orchestrator.pipelines.step_executor import step_executors
from orchestrator.pipelines.step_values import Values, given
from orchestrator.session import Session
from orchestrator.system.flock import Held
from orchestrator.system.waiting import Wait, take_lock
from orchestrator.workspace import Workspace


@refusals()
def execute(
    graph: Graph,
    session: Session,
    inputs: Mapping[str, Any],
    options: RunOptions,
    on_job_event: Callable[[str, Event], None] | None = None,
) -> Outcome:
    """Run a checked pipeline; what failed is in the outcome.

    Args:
        graph: The pipeline.
        session: Whose home, scratch directory and workers are used.
        inputs: The pipeline's inputs as the user gave them.
        options: How to run it.
        on_job_event: Called with a model's name and each event of its jobs.

    Raises:
        MMError: When a step can run for no item at all.
        Cancelled: At an interrupt; what was done is kept.
    """
    unknown = sorted(options.force - set(graph.nodes))
    if unknown:
        raise UsageError(f"there is no step {unknown[0]!r}", fix=f"steps: {', '.join(graph.nodes)}")
    workspace = session.workspace
    home = workspace.home
    values = checked_values(graph, inputs)
    with _hold_results(graph, workspace):
        store = ResultStore(home.results if options.cache else session.spool())
        record = RunRecord(home.runs, graph.document(), values, options.document())
        run_state = RunState(graph, values, store)
        observer = RunObserver(record, workspace.reporter, run_state)
        context = RunContext(
            session,
            store,
            session.spool,
            options,
            InFlightJobs(),
            observer.on_event,
            on_job_event,
        )
        scheduler = Scheduler(run_state, step_executors(graph, context), context)
        _run_recorded(scheduler, record, observer)
        return Outcome(
            graph, run_state, record.id, observer.counted, scheduler.failures, observer.commands
        )


def explain(
    graph: Graph, session: Session, inputs: Mapping[str, Any], options: RunOptions
) -> list[StepPlan]:
    """Return what `execute` would do, and why; nothing is run or built."""
    home = session.workspace.home
    values = checked_values(graph, inputs)

    def unbuilt(model: str) -> str:
        return "" if not model or session.is_built(model) else "its environment is not built"

    with _hold_results(graph, session.workspace):
        store = ResultStore(home.results)
        context = RunContext(session, store, session.spool, options, InFlightJobs())
        run_state = RunState(graph, values, store)
        keys = last_keys(home.runs, graph.declaration.name)
        executors = step_executors(graph, context)
        return RunPlanner(run_state, executors, context, keys, unbuilt).plans()


def checked_values(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, Values]:
    """Return the pipeline's inputs as values, checked, with defaults filled in.

    Raises:
        UsageError: When a step lacks its packages, and for an input that is missing, unknown, not
            of its type, or no file.
    """
    declared = graph.declaration
    for missing in missing_packages(declared):
        raise missing
    checked = check_inputs(declared, inputs)
    found = resolve_files(declared, checked)
    return {
        name: given(
            declared.inputs[name].type, value, many=declared.inputs[name].list, label=checked[name]
        )
        for name, value in found.items()
    }


def _run_recorded(scheduler: Scheduler, record: RunRecord, observer: RunObserver) -> None:
    outcome = "stopped: a fault in mm itself"
    try:
        with refusals():
            scheduler.run()
        outcome = "failed" if scheduler.failures else "done"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise Cancelled(
            "interrupted; what is done is kept",
            fix="run the same command to go on",
            fix_in_code="run it again to go on",
        ) from None
    except MMError as error:
        outcome = f"stopped: {error}"
        raise
    finally:
        observer.finish()
        record.close(outcome, {name: vars(each) for name, each in observer.counted.items()})


def _hold_results(graph: Graph, workspace: Workspace) -> Held:
    """Hold the kept results as in use, once no other process removes any."""
    home = workspace.home
    home.prepare()
    wait = Wait(graph.declaration.name, "another mm, which removes results", workspace.reporter)
    return take_lock(home.locks / LOCK, wait, shared=True)
