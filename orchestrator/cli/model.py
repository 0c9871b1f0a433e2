"""`mm model`: the models, what each declares, and where its files come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from msgspec.structs import replace

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.group import Group
from orchestrator.cli.path_type import GivenPath
from orchestrator.core.manifest import DType
from orchestrator.errors import UsageError
from orchestrator.sources.hub import HUBS

if TYPE_CHECKING:
    from orchestrator.catalog import Declared
    from orchestrator.core.manifest import Source
    from orchestrator.jobs.job import Event
    from orchestrator.sources.model_files import SourceRecord

PRECISION = click.option(
    "--precision",
    metavar="TYPE",
    default="",
    help="Its converted weights of this data type: 4bit, 8bit or bf16.",
)

NOTHING_NEEDED = "in its packages"
"""What is shown as the weights of a model without a source."""


@click.group(cls=Group)
def command() -> None:
    """Show the models, and fetch, check and forget their weights."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_context
def list_models(context: Context, *, as_json: bool) -> None:
    """List the models of the manifests in use."""
    models = sorted(
        context.catalog.models.values(), key=lambda each: each.manifest.family or each.name
    )
    rows = [_row(context, declared) for declared in models]
    if as_json:
        context.out(json.dumps(rows, ensure_ascii=False))
        return
    names = ("name", "family", "task", "weights", "summary")
    context.table([[row[name] for name in names] for row in rows])
    for problem in context.catalog.problems:
        context.say(problem)


@command.command("show")
@click.argument("model")
@pass_context
def show(context: Context, model: str) -> None:
    """Show what MODEL declares, as JSON, and where."""
    import msgspec

    from orchestrator.catalog.manifest_checks import check_wheels

    declared = context.catalog.model(model)
    document: dict[str, Any] = {
        **_row(context, declared),
        "file": str(declared.file),
        "runner": str(declared.runner),
        "lock": str(declared.lock),
        "manifest": msgspec.to_builtins(declared.manifest),
    }
    record = context.sources.record(model)
    if record is not None and declared.manifest.source is not None:
        document["source"] = msgspec.to_builtins(record)
    if declared.manifest.weights:
        records = context.sources.records(declared.manifest)
        document["converted"] = {
            precision: msgspec.to_builtins(records.get(precision))
            for precision in declared.manifest.weights
        }
    context.out(json.dumps(document, ensure_ascii=False, indent=2))
    for problem in check_wheels(declared.file, declared.shown):
        context.say(str(problem))


@command.command("pull")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--update", is_flag=True, help="Resolve a branch again.")
@click.option(
    "--from",
    "hub",
    type=click.Choice(HUBS),
    help="The hub to ask.  [default: MM_HUB, else huggingface]",
)
@PRECISION
@pass_context
def pull(
    context: Context, models: tuple[str, ...], *, update: bool, hub: str | None, precision: str
) -> None:
    """Download the weights of each MODEL, from either hub into the cache of Hugging Face.

    MODEL may be a family, of which the model is pulled that suits this machine. Files that are
    there, for another model of the family too, are not fetched again; an interrupted download
    continues.
    HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, MODELSCOPE_DOMAIN, MODELSCOPE_API_TOKEN and
    proxies are honoured.
    """
    for declared in [_at(_meant(context, name), precision) for name in models]:
        if not update and not hub and (kin := _kin_with_weights(context, declared)):
            record = context.sources.share(declared, kin)
            context.say(f"{declared.name}: the weights of {kin.name}, in {record.path}")
            continue
        record = context.sources.pull(declared, update=update, hub=hub or "")
        of = f" of {record.hub}" if record.hub else ""
        at = f", at {record.commit[:12]}{of}" if record.commit else ""
        context.say(f"{declared.words}: whole{at}")


@command.command("convert")
@click.argument("model")
@click.option(
    "--precision",
    metavar="TYPE",
    default="4bit",
    help="The data type: 4bit, 8bit or bf16.  [default: 4bit]",
)
@pass_context
def convert(context: Context, model: str, *, precision: str) -> None:
    """Convert the weights of MODEL that are here, once, instead of a second download.

    They are kept in MM_HOME; what was pulled or added stays as it is. `mm run MODEL --precision
    TYPE` uses them, and so does a job without it where no other weights are there.
    """
    from orchestrator.cli.interrupts import interrupts
    from orchestrator.conversion import convert
    from orchestrator.core.devices import SHORT
    from orchestrator.core.units import format_size

    declared = context.catalog.model(model)
    precision = SHORT.get(precision, precision)

    def on_event(event: Event) -> None:
        if event.kind == "progress":
            context.reporter.progress(model, str(event.params.get("text") or ""))

    with interrupts() as cancellation:
        try:
            record, made = convert(context, declared, precision, cancellation, on_event)
        finally:
            context.reporter.finish(model)
    done = "converted" if made else "was converted before"
    words = declared.at(precision).words
    context.say(f"{words}: {done}, {format_size(record.size)} in {record.path}")


@command.command("add")
@click.argument("model")
@click.argument("directory", type=GivenPath(path_type=Path))
@PRECISION
@pass_context
def add(context: Context, model: str, directory: Path, *, precision: str) -> None:
    """Use the weights of MODEL that are in DIRECTORY, which is never written to."""
    from orchestrator.core.units import format_size

    declared = _at(context.catalog.model(model), precision)
    record = context.sources.add(declared, context.cwd / directory)
    context.say(f"{declared.words}: {len(record.files)} files, {format_size(record.size)}")


