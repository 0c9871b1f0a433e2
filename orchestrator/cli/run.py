"""`mm run`: one job of a task or a model, its inputs as options."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.errors import (
    Cancelled,
    Crashed,
    EnvironmentFailure,
    JobFailed,
    MMError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.catalog import Declared
    from orchestrator.cli.streaming import Stream
    from orchestrator.client.cancellation import Cancellation
    from orchestrator.client.connection import Event
    from orchestrator.results import Result
    from orchestrator.session import Session

JSON_VERSION = 1

OPTIONS = (
    click.Option(
        ["-o", "--out"],
        multiple=True,
        metavar="[NAME=]OUT",
        help="Write an output to a file (the primary one, or NAME); - is standard output, and has "
        "text and sound while they are made.",
    ),
    click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."),
    click.Option(["--model"], metavar="MODEL", help="The model that stands for the task."),
    click.Option(["--device"], default="auto", help="auto, cpu, cuda or mps.  [default: auto]"),
    click.Option(
        ["--dtype"],
        default="auto",
        help="auto, float32, bfloat16 or float16.  [default: auto]",
    ),
    click.Option(["--timeout"], type=float, metavar="SECONDS", help="How long the run may take."),
    click.Option(
        ["--keep-alive"],
        metavar="TIME",
        help="How long the worker stays for the next job: 10m, 0 or forever.",
    ),
    click.Option(
        ["--retries"],
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Run the job again, at most N times, when its worker crashes.",
    ),
    click.Option(["--force"], is_flag=True, help="Load the model even where memory is short."),
    click.Option(["--receipt"], metavar="FILE", help="Write what made the result, as JSON."),
)


class Models(click.Group):
    """A group whose commands are the tasks and models of the manifests in use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the tasks, then the models."""
        catalog = ctx.ensure_object(Context).catalog
        return [*catalog.tasks, *catalog.models]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return the command of a task or model; its options are the manifest's inputs."""
        context = ctx.ensure_object(Context)
        return _command(context, cmd_name, ctx.meta.get("mm.model"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look for `--model` before the options are known, because it decides which there are."""
        for index, word in enumerate(args):
            if word == "--":
                break
            if word == "--model" and index + 1 < len(args):
                ctx.meta["mm.model"] = args[index + 1]
            elif word.startswith("--model="):
                ctx.meta["mm.model"] = word.partition("=")[2]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List tasks and models with what they do."""
        catalog = ctx.ensure_object(Context).catalog
        with formatter.section("Tasks"):
            formatter.write_dl(
                [
                    (task, f"The preferred one of: {', '.join(each.name for each in many)}")
                    for task, many in catalog.tasks.items()
                ]
            )
        with formatter.section("Models"):
            formatter.write_dl(
                [(name, declared.manifest.summary) for name, declared in catalog.models.items()]
            )


@click.group(cls=Models, subcommand_metavar="TASK|MODEL [INPUTS]...")
def command() -> None:
    """Run a model on inputs and print or save what it makes.

    `mm run TASK --help` shows the inputs of the model that stands for TASK.
    """


def _command(context: Context, name: str, model: str | None) -> click.Command:
    from orchestrator.cli.inputs import input_options

    choice = context.choose(name, model)
    manifest = choice.declared.manifest
    outputs = ", ".join(
        f"{output} ({spec.type}{', primary' if output == manifest.primary_output else ''})"
        for output, spec in manifest.outputs.items()
    )

    @pass_context
    def callback(context: Context, /, **values: Any) -> None:
        if choice.reason:
            context.say(choice.reason)
        inputs = {key: values.pop(key) for key in manifest.inputs}
        _run(context, choice.declared, inputs, values)

    return click.Command(
        name,
        params=[*input_options(manifest), *OPTIONS],
        callback=callback,
        help=f"{manifest.summary} ({manifest.name}).\n\nOutputs: {outputs}.",
    )


def _run(
    context: Context, declared: Declared, given: dict[str, Any], options: dict[str, Any]
) -> None:
    from orchestrator.cli import inputs, outputs, partial, streaming
    from orchestrator.engines import kept_engine
    from orchestrator.session import JobOptions, Session

    manifest = declared.manifest
    result: Result | None = None
    destinations = None
    try:
        keep_alive = _keep_alive(options["keep_alive"], context.variables)
        destinations = outputs.plan(manifest, options["out"], as_json=options["as_json"])
        if options["receipt"]:
            outputs.check_writable(options["receipt"])
        with (
            Session(workspace=context, engine=kept_engine) as session,
            interrupts() as cancellation,
        ):
            values = inputs.collect(manifest, given, session.spool())
            listener = _Listener(context, declared, session)
            # A job that may be run again must not have said anything yet.
            name = streaming.wanted(manifest, destinations, options["out"])
            if name and not options["retries"]:
                target = sys.stdout.buffer
                listener.stream = streaming.Stream(name, target, cancellation.request)
            job = JobOptions(
                model=manifest.name,
                device=options["device"],
                dtype=options["dtype"],
                timeout=options["timeout"],
                cancellation=cancellation,
                on_event=listener.hear,
                retries=options["retries"],
                keep_alive=keep_alive,
                force=options["force"],
            )
            try:
                result = session.execute(manifest.name, values, job)
            except MMError as error:
                listener.end()
                chunks = listener.chunks
                if listener.stream is not None and listener.stream.broken:
                    raise BrokenPipeError from error
                for path in partial.save(manifest.name, chunks, destinations, context.home):
                    context.say(f"what had been streamed by then is kept in {path}")
                raise
            finally:
                listener.end()
            outputs.deliver(result, destinations, listener.stream)
            if options["receipt"]:
                data = json.dumps(result.receipt, indent=2, ensure_ascii=False) + "\n"
                outputs.write_file(options["receipt"], data.encode("utf-8"))
            if options["as_json"]:
                context.out(
                    _json(
                        manifest.name,
                        "done",
                        outputs.json_outputs(result, destinations),
                        result.receipt,
                    )
                )
    except (MMError, KeyboardInterrupt) as error:
        _tell(context, declared, error, options)
        raise


def _tell(
    context: Context,
    declared: Declared,
    error: MMError | KeyboardInterrupt,
    options: dict[str, Any],
) -> None:
    """Say of a job that failed what its error, which is raised after this, does not say."""
    if options["as_json"]:
        context.out(_json_error(declared.manifest.name, error))
    if isinstance(error, (JobFailed, Crashed, EnvironmentFailure)):
        from orchestrator.doctor import hint

        if line := hint(context, declared, error, options["device"], options["dtype"]):
            context.say(line)


class _Listener:
    """Turns a job's events into progress on standard error."""

    def __init__(self, context: Context, declared: Declared, session: Session) -> None:
        self._context = context
        self._declared = declared
        self._model = declared.manifest.name
        self._session = session
        self.stream: Stream | None = None
        self.chunks: list[tuple[str, Any]] = []

    def hear(self, event: Event) -> None:
        params = event.params
        if event.kind == "chunk":
            value = self._session.chunk(self._declared, event)
            output = str(params.get("output"))
            if self.stream is None or self.stream.name != output:
                self.chunks.append((output, value))
                return
            if not self.stream.began and sys.stdout.isatty():
                self._context.reporter.finish(self._model)  # a bar and text would mix
            self.stream.chunk(value)
        elif event.kind == "waiting":
            place = params.get("place")
            self._context.reporter.progress(self._model, f"waiting; {place} before this job")
        elif event.kind == "log":
            self._context.reporter.line(f"{self._model}: {params.get('text')}")
        elif event.kind == "progress" and not (self._is_shown and sys.stdout.isatty()):
            done, total = params.get("done"), params.get("total")
            if isinstance(done, (int, float)) and isinstance(total, (int, float)):
                text = str(params.get("text") or "")
                self._context.reporter.progress(self._model, text, done, total)

    @property
    def _is_shown(self) -> bool:
        """Whether the output itself shows how far the job is."""
        return self.stream is not None and self.stream.began

    def end(self) -> None:
        self._context.reporter.finish(self._model)


def _keep_alive(asked: str | None, variables: Mapping[str, str]) -> float | None:
    """Return the seconds that --keep-alive or MM_KEEP_ALIVE asks for; None where neither does."""
    from orchestrator.core.units import parse_duration

    name, text = ("--keep-alive", asked)
    if asked is None:
        name, text = ("MM_KEEP_ALIVE", variables.get("MM_KEEP_ALIVE"))
    if not text:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error), where=name) from error


