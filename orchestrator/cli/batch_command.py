"""`mm batch`: one task over many files, one JSON line for each."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from orchestrator.cli import options as shared
from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.item_report import FAILURES_SHOWN, ItemReport
from orchestrator.cli.job_display import print_log
from orchestrator.cli.path_type import GivenPath
from orchestrator.cli.task_group import TaskGroup
from orchestrator.cli.terminal import write_result
from orchestrator.core.units import counted
from orchestrator.errors import ItemsFailed, UsageError

if TYPE_CHECKING:
    from orchestrator.catalog import Declared
    from orchestrator.core.manifest import Manifest
    from orchestrator.jobs.job import Job
    from orchestrator.pipelines.batch_items import Item
    from orchestrator.pipelines.batch_resume import Resumption
    from orchestrator.pipelines.batch_run import Batch, BatchProgress
    from orchestrator.pipelines.json_lines import JsonLines
    from orchestrator.session import Session
    from orchestrator.steps.pdf_renderer import PdfRenderer
    from orchestrator.workspace import ChosenModel

OPTIONS = (
    click.Option(
        ["-o", "--out"],
        required=True,
        type=GivenPath(allow_dash=True),
        metavar="FILE.jsonl",
        help="Where a line for each item goes; - is standard output.",
    ),
    click.Option(
        ["--resume"],
        is_flag=True,
        help="Continue FILE: run the items that it lacks and those that failed.",
    ),
    click.Option(
        ["--mix"],
        is_flag=True,
        help="With --resume: also if another model, other options or other files made what is "
        "there.",
    ),
    click.Option(
        ["--workers"],
        type=click.IntRange(1, 1024),
        default=1,
        metavar="N",
        help="How many items run at once, each in a worker of its own.",
    ),
    shared.SOUND_FORMAT,
    shared.RETRIES,
    *shared.JOB,
    *shared.ENGINE,
)


class BatchGroup(TaskGroup):
    """The tasks and models; the options of each are the inputs that all items have in common."""

    def build(self, name: str, choice: ChosenModel) -> click.Command:
        """Return the command of a task or model."""
        return _command(name, choice)


@click.group(cls=BatchGroup, subcommand_metavar="TASK|MODEL INPUTS... -o FILE")
def command() -> None:
    """Run a task over many files; one JSON line for each, safe to interrupt and continue.

    INPUTS are files, globs ('scans/**/*.png'), directories, PDF files (an item for each page), or -
    for JSON lines on standard input: a path in quotes, or an object of inputs.
    """


def _command(name: str, choice: ChosenModel) -> click.Command:
    from orchestrator.cli.input_options import input_options

    manifest = choice.declared.manifest
    common = [option for option in input_options(manifest) if not option.required]

    @pass_context
    def callback(context: Context, /, mm_inputs: tuple[str, ...], **values: Any) -> None:
        candidates = context.candidates(name, values["model"])
        if choice.reason and not candidates:
            context.say(choice.reason)
        more = {str(option.name): values.pop(str(option.name)) for option in common}
        _run(context, _Work(name, manifest, candidates), mm_inputs, more, values)

    argument = click.Argument(
        ["mm_inputs"], metavar="INPUTS...", nargs=-1, required=True, type=GivenPath()
    )
    return click.Command(
        name,
        params=[argument, *OPTIONS, *common],
        callback=callback,
        help=f"{manifest.summary} ({manifest.name}), over many files.",
    )


@dataclass(frozen=True)
class _Work:
    """What is run on every item.

    Attributes:
        name: The task or model that was asked for.
        manifest: The model's; of several, the one's that no text decides for.
        candidates: The models of which each item's text chooses; empty where it is always the same.
    """

    name: str
    manifest: Manifest
    candidates: Sequence[Declared]

    @property
    def runs(self) -> str:
        """What jobs are of: the model, or the task where each item has its own."""
        return self.name if self.candidates else self.manifest.name

    @property
    def files(self) -> set[str]:
        """The outputs that are files."""
        from orchestrator.jobs.output_files import BINARY_TYPES

        manifests = [self.manifest, *(each.manifest for each in self.candidates)]
        outputs = [one for each in manifests for one in each.outputs.items()]
        return {name for name, one in outputs if one.type in BINARY_TYPES}


def _run(
    context: Context,
    work: _Work,
    words: tuple[str, ...],
    given: dict[str, Any],
    options: dict[str, Any],
) -> None:
    from orchestrator.cli.input_options import collect
    from orchestrator.jobs.input_files import named_files, refuse_input
    from orchestrator.jobs.job import Job
    from orchestrator.pipelines.batch_items import STANDARD_INPUT, item_of, listed
    from orchestrator.pipelines.batch_resume import Resumption
    from orchestrator.pipelines.batch_run import Batch, BatchProgress
    from orchestrator.session import Session
    from orchestrator.steps.pdf_renderer import PdfRenderer

    manifest = work.manifest
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(
            Session(workspace=context, **shared.session_arguments(options))
        )
        out = context.cwd / options["out"]
        sound = shared.sound_suffix(options["sound_format"])
        refuse_input(out, named_files(manifest, given, context.cwd))
        more = collect(context, manifest, given, session.spool())
        pdfs = stack.enter_context(PdfRenderer())
        item = partial(item_of, cwd=context.cwd, manifest=manifest, more=more, pdfs=pdfs)
        names = _names(context, manifest, words, out, pdfs)
        lines = _lines(stack, work, options["out"], resume=options["resume"], mix=options["mix"])
        job = Job(
            work.runs,
            **shared.job_arguments(options),
            workers=options["workers"],
            on_event=partial(print_log, context.reporter, work.runs),
            models={},
            candidates=tuple(each.name for each in work.candidates),
        )
        batch = Batch(
            job=job,
            manifest=manifest,
            jobs=session,
            scratch=session.spool,
            discard=session.discard,
            workers=options["workers"],
            retries=options["retries"],
            sound=sound,
        )
        progress = BatchProgress()
        resumption = Resumption(lines, manifest, progress, mix=options["mix"])
        if job.candidates:
            resumption.model_for = lambda inputs: session.model_for(replace(job, inputs=inputs))
            resumption.manifests = {each.name: each.manifest for each in work.candidates}
        resumption.compare_producers(partial(_produced_by, session, job))
        rest = None
        if STANDARD_INPUT in words:
            rest = listed(sys.stdin, context.cwd, manifest, more, out, pdfs)
        else:
            progress.total = len(names)
        items = _left(context, resumption, names, item, rest)
        _run_batch(context, batch, items, lines, progress)
        _conclude(context, work, progress, options)


def _produced_by(session: Session, job: Job, model: str) -> Mapping[str, Any]:
    """Return what decides the results of `model`; where it runs no job, of the one that does."""
    if model in job.candidates:
        job = replace(job, name=model, candidates=())
    return session.produced_by(job)


def _left(
    context: Context,
    resumption: Resumption,
    names: list[str],
    item: Callable[[str], Item],
    rest: Iterator[Item] | None,
) -> Iterator[Item]:
    """Return the items that are not done, once those that are have been found to be the same."""
    left = [one.name for one in resumption.pending(map(item, names))]
    resumption.refuse()
    if resumption.differences:
        context.say(f"{resumption.lines.path} mixes experiments: {resumption}")
    items: Iterator[Item] = map(item, left)
    return items if rest is None else chain(items, resumption.left(rest))


def _names(
    context: Context, manifest: Manifest, words: tuple[str, ...], out: Path, pdfs: PdfRenderer
) -> list[str]:
    """Return the names of the items that the command line gives."""
    from orchestrator.jobs.input_files import file_named, refuse_input
    from orchestrator.pipelines.batch_items import STANDARD_INPUT, expand, filled_input

    named = [word for word in words if word != STANDARD_INPUT]
    if not named:
        return []
    names = expand(named, context.cwd, manifest.inputs[filled_input(manifest)].type, pdfs)
    refuse_input(out, (file_named(name, context.cwd) for name in names))
    return names


def _lines(
    stack: contextlib.ExitStack, work: _Work, out: str, *, resume: bool, mix: bool
) -> JsonLines:
    from orchestrator.cli.outputs import STANDARD_OUTPUT
    from orchestrator.pipelines.json_lines import JsonLines

    if mix and not resume:
        raise UsageError("--mix is for a file that is continued", fix="add --resume")
    if out != STANDARD_OUTPUT:
        return stack.enter_context(JsonLines.open(Path(out), resume=resume, outputs=work.files))
    if resume:
        raise UsageError("standard output cannot be continued", fix="give -o a file")
    primary = work.manifest.primary_output
    if primary in work.files:
        raise UsageError(f"the output {primary!r} does not fit into JSON", fix="give -o a file")
    return JsonLines(None, write_result)


def _run_batch(
    context: Context, batch: Batch, items: Iterable[Item], lines: JsonLines, progress: BatchProgress
) -> None:
    key = batch.job.name  # the task, where each item has a model of its own
    refused = True
    try:
        batch.run(items, lines, progress, ItemReport(context, key, progress))
        refused = False
    finally:
        context.reporter.finish(key)
        if not (refused and progress.ended == progress.skipped == 0):
            _count(context, lines, progress)


def _count(context: Context, lines: JsonLines, progress: BatchProgress) -> None:
    before = f", {progress.skipped} done before" if progress.skipped else ""
    gone = f"; {counted(lines.lost, 'result')} had lost a file" if lines.lost else ""
    context.say(f"{progress.done} done, {len(progress.failed)} failed{before}{gone}")


def _conclude(
    context: Context, work: _Work, progress: BatchProgress, options: dict[str, Any]
) -> None:
    """Print the command that repeats each failed item alone, and fail if there is one."""
    if not progress.failed:
        return
    # A rejected item would be rejected again.
    retryable = [item for item, error in progress.failed if error.outcome != UsageError.outcome]
    for item in retryable[:FAILURES_SHOWN]:
        if isinstance(item.name, str):
            context.say(f"alone: {_alone(work, item.name, options)}")
    what = f"{counted(len(progress.failed), 'item')} failed"
    rejected = len(progress.failed) - len(retryable)
    if rejected and retryable:
        what += f", {rejected} of them rejected"
    again = ""
    if retryable and options["out"] != "-":
        again = f"to try {'the others' if rejected else 'them'} again, add --resume"
    raise ItemsFailed(what, fix=again)


def _alone(work: _Work, name: str, options: dict[str, Any]) -> str:
    """Return the command that runs one item alone."""
    import shlex

    from orchestrator.core.manifest import option_name
    from orchestrator.pipelines.batch_items import filled_input

    chosen = [
        word
        for key in ("device", "dtype")
        if options[key] != "auto"
        for word in (f"--{key}", options[key])
    ]
    filled = filled_input(work.manifest)
    words = ["mm", "run", work.runs, *chosen, f"--{option_name(filled)}"]
    if work.manifest.inputs[filled].type == "text":
        return f"{shlex.join([*words, '-'])} < {shlex.quote(name)}"
    return shlex.join([*words, name])
