"""`mm patch`: what the patch sets of a model do to its files, and the same in place."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import options
from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.group import Group
from orchestrator.cli.path_type import GivenPath
from orchestrator.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.catalog import Declared
    from orchestrator.core.patching import Conditions, Outcome, Patched, PatchSet

CONFLICT = 4


@click.group(cls=Group)
def command() -> None:
    """Show, check and apply the edits that a model's own code needs."""


_model = click.argument("model")
_directory = click.argument("directory", required=False, type=GivenPath(path_type=Path))


@dataclass(frozen=True)
class Given:
    """The options `CONDITIONS`, as they were given."""

    device: str
    dtype: str
    python: str | None


@dataclass(frozen=True)
class View:
    """A model's files, in memory, and what its patch sets make of them."""

    declared: Declared
    sets: Sequence[PatchSet]
    conditions: Conditions
    read: Callable[[str], bytes | None]
    commit: str
    where: str
    patched: Patched


@command.command("list")
@click.argument("model", required=False)
@pass_context
def list_patches(context: Context, model: str | None) -> None:
    """List the patches of MODEL, or of all models, and why they are made."""
    from orchestrator.sources.patchsets import load_patch_sets

    models = context.catalog.models
    chosen = [context.catalog.model(model)] if model else list(models.values())
    for declared in chosen:
        for patch_set in load_patch_sets(declared):
            for patch in patch_set.patches:
                when = ", ".join(f"{key} {value}" for key, value in patch.when.items())
                name = f"{declared.name}  {patch_set.name}/{patch.id}  {patch.file}"
                context.out(f"{name}  {when or 'always'}")
                context.out(f"    {' '.join(patch.why.split())}")


@command.command("status", params=[*options.CONDITIONS])
@_model
@_directory
@pass_context
def status(
    context: Context,
    /,
    model: str,
    directory: Path | None,
    **given: Any,
) -> int:
    """Show what each patch does to the files of MODEL, or to those in DIRECTORY."""
    view = _view(context, model, directory, Given(**given))
    context.say(f"{view.where}: {_described(view.conditions, view.sets)}")
    for outcome in view.patched.outcomes:
        context.out(_line(outcome))
    return CONFLICT if view.patched.conflicts else 0


@command.command("diff", params=[*options.CONDITIONS])
@_model
@_directory
@pass_context
def diff(
    context: Context,
    /,
    model: str,
    directory: Path | None,
    **given: Any,
) -> None:
    """Print what the patches change in the files of MODEL, as a unified diff."""
    view = _view(context, model, directory, Given(**given))
    _refuse_conflicts(view)
    for name, data in view.patched.files.items():
        lines = difflib.unified_diff(
            _lines(view.read(name) or b""), _lines(data), fromfile=f"a/{name}", tofile=f"b/{name}"
        )
        context.out("".join(lines).removesuffix("\n"))


@command.command("check", params=[*options.CONDITIONS])
@_model
@_directory
@pass_context
def check(
    context: Context,
    /,
    model: str,
    directory: Path | None,
    **given: Any,
) -> int:
    """Say whether every patch fits the files of MODEL; exit 4 when something does not."""
    from orchestrator.core import patching
    from orchestrator.sources.interpreter import check_compiles

    view = _view(context, model, directory, Given(**given))
    findings = [f"{view.where}/{each.where}: {each.sentence}" for each in view.patched.conflicts]
    if reason := patching.unproved(view.sets, view.conditions):
        findings.append(reason)
    findings += [
        f"{view.where}/{each.file}: is not the file of {each.commit[:12]} that "
        f"{patch_set.name} was written for"
        for patch_set in view.sets
        for each in patching.drift(patch_set, view.commit, view.read)
    ]
    interpreter = given["python"] or _built_python(context, view.declared)
    code = {name: data for name, data in view.patched.files.items() if name.endswith(".py")}
    if interpreter and code:
        try:
            check_compiles(Path(interpreter), code, model)
        except SourceError as error:
            findings.append(f"{error.detail}\n{error.what}")
    for finding in findings:
        context.out(finding)
    if not findings:
        context.say(f"{model}: every patch fits")
    return CONFLICT if findings else 0