@contextlib.contextmanager
def interrupts() -> Iterator[Cancellation]:
    """Turn Ctrl-C into a request to the job that runs, and into an interrupt where none does.

    The first asks the runner to stop, the second ends its worker.
    """
    from orchestrator.client.cancellation import Cancellation

    cancellation = Cancellation()

    def handle(number: int, frame: object) -> None:
        del number, frame
        if not cancellation.armed:
            raise KeyboardInterrupt
        cancellation.request()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield cancellation
    finally:
        signal.signal(signal.SIGINT, before)
        cancellation.close()


def _json(model: str, outcome: str, shown: dict[str, Any], receipt: dict[str, Any]) -> str:
    document = {
        "version": JSON_VERSION,
        "model": model,
        "outcome": outcome,
        "outputs": shown,
        "error": None,
        "receipt": receipt,
    }
    return json.dumps(document, ensure_ascii=False)


def _json_error(model: str, error: MMError | KeyboardInterrupt) -> str:
    known = error if isinstance(error, MMError) else Cancelled("interrupted")
    document = {
        "version": JSON_VERSION,
        "model": model,
        "outcome": known.outcome,
        "outputs": {},
        "error": {"message": str(known), "exit_code": known.exit_code},
        "receipt": None,
    }
    return json.dumps(document, ensure_ascii=False)