@command.command("verify")
@click.argument("models", nargs=-1, metavar="[MODEL...]")
@pass_context
def verify(context: Context, models: tuple[str, ...]) -> int:
    """Compare every file of each MODEL, by default of all, with its recorded hash."""
    found = 0
    for declared in [context.catalog.model(name) for name in models] or _with_files(context):
        problems = context.sources.verify(declared)
        found += len(problems)
        for file, problem in problems:
            context.out(f"{declared.name}: {file} {problem}")
        if not problems:
            context.say(f"{declared.name}: every file is as it was")
    return 4 if found else 0


@command.command("path")
@click.argument("model")
@PRECISION
@pass_context
def path(context: Context, model: str, *, precision: str) -> None:
    """Print the directory of the files of MODEL, as they were pulled, added or converted."""
    context.out(context.sources.ready(_at(context.catalog.model(model), precision)).path)


@command.command("remove")
@click.argument("model")
@click.option(
    "--download", is_flag=True, help="Remove its snapshot from the hub's cache, too, if pulled."
)
@PRECISION
@pass_context
def remove(context: Context, model: str, *, download: bool, precision: str) -> None:
    """Forget where the files of MODEL are, and remove what was made from them.

    A directory that was added is never touched, and a download stays in the hub's cache unless
    --download is given, because other programs use that cache.
    """
    from orchestrator.core.units import format_size

    words, kinds = model, ("", *get_args(DType))
    if precision:
        declared = _at(context.catalog.model(model), precision)
        words, kinds = declared.words, (declared.precision,)
    records = [known for each in kinds if (known := context.sources.record(model, each))]
    if not records:
        context.catalog.model(model)
        context.say(f"{words}: nothing to remove")
        return
    freed = context.sources.remove(model, kinds, download=download)
    if freed or download:
        context.say(f"{words}: removed, {format_size(freed)} freed")
    else:
        context.say(f"{words}: forgotten; its files stay in {records[0].path}")


def _at(declared: Declared, precision: str) -> Declared:
    """Return a model at the data type that was named, if one was.

    Raises:
        UsageError: When it has no such weights.
    """
    from orchestrator.core.devices import SHORT

    precision = SHORT.get(precision, precision)
    if precision and precision not in declared.manifest.weights:
        offered = "|".join(declared.manifest.weights)
        raise UsageError(
            f"{declared.name} has no weights of {precision}",
            fix=f"choose --precision {offered}" if offered else "leave --precision out",
        )
    return declared.at(precision)


def _meant(context: Context, name: str) -> Declared:
    """Return the model of a name, or the one of the family of that name that suits this machine.

    Where the name is a model's too, that one is meant, and a line names the one that suits.
    """
    from orchestrator.core.selection import suits_best

    catalog = context.catalog
    family = [each for each in catalog.models.values() if each.manifest.family == name]
    if not family:
        return catalog.model(name)
    best = suits_best([each.manifest for each in family], context.facts)
    if name not in catalog.models:
        return catalog.model(best.name if best else family[0].name)
    if best and best.name != name:
        context.say(f"on this machine {best.name} suits better: mm model pull {best.name}")
    return catalog.model(name)


def _kin_with_weights(context: Context, declared: Declared) -> Declared | None:
    """Return another of the family whose weights are there and serve this model too, or None."""
    own = declared.manifest
    if own.source is None or declared.precision or context.sources.record(own.name) is not None:
        return None
    for other in context.catalog.models.values():
        kin = other.manifest
        same = own.family and kin.family == own.family and _serves(kin.source, own.source)
        if same and kin is not own and "" in context.sources.there(kin):
            return other
    return None


def _serves(there: Source | None, wanted: Source) -> bool:
    """Return whether the files of one source are those of another, or more of them."""
    if there is None or replace(there, include=wanted.include) != wanted:
        return False
    return not there.include or (wanted.include != () and set(wanted.include) <= set(there.include))


def _with_files(context: Context) -> list[Declared]:
    return [
        declared
        for name, declared in context.catalog.models.items()
        if context.sources.records(declared.manifest)
    ]


def _row(context: Context, declared: Declared) -> dict[str, str]:
    manifest = declared.manifest
    return {
        "name": manifest.name,
        "family": manifest.family,
        "task": manifest.task,
        "origin": declared.origin.value,
        "license": manifest.license,
        "weights": _weights(context, declared),
        "summary": manifest.summary,
    }


def _weights(context: Context, declared: Declared) -> str:
    source = declared.manifest.source
    if source is None:
        return NOTHING_NEEDED
    records = context.sources.records(declared.manifest)
    if not records and declared.manifest.is_embedded:
        return f"fetched at first use ({source.size})"
    if not records:
        return f"not pulled ({source.size})" if source.size else "not pulled"
    return ", ".join(f"{_state(each)} {precision}".strip() for precision, each in records.items())


def _state(record: SourceRecord) -> str:
    if record.dangling() is not None:
        return "gone"
    if record.converted:
        return "converted"
    return "pulled" if record.pulled else "added"