@command.command("apply", params=[*options.CONDITIONS])
@_model
@click.option(
    "--in-place",
    "directory",
    required=True,
    type=GivenPath(path_type=Path),
    metavar="DIR",
    help="The directory to edit.",
)
@click.option("--clear-cache", is_flag=True, help="Remove stale copies in the module cache.")
@pass_context
def apply(
    context: Context,
    /,
    model: str,
    directory: Path,
    *,
    clear_cache: bool,
    **given: Any,
) -> None:
    """Edit a directory of yours as a job of MODEL would, keeping the originals.

    Jobs never need this: they load a patched copy, and leave the download as it is.
    """
    from orchestrator.core import patching
    from orchestrator.sources import inplace

    view = _view(context, model, directory, Given(**given))
    _refuse_conflicts(view)
    if reason := patching.unproved(view.sets, view.conditions):
        context.say(f"warning: {reason}")
    root = Path(view.where)
    inplace.write_patched(root, model, view.patched)
    for outcome in view.patched.outcomes:
        context.out(_line(outcome))
    _stale(context, root, sorted(view.patched.looked_at), clear=clear_cache)


@command.command("new", params=[*options.CONDITIONS])
@click.argument("target", metavar="MODEL|DIR", type=GivenPath())
@click.option(
    "-o", "--out", type=GivenPath(), metavar="FILE", help="Where to write it; - is standard output."
)
@pass_context
def new(
    context: Context,
    /,
    target: str,
    *,
    out: str | None,
    python: str | None,
    dtype: str,
    device: str,
) -> None:
    """Draft a patch set from what `mm doctor` finds: one patch for each finding, with its why.

    Nothing but the draft is written: into the current directory, unless -o says otherwise. Read it,
    edit it, put it into patches/ beside the manifest, and try it with mm patch check.
    """
    from orchestrator.cli.doctor import subject_of
    from orchestrator.doctor.drafting import check_command, draft, write_draft
    from orchestrator.doctor.tables import load_tables

    table = load_tables(context.catalog.directories)
    subject = subject_of(context, target, device, dtype, python)
    name = _set_name(subject.name, out)
    made = draft(subject, context, table, name)
    for finding in made.left:
        context.say(f"no patch fixes: {finding.finding}; {finding.remedy}")
    if out == "-":
        context.out(made.text.rstrip("\n"))
        return
    path = context.cwd / (out or f"{name}.yaml")
    write_draft(made, path)
    count = len(made.patches)
    context.say(
        f"{path}: {count} patch{'es' if count > 1 else ''}; read it, put it into patches/ beside "
        f"the manifest, name {path.stem} under patches: there, and run: {check_command(subject)}"
    )


@command.command("revert")
@click.argument("directory", type=GivenPath(path_type=Path))
@click.option("--clear-cache", is_flag=True, help="Remove stale copies in the module cache.")
@pass_context
def revert(context: Context, directory: Path, *, clear_cache: bool) -> None:
    """Put back the originals in a DIRECTORY that was patched in place."""
    from orchestrator.sources import inplace

    root = (context.cwd / directory).resolve()
    for name in (names := inplace.revert(root)):
        context.out(name)
    _stale(context, root, names, clear=clear_cache)


def _set_name(subject: str, out: str | None) -> str:
    """Return the name of a set: that of its file, else one made of the model's."""
    from orchestrator.core.diagnosis.drafts import draft_id
    from orchestrator.core.names import name_problem
    from orchestrator.errors import UsageError

    if out is None or out == "-":
        return draft_id(Path(subject).name, "draft")
    if not out.endswith(".yaml") or (problem := name_problem(Path(out).stem)):
        why = "its name must end in .yaml" if not out.endswith(".yaml") else problem
        raise UsageError(str(why), where=f"-o {out}", fix="write -o patches/NAME.yaml")
    return Path(out).stem


