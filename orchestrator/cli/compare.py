"""`mm compare`: one input through two models, or through one in two data types or devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.options import FORCE, JSON
from orchestrator.cli.path_type import GivenPath
from orchestrator.cli.run import file_input
from orchestrator.cli.task_group import TaskGroup
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.catalog import Declared
    from orchestrator.comparison import ModelComparison, Side
    from orchestrator.jobs.job import Event
    from orchestrator.workspace import ChosenModel

DIFFER = 1
"""The exit code where the two differ."""

MAX_CHANGES = 10
"""Places of a text that are printed."""

MAX_WORDS = 60
"""Characters of a place of a text that are printed."""

WORDS = click.Argument(["mm_words"], metavar="[MODEL] [FILE]", nargs=-1, type=GivenPath())
TWICE = tuple(
    click.Option(
        names.split(),
        multiple=True,
        metavar=names[2:].split()[0].upper(),
        help=f"The {what} of both; given twice, that of each.  [default: auto]",
    )
    for names, what in (("--device", "device"), ("--dtype --precision", "data type"))
)


class CompareGroup(TaskGroup):
    """The models; the options of each are the inputs of its manifest."""

    def build(self, name: str, choice: ChosenModel) -> click.Command:
        """Return the command of the first model."""
        from orchestrator.cli.input_options import input_options

        manifest = choice.declared.manifest
        options = input_options(manifest)
        for option in options:
            option.required = False

        @pass_context
        def callback(
            context: Context,
            /,
            *,
            mm_words: tuple[str, ...],
            device: tuple[str, ...],
            dtype: tuple[str, ...],
            force: bool,
            as_json: bool,
            **given: Any,
        ) -> int:
            if choice.reason:
                context.say(choice.reason)
            other = choice.declared
            if mm_words and mm_words[0] in context.catalog.models:
                other = context.catalog.model(mm_words[0])
                mm_words = mm_words[1:]
            filled = file_input(manifest)
            if len(mm_words) > (filled != ""):
                raise UsageError(
                    f"{mm_words[0]!r} is no model, and {name} takes no such file",
                    fix=f"run: mm compare {name} --help",
                )
            if mm_words:
                given[filled] = mm_words[0]
            sides = _sides(choice.declared, other, device, dtype)
            return _compare(context, sides, given, force=force, as_json=as_json)

        return click.Command(
            name,
            params=[WORDS, *options, *TWICE, FORCE, JSON],
            callback=callback,
            help=f"{manifest.summary} ({manifest.name}), and the same by a second MODEL.",
        )


@click.group(cls=CompareGroup, subcommand_metavar="MODEL [MODEL] [INPUTS]...")
def command() -> None:
    """Run one input through two models of a task, each in its environment, and compare them.

    With one MODEL, --dtype or --device is given twice. Without inputs the smallest ones are made
    up. Where the runners have a `trace`, the first of its arrays is named in which the two part.
    Exits with 1 where they differ, with 0 where nothing does.
    """


def _sides(
    one: Declared, other: Declared, devices: tuple[str, ...], dtypes: tuple[str, ...]
) -> tuple[Side, Side]:
    from orchestrator.comparison import Side

    for option, given in (("--device", devices), ("--dtype", dtypes)):
        if len(given) > 2:
            raise UsageError(f"{option} is given {len(given)} times", fix="give it once or twice")
    device, dtype = (given * 2 if len(given) == 1 else given for given in (devices, dtypes))
    first, second = (
        Side(declared, (device or ("auto", "auto"))[index], (dtype or ("auto", "auto"))[index])
        for index, declared in enumerate((one, other))
    )
    if first == second:
        raise UsageError(
            f"{one.name} is compared with itself",
            fix="name a second model, or give --dtype or --device twice",
        )
    return first, second


def _compare(
    context: Context,
    sides: tuple[Side, Side],
    given: dict[str, Any],
    *,
    force: bool,
    as_json: bool,
) -> int:
    from msgspec import to_builtins

    from orchestrator.cli.input_options import collect
    from orchestrator.cli.interrupts import interrupts
    from orchestrator.comparison import compare
    from orchestrator.system.scratch import Scratch

    def on_event(side: Side, event: Event) -> None:
        if event.kind == "progress":
            text = str(event.params.get("text") or "")
            context.reporter.progress(side.declared.name, f"{side.name}: {text}")

    scratch = Scratch(context.home)
    try:
        inputs = collect(context, sides[0].declared.manifest, given, scratch.new_job())
        with interrupts() as cancellation:
            found = compare(context, sides, inputs, cancellation, on_event, force=force)
    finally:
        scratch.close()
        for side in sides:
            context.reporter.finish(side.declared.name)
    if as_json:
        document = {**to_builtins(found), "equal": found.equal}
        document["parted"] = found.parted.name if found.parted else None
        context.out_json(document)
    else:
        _show(context, found)
    return 0 if found.equal else DIFFER


def _show(context: Context, found: ModelComparison) -> None:
    for side, seconds in zip(found.sides, found.seconds, strict=True):
        context.out(f"{side}: done in {seconds:.1f} s")
    for each in found.outputs:
        context.out(f"{each.name}: {each.finding}")
        changes = each.values.get("changes", ())
        for before, after in changes[:MAX_CHANGES]:
            context.out(f"  {_short(before)}  ->  {_short(after)}")
        if (more := len(changes) - MAX_CHANGES) > 0:
            context.out(f"  and {more} more places: --json has them all")
    for array in found.arrays:
        context.out(f"trace {array.name}: {array.finding}")
    if found.parted:
        context.out(f"they part at {found.parted.name}")
    elif found.untraced:
        context.out(f"no arrays were compared: {found.untraced}")


def _short(words: str) -> str:
    text = words if len(words) <= MAX_WORDS else f"{words[:MAX_WORDS]}…"
    return repr(text) if text else "nothing"
