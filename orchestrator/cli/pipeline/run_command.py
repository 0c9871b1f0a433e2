"""`mm pipeline run`: a pipeline's inputs as options, its outputs where `-o` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import options as shared
from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.error_exit import outcome_of
from orchestrator.cli.group import Group
from orchestrator.cli.job_display import print_log
from orchestrator.cli.path_type import GivenPath
from orchestrator.core.manifest import FILE_TYPES, Takes
from orchestrator.errors import ItemsFailed, UsageError
from orchestrator.system.home import json_line

if TYPE_CHECKING:
    from orchestrator.core.pipelines import Declaration, Graph, Where
    from orchestrator.pipelines.outcome import Outcome
    from orchestrator.pipelines.run_context import RunOptions
    from orchestrator.pipelines.run_plan import StepPlan

LABELS_SHOWN = 3

OPTIONS = (
    click.Option(
        ["-o", "--out"],
        multiple=True,
        metavar="[NAME=]OUT",
        help="Write an output to a file, or a list to a directory; - is standard output.",
    ),
    shared.JSON,
    click.Option(
        ["--set", "settings"],
        multiple=True,
        metavar="STEP.KEY=VALUE",
        help="Set model, device, dtype, workers, timeout or an input of a step.",
    ),
    click.Option(["--keep-going", "-k"], is_flag=True, help="After a failure, run the rest."),
    shared.RETRIES,
    click.Option(["--no-cache"], is_flag=True, help="Use no earlier results, and keep none."),
    click.Option(
        ["--force-step"],
        multiple=True,
        metavar="STEP",
        help="Run STEP even if its results are kept.",
    ),
    click.Option(["--explain"], is_flag=True, help="Say what would run, and why; run nothing."),
    click.Option(
        ["--trace"],
        type=GivenPath(),
        metavar="FILE",
        help="Write a trace for Chrome or Perfetto.",
    ),
    shared.SOUND_FORMAT,
    *shared.ENGINE,
)


class Pipelines(Group):
    """A group whose commands are the pipelines of the manifests in use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the pipelines' names."""
        from orchestrator.pipelines.pipeline_catalog import all_pipelines

        return list(all_pipelines(ctx.ensure_object(Context)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return the command of a pipeline; its options are the pipeline's inputs."""
        from orchestrator.pipelines.pipeline_catalog import find

        return _command(*find(ctx.ensure_object(Context), cmd_name).read())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the names alone, without reading the files as `mm pipeline list` does."""
        with formatter.section("Pipelines"):
            formatter.write_dl([(name, "") for name in self.list_commands(ctx)])


@click.group("run", cls=Pipelines, subcommand_metavar="NAME|FILE.yaml [FILES]... [INPUTS]...")
def run_command() -> None:
    """Run a pipeline, or say what a run would do.

    Finished steps are kept: the same command continues where it stopped, and runs only what has
    changed. `mm pipeline run NAME --help` shows the inputs of NAME; `mm pipeline report` writes a
    page about the run.
    """


def _command(declaration: Declaration, where: Where) -> click.Command:
    from orchestrator.cli.input_options import input_options

    taking = _takes_files(declaration)
    parameters: list[click.Parameter] = list(input_options(declaration))
    for parameter in parameters:
        parameter.required = parameter.required and parameter.name != taking
    if taking:
        parameters.append(
            click.Argument(["mm_files"], metavar="[FILES]...", nargs=-1, type=GivenPath())
        )

    @pass_context
    def callback(context: Context, /, **values: Any) -> None:
        inputs = {key: values.pop(key) for key in declaration.inputs}
        if taking:
            inputs[taking] = (*inputs[taking], *values.pop("mm_files"))
            if not inputs[taking] and declaration.inputs[taking].required:
                raise UsageError(
                    f"no {taking} given", fix=f"name them: {declaration.name} FILES..."
                )
        run_pipeline(context, declaration, where, inputs, values)

    files = f"\n\nFILES are {taking}." if taking else ""
    return click.Command(
        declaration.name,
        params=[*parameters, *OPTIONS],
        callback=callback,
        help=f"{declaration.summary or declaration.name}.{files}",
    )


def _takes_files(declaration: Declaration) -> str:
    """Return the only input that is a list of files; arguments without an option fill it."""
    lists = [
        name
        for name, declared in declaration.inputs.items()
        if declared.list and declared.type in FILE_TYPES
    ]
    return lists[0] if len(lists) == 1 else ""


def run_pipeline(
    context: Context,
    declaration: Declaration,
    where: Where,
    given: dict[str, Any],
    options: dict[str, Any],
    shown: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Run a pipeline, deliver its outputs and say what was done; or explain what would run.

    Args:
        context: The command's.
        declaration: The pipeline.
        where: Where its parts were written.
        given: Its inputs, None or empty where nothing was given.
        options: The values of `OPTIONS`.
        shown: By setting, what the user wrote for it, where that is not `--set`.

    Raises:
        ItemsFailed: When something failed.
        MMError: When it cannot run at all.
    """
    from orchestrator.cli.pipeline.step_settings import apply
    from orchestrator.pipelines.pipeline_catalog import graph_of
    from orchestrator.pipelines.run_context import RunOptions

    settings = RunOptions(
        keep_going=options["keep_going"],
        retries=options["retries"],
        cache=not options["no_cache"],
        force=frozenset(options["force_step"]),
    )
    context.failure = {"pipeline": declaration.name, "outputs": {}, "failures": [], "run": None}
    graph = graph_of(context, *apply(declaration, where, options["settings"], shown))
    for node in graph.nodes.values():
        if node.signature.reason and not node.signature.candidates:
            context.say(node.signature.reason)
    if options["explain"]:
        _explain(context, graph, given, settings)
    else:
        _execute(context, graph, given, settings, options)


def _execute(
    context: Context,
    graph: Graph,
    given: dict[str, Any],
    settings: RunOptions,
    options: dict[str, Any],
) -> None:
    from orchestrator.cli.input_options import collect
    from orchestrator.cli.outputs import check_writable, keep_inputs
    from orchestrator.cli.pipeline.delivery import deliver, plan
    from orchestrator.pipelines.execution import execute
    from orchestrator.session import Session

    as_json = options["as_json"]
    places = plan(graph, options["out"], as_json=as_json)
    sound = shared.sound_suffix(options["sound_format"])
    if options["trace"]:
        check_writable(options["trace"])
    declaration: Takes = graph.declaration
    keep_inputs([*places.values(), options["trace"]], declaration, given, context.cwd)
    with Session(workspace=context, **shared.session_arguments(options)) as session:
        values = collect(context, declaration, given, session.spool())
        outcome = execute(graph, session, values, settings, partial(print_log, context.reporter))
        shown = deliver(outcome, graph, places, sound)
        if options["trace"]:
            _write_trace(context, outcome.run, options["trace"])
        _summary(context, graph, outcome)
        failed = _failed(outcome, reason=context.quiet) if outcome.failures else None
        if as_json:
            context.out_json(_document(graph.declaration.name, outcome, shown, failed))
        if failed:
            raise failed


def _failed(outcome: Outcome, *, reason: bool) -> ItemsFailed:
    from orchestrator.pipelines.step_failures import failure_summary, is_rejection

    again = "run the same command to try again, or "
    if any(map(is_rejection, outcome.failures)):
        again = ""  # it would be rejected again
    what = failure_summary(outcome.failures, reason=reason)
    return ItemsFailed(what, fix=f"{again}run: mm pipeline report {outcome.run}")


def _write_trace(context: Context, run: str, path: str) -> None:
    from orchestrator.cli.outputs import write_file
    from orchestrator.pipelines.chrome_trace import trace
    from orchestrator.pipelines.run_history import find_run

    write_file(path, json_line(trace(find_run(context.home.runs, run))))


def _summary(context: Context, graph: Graph, outcome: Outcome) -> None:
    """Say what each step did, and how to repeat what failed."""
    for name in graph.nodes:
        counts = outcome.counts[name]
        parts = [f"{counts.done} done"] if counts.done else []
        parts += [f"{counts.kept} kept from before"] if counts.kept else []
        parts += [f"{counts.failed} failed"] if counts.failed else []
        if name in outcome.lost:
            parts.append("not run, because what it needs failed")
        context.say(f"{name}: {', '.join(parts) or 'nothing done'}")
    for failure, command in zip(outcome.failures, outcome.alone, strict=True):
        at = f" on {failure.label}" if failure.label else ""
        if command:
            context.say(f"{failure.step}{at} alone: {command}")


def _explain(context: Context, graph: Graph, given: dict[str, Any], settings: RunOptions) -> None:
    from orchestrator.cli.input_options import collect
    from orchestrator.pipelines.execution import explain
    from orchestrator.session import Session

    with Session(workspace=context) as session:
        values = collect(context, graph.declaration, given, session.spool())
        for plan in explain(graph, session, values, settings):
            for line in _plan_lines(plan, mapped=graph.nodes[plan.step].mapped):
                context.out(line)


def _plan_lines(plan: StepPlan, *, mapped: bool) -> Iterable[str]:
    if plan.unknown:
        yield f"{plan.step} ({plan.runs}): {plan.unknown}"
        return
    running = [item for item in plan.items if not item.kept]
    if not mapped:
        yield f"{plan.step} ({plan.runs}): {'runs: ' + running[0].why if running else 'kept'}"
        return
    kept = len(plan.items) - len(running)
    yield f"{plan.step} ({plan.runs}): {kept} kept, {len(running)} to run"
    for why in dict.fromkeys(item.why for item in running):
        labels = [item.label for item in running if item.why == why]
        more = f" and {len(labels) - LABELS_SHOWN} more" if len(labels) > LABELS_SHOWN else ""
        yield f"  {why}: {', '.join(labels[:LABELS_SHOWN])}{more}"


def _document(
    name: str, outcome: Outcome, shown: dict[str, Any], error: BaseException | None
) -> dict[str, Any]:
    ended, described = outcome_of(error)
    return {
        "pipeline": name,
        "outcome": ended,
        "outputs": shown,
        "failures": [
            {"step": one.step, "item": one.label, "error": str(one.error), "command": command}
            for one, command in zip(outcome.failures, outcome.alone, strict=True)
        ],
        "error": described,
        "run": outcome.run,
    }
