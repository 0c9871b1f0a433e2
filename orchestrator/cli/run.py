"""`mm run`: a task or a model, its inputs as options; one job, or one for each file and page."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from orchestrator.cli import options as shared
from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath
from orchestrator.cli.task_group import TaskGroup
from orchestrator.cli.terminal import write_result
from orchestrator.core.manifest import FILE_TYPES
from orchestrator.errors import Crashed, EnvironmentFailure, JobFailed, MMError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.catalog import Declared
    from orchestrator.cli.job_display import JobDisplay
    from orchestrator.core.manifest import Manifest
    from orchestrator.jobs.job import Job
    from orchestrator.jobs.results import Result
    from orchestrator.session import Session
    from orchestrator.workspace import ChosenModel

OPTIONS = (
    click.Option(
        ["-o", "--out"],
        multiple=True,
        metavar="[NAME=]OUT",
        help="Write an output to a file (the primary one, or NAME); a name with .mp3, .m4a, .flac, "
        ".ogg or .opus chooses that format for sound. - is standard output, which gets text and "
        "sound while they are made.",
    ),
    shared.JSON,
    *shared.JOB,
    shared.KEEP_ALIVE,
    click.Option(
        ["--retries"],
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Run the job again, at most N times, when its worker crashes.",
    ),
    shared.FORCE,
    click.Option(
        ["--receipt"],
        type=GivenPath(),
        metavar="FILE",
        help="Write what made the result, as JSON.",
    ),
)


FILES = click.Argument(
    ["mm_files"], metavar="[FILES]...", nargs=-1, type=GivenPath(allow_dash=True)
)

TEXT_LAYER = click.Option(
    ["--text-layer"],
    is_flag=True,
    help="Take the text that is in a PDF; read the pages that have none.",
)


class RunGroup(TaskGroup):
    """The tasks and models; the options of each are the inputs of its manifest."""

    def build(self, name: str, choice: ChosenModel) -> click.Command:
        """Return the command of a task or model."""
        return _command(name, choice)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note what an error's JSON has in addition, before the model and its options are known."""
        ctx.ensure_object(Context).failure = {"model": None, "outputs": {}, "receipt": None}
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return the command of a task or model, and note the model."""
        found = super().get_command(ctx, cmd_name)
        ctx.ensure_object(Context).failure["model"] = ctx.meta["mm.chosen"]
        return found


@click.group(cls=RunGroup, subcommand_metavar="TASK|MODEL [INPUTS]...")
def command() -> None:
    """Run a model on inputs and print or save what it makes.

    `mm run TASK --help` shows the inputs of the model that stands for TASK. A model that needs an
    image, a file or sound takes any number of FILES, and of a PDF every page; text has a form feed
    between them.
    """


def file_input(manifest: Manifest) -> str:
    """Return the one required input that is a file, which FILES fill; empty where there is none."""
    named = [
        name
        for name, declared in manifest.inputs.items()
        if declared.required and declared.type in FILE_TYPES and not declared.list
    ]
    return named[0] if len(named) == 1 else ""


def _command(name: str, choice: ChosenModel) -> click.Command:
    from orchestrator.cli.input_options import STANDARD_INPUT, input_options

    manifest = choice.declared.manifest
    filled, primary = file_input(manifest), manifest.primary_output
    parameters: list[click.Parameter] = [*input_options(manifest), *OPTIONS]
    images = bool(filled) and manifest.inputs[filled].type == "image"
    if filled:
        for parameter in parameters:
            parameter.required = parameter.required and parameter.name != filled
        parameters.insert(0, FILES)
        if images and manifest.outputs[primary].type == "text":
            parameters.append(TEXT_LAYER)
    outputs = ", ".join(
        f"{output} ({spec.type}{', primary' if output == manifest.primary_output else ''})"
        for output, spec in manifest.outputs.items()
    )

    @pass_context
    def callback(context: Context, /, **values: Any) -> None:
        if choice.reason:
            context.say(choice.reason)
        inputs = {key: values.pop(key) for key in manifest.inputs}
        words = values.pop("mm_files", ())
        if filled:
            words = (*filter(None, [inputs[filled]]), *words)
            if not words:
                raise UsageError(f"no {filled} given", fix=f"run: mm run {name} FILE")
            if len(words) > 1 and STANDARD_INPUT in words:
                raise UsageError("- is one of several files", fix="name it alone")
            inputs[filled] = words[0] if len(words) == 1 else None
        _run(context, choice.declared, inputs, words, values)

    files = ""
    if filled:
        pages = ", PDF files and pages of them (doc.pdf#page=3-5)" if images else ""
        files = f"\n\nFILES stand for the {filled}: paths, patterns, directories{pages}."
    return click.Command(
        name,
        params=parameters,
        callback=callback,
        help=f"{manifest.summary} ({manifest.name}).{files}\n\nOutputs: {outputs}.",
    )


def _run(
    context: Context,
    declared: Declared,
    given: dict[str, Any],
    words: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    from orchestrator.cli.input_options import collect
    from orchestrator.engines import kept_engine
    from orchestrator.jobs.job import Job
    from orchestrator.session import Session

    try:
        keep_alive = shared.keep_alive_seconds(options["keep_alive"], context.variables)
        places = _places(context, declared.manifest, given, options)
        with Session(workspace=context, engine=kept_engine) as session:
            run = _Run(context, session, declared, options, places)
            job = Job(
                declared.name,
                collect(context, declared.manifest, given, session.spool()),
                **shared.job_arguments(options),
                retries=options["retries"],
                keep_alive=keep_alive,
                force=options["force"],
            )
            if words and not run.is_one_file(job.inputs):
                run.files(job, words)
            else:
                run.execute(job)
    except (JobFailed, Crashed, EnvironmentFailure) as error:
        from orchestrator.doctor import hint

        if line := hint(context, declared, error, options["device"], options["dtype"]):
            context.say(line)
        raise


def _places(
    context: Context, manifest: Manifest, given: dict[str, Any], options: dict[str, Any]
) -> dict[str, str]:
    """Return where the outputs go, after checking that they can and may go there."""
    from orchestrator.cli import outputs
    from orchestrator.jobs.output_files import BINARY_TYPES

    primary, as_json = manifest.primary_output, options["as_json"]
    places = outputs.parse_places(options["out"], manifest.outputs, primary)
    if primary not in places and not as_json and not outputs.printed_output(places):
        places[primary] = outputs.STANDARD_OUTPUT
    for name, path in places.items():
        outputs.check_place(name, manifest.outputs[name].type, path, as_json=as_json)
    if as_json and primary not in places and manifest.outputs[primary].type in BINARY_TYPES:
        raise UsageError(f"the output {primary!r} does not fit into JSON", fix="add -o PATH for it")
    if options["receipt"]:
        outputs.check_writable(options["receipt"])
    outputs.keep_inputs([*places.values(), options["receipt"]], manifest, given, context.cwd)
    return places


@dataclass(frozen=True)
class _Run:
    """One run of a model, over one file or several.

    Attributes:
        context: The user's.
        session: Runs the jobs.
        declared: The model.
        options: Those of the command.
        places: Where outputs go, by their names.
    """

    context: Context
    session: Session
    declared: Declared
    options: dict[str, Any]
    places: dict[str, str]

    def is_one_file(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether the files are one that a job takes as it is."""
        from pathlib import Path

        from orchestrator.jobs.input_files import is_pdf

        manifest, filled = self.declared.manifest, file_input(self.declared.manifest)
        if filled not in inputs or self.options.get("text_layer"):
            return False
        path = Path(inputs[filled]).expanduser()
        if not path.is_file() or manifest.inputs[filled].type != "image":
            return path.is_file()
        return not is_pdf(path)

    def files(self, job: Job, words: tuple[str, ...]) -> None:
        """Run the job on the only file or page that the words stand for, or one job on each."""
        from orchestrator.cli.input_options import STANDARD_INPUT
        from orchestrator.cli.run_files import Files, Results, check_several, run_several
        from orchestrator.steps.pdf_renderer import PdfRenderer

        manifest, filled = self.declared.manifest, file_input(self.declared.manifest)
        spooled = words == (STANDARD_INPUT,)
        more = {name: value for name, value in job.inputs.items() if name != filled}
        with PdfRenderer() as pdfs:
            files = Files(
                manifest,
                filled,
                [str(job.inputs[filled])] if spooled else words,
                more,
                self.context.cwd,
                pdfs,
                STANDARD_INPUT if spooled else "",
                self.options.get("text_layer", False),
            )
            files.keep_apart([*self.places.values(), self.options["receipt"]])
            if len(files.names) == 1 and not files.text_layer:
                item = files.item(files.names[0])
                self.execute(replace(job, inputs=item.inputs(self.session.spool())), item.name)
                return
            check_several(manifest, self.places, self.options)
            as_json = self.options["as_json"]
            results = Results(self.context, manifest, self.places, as_json=as_json)
            run_several(self.context, self.session, files, job, results, self.save_partial)

    def execute(self, job: Job, name: str = "") -> None:
        """Run the job and write its outputs; `name` is what its JSON calls the file."""
        from orchestrator.cli.interrupts import interrupts
        from orchestrator.cli.job_display import JobDisplay
        from orchestrator.cli.outputs import printed_output
        from orchestrator.cli.streaming import Stream, should_stream, sound_files
        from orchestrator.system.waiting import Deadline

        context, options = self.context, self.options
        outputs = self.declared.manifest.outputs
        with interrupts() as cancellation, ExitStack() as dropped:
            display = JobDisplay(context, self.declared, self.session)
            printed = printed_output(self.places)
            # A job that may run again must not write anything before it ends.
            may_stream = printed and not options["retries"]
            if may_stream and should_stream(outputs[printed].type, options["out"]):
                display.stream = Stream(printed, write_result, cancellation.request)
            if not options["retries"]:
                places = self.places.items()
                sounds = {n: context.cwd / p for n, p in places if outputs[n].type == "audio"}
                display.files = sound_files(sounds)
                for file in display.files.values():
                    dropped.callback(file.drop)
            job = replace(
                job,
                deadline=Deadline(options["timeout"] or math.inf),
                cancellation=cancellation,
                on_event=display.on_event,
            )
            try:
                result = self.session.execute(job)
            except MMError as error:
                display.close()
                if display.stream is not None and display.stream.broken:
                    raise BrokenPipeError from error
                self.save_partial(display.chunks)
                raise
            finally:
                display.close()
            self._deliver(result, display, name)

    def save_partial(self, chunks: list[tuple[str, Any]]) -> None:
        """Keep what a job streamed before it failed, and say where."""
        from orchestrator.cli import partial

        try:
            for path in partial.save(self.declared.name, chunks, self.places, self.context.home):
                self.context.say(f"what the job streamed until then is kept in {path}")
        except (MMError, OSError) as error:  # the outcome of the job counts
            self.context.say(f"what the job streamed until then could not be kept: {error}")

    def _deliver(self, result: Result, display: JobDisplay, file: str) -> None:
        """Write what a job returned: its outputs, its receipt, one JSON object."""
        from orchestrator.cli import outputs

        context, places, options = self.context, self.places, self.options
        for warning in result.warnings:
            context.say(f"{result.model}: {warning}")
        for name, path in places.items():
            if name not in result:
                context.say(f"{result.model} gave no {name!r} this time")
            elif name in display.files and display.files[name].began:
                display.files[name].end(result[name])
            elif path != outputs.STANDARD_OUTPUT:
                outputs.write_file(path, result[name], ours=True)
        printed, stream = outputs.printed_output(places), display.stream
        if printed in result:
            if stream is not None and stream.began:
                stream.end(result[printed])
            else:
                outputs.print_output(result[printed])
        if options["receipt"]:
            outputs.write_file(options["receipt"], result.receipt)
        if options["as_json"]:
            shown = {
                name: outputs.described(value, places.get(name)) for name, value in result.items()
            }
            context.out_json(
                {
                    **({"input": file} if file else {}),
                    "model": result.model,
                    "outcome": "done",
                    "outputs": shown,
                    "error": None,
                    "receipt": result.receipt,
                }
            )