def _view(
    context: Context,
    model: str,
    directory: Path | None,
    given: Given,
) -> View:
    from orchestrator.core import patching
    from orchestrator.errors import UsageError
    from orchestrator.sources import inplace
    from orchestrator.sources.patchsets import load_patch_sets

    declared = context.catalog.model(model)
    sets = load_patch_sets(declared)
    if not sets:
        raise UsageError(f"{model} has no patches")
    if directory is not None:
        root = (context.cwd / directory).resolve()
        if not root.is_dir():
            raise UsageError("not a directory", where=str(directory))
        commit, where = "", str(root)

        def read(name: str) -> bytes | None:
            return inplace.read_inside(root, name)
    else:
        record = context.sources.ready(declared)
        commit, where, read = record.commit, record.path, record.read

    conditions = _chosen(context, declared, given)
    patched = patching.apply(sets, read, conditions)
    return View(declared, sets, conditions, read, commit, where, patched)


def _chosen(context: Context, declared: Declared, given: Given) -> Conditions:
    from orchestrator.core.devices import choose_device, choose_dtype
    from orchestrator.core.patching import Conditions
    from orchestrator.sources.interpreter import installed_versions
    from orchestrator.system import machine
    from orchestrator.system.processor import native_dtypes

    manifest = declared.manifest
    on = choose_device(manifest, given.device, machine.available_devices())
    as_type = choose_dtype(manifest, on, given.dtype, context.memory.get(on), native_dtypes())
    if given.python is not None:
        return Conditions(on, as_type, installed_versions(given.python))
    pins = context.environments.target(declared).pins
    return Conditions(on, as_type, {pin.name: pin.version for pin in pins})


def _built_python(context: Context, declared: Declared) -> str | None:
    environment = context.environments.ready(declared)
    return str(environment.python) if environment else None


def _refuse_conflicts(view: View) -> None:
    if view.patched.conflicts:
        first, *others = view.patched.conflicts
        raise SourceError(
            f"{first.sentence}; nothing was changed",
            where=f"{view.where}/{first.where}",
            detail="\n".join(f"{each.where}: {each.sentence}" for each in others),
        )


def _line(outcome: Outcome) -> str:
    name = f"{outcome.state.value:<13}  {outcome.set_name}/{outcome.patch.id}"
    if outcome.reason:
        more = f"found {outcome.reason}" if outcome.looked_for else outcome.reason
    else:
        more = f"{outcome.matches} changed, {outcome.there} there before"
    return f"{name}  {outcome.where}  ({more})"


def _described(conditions: Conditions, sets: Sequence[PatchSet]) -> str:
    from orchestrator.core.patching.conditions import NAMES

    asked = {key for each in sets for patch in each.patches for key in patch.when}
    asked |= {key for each in sets for key in each.proved}
    versions = [
        f"{name} {conditions.versions.get(name, 'not installed')}"
        for name in sorted(asked - set(NAMES))
    ]
    return ", ".join([conditions.device, conditions.dtype, *versions])


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return [f"{line}\n" for line in text.split("\n")]


def _stale(context: Context, directory: Path, names: Sequence[str], *, clear: bool) -> None:
    from orchestrator.doctor.caches import module_cache
    from orchestrator.sources import inplace

    files = {
        name: data
        for name in names
        if name.endswith(".py") and (data := inplace.read_inside(directory, name)) is not None
    }
    stale = inplace.stale_copies(module_cache(context.variables), directory, files)
    if clear:
        inplace.clear(stale)
    for path in stale:
        context.say(f"stale copy {'removed' if clear else 'of the unpatched code'}: {path}")
    if stale and not clear:
        context.say("remove them with --clear-cache, or they are imported instead")
