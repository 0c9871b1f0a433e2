"""`mm patch`: what the patch sets of a model do to its files, and the same in place."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import options
from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.group import Group
from orchestrator.cli.path_type import GivenPath
from orchestrator.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.catalog import Declared
    from orchestrator.core.patching import Conditions, Patched, PatchOutcome, PatchSet

CONFLICT = 4
UNCHANGED = "; nothing was changed"


@click.group(cls=Group)
def command() -> None:
    """Show, check and apply the edits that a model's own code needs."""


@dataclass(frozen=True)
class PatchView:
    """A model's files, in memory, and what its patch sets make of them.

    Attributes:
        declared: The model.
        sets: Its patch sets.
        conditions: What they are applied under.
        python: The interpreter that the versions are from; None for the lock's.
        read: Returns a file as it is, or None.
        commit: The commit of the files, or nothing.
        where: Their directory.
        patched: What the sets make of them.
    """

    declared: Declared
    sets: Sequence[PatchSet]
    conditions: Conditions
    python: str | None
    read: Callable[[str], bytes | None]
    commit: str
    where: str
    patched: Patched


def _with_view(function: Callable[[Context, PatchView], int | None]) -> Callable[..., object]:
    """Make a command of a function that is about the files of a MODEL or in a DIRECTORY."""

    @click.argument("model")
    @click.argument("directory", required=False, type=GivenPath(path_type=Path))
    @pass_context
    @wraps(function)
    def call(context: Context, /, model: str, directory: Path | None, **given: Any) -> int | None:
        return function(context, _view(context, model, directory, **given))

    return call


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
@_with_view
def status(context: Context, view: PatchView) -> int:
    """Show what each patch does to the files of MODEL, or to those in DIRECTORY."""
    context.say(f"{view.where}: {_in_words(view.conditions, view.sets)}")
    for outcome in view.patched.outcomes:
        context.out(_line(outcome))
    return CONFLICT if view.patched.conflicts else 0


@command.command("diff", params=[*options.CONDITIONS])
@_with_view
def diff(context: Context, view: PatchView) -> None:
    """Print what the patches change in the files of MODEL, as a unified diff."""
    from orchestrator.sources.patchsets import refuse_conflicts

    refuse_conflicts(view.patched, view.where, note=UNCHANGED)
    for name, data in view.patched.files.items():
        lines = difflib.unified_diff(
            _lines(view.read(name) or b""), _lines(data), fromfile=f"a/{name}", tofile=f"b/{name}"
        )
        context.out("".join(lines).removesuffix("\n"))


@command.command("check", params=[*options.CONDITIONS])
@_with_view
def check(context: Context, view: PatchView) -> int:
    """Say whether every patch fits the files of MODEL; exit 4 when something does not."""
    from orchestrator.core import patching
    from orchestrator.sources.interpreter import check_compiles

    problems = [f"{view.where}/{each.where}: {each.sentence}" for each in view.patched.conflicts]
    if reason := patching.unproved(view.sets, view.conditions):
        problems.append(reason)
    problems += [
        f"{view.where}/{each.file}: is not the file of {each.commit[:12]} that "
        f"{patch_set.name} was written for"
        for patch_set in view.sets
        for each in patching.drift(patch_set, view.commit, view.read)
    ]
    model, environment = view.declared.name, None
    if view.python is None:
        environment = context.environments.ready(view.declared)
    interpreter = view.python or (str(environment.python) if environment else None)
    code = {name: data for name, data in view.patched.files.items() if name.endswith(".py")}
    if interpreter and code:
        try:
            check_compiles(Path(interpreter), code, model)
        except SourceError as error:
            problems.append(f"{error.detail}\n{error.what}")
    for problem in problems:
        context.out(problem)
    if not problems:
        context.say(f"{model}: every patch fits")
    return CONFLICT if problems else 0


@command.command("apply", params=[*options.CONDITIONS])
@click.argument("model")
@click.option(
    "--in-place",
    "directory",
    required=True,
    type=GivenPath(path_type=Path),
    metavar="DIR",
    help="The directory of yours to edit.",
)
@click.option("--clear-cache", is_flag=True, help="Remove stale copies in the module cache.")
@pass_context
def apply(
    context: Context, /, model: str, directory: Path, *, clear_cache: bool, **conditions: Any
) -> None:
    """Edit a directory of your own as a job of MODEL would, keeping the originals.

    Jobs never need this: they load a patched copy, and leave the download as it is.
    """
    from orchestrator.core import patching
    from orchestrator.sources import inplace
    from orchestrator.sources.patchsets import refuse_conflicts

    view = _view(context, model, directory, **conditions)
    refuse_conflicts(view.patched, view.where, note=UNCHANGED)
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
def new(context: Context, /, target: str, *, out: str | None, **conditions: Any) -> None:
    """Draft a patch set from what `mm doctor` finds: one patch for each finding, with its why.

    Nothing but the draft is written: into the current directory, unless -o says otherwise. Read it,
    edit it, put it into patches/ beside the manifest, and try it with mm patch check.
    """
    from orchestrator import doctor

    table = doctor.load_tables(context.catalog.directories)
    subject = doctor.find_subject(context, target, doctor.CheckOptions(**conditions), table)
    name = _set_name(subject.name, out)
    made = doctor.draft(subject, name)
    for finding in made.left:
        context.say(f"no patch fixes: {finding.finding}; {finding.remedy}")
    if out == "-":
        context.out(made.text.rstrip("\n"))
        return
    path = context.cwd / (out or f"{name}.yaml")
    doctor.write_draft(made, path)
    count, check = len(made.patches), doctor.check_command(subject)
    context.say(
        f"{path}: {count} patch{'es' if count > 1 else ''}; read it, put it into patches/ beside "
        f"the manifest, name {path.stem} under patches: there, and run: {check}"
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
    from orchestrator.core.names import name_problem
    from orchestrator.doctor import slug

    if out is None or out == "-":
        return slug(f"{Path(subject).name}-draft")
    problem = name_problem(Path(out).stem)
    if not out.endswith(".yaml"):
        problem = "its name must end in .yaml"
    if problem:
        raise UsageError(problem, where=f"-o {out}", fix="write -o patches/NAME.yaml")
    return Path(out).stem


def _view(
    context: Context,
    model: str,
    directory: Path | None,
    *,
    device: str,
    dtype: str,
    python: str | None,
) -> PatchView:
    from orchestrator.core import patching
    from orchestrator.core.devices import AUTO, choose_dtype, named_device
    from orchestrator.sources import inplace
    from orchestrator.sources.interpreter import installed_versions
    from orchestrator.sources.patchsets import load_patch_sets

    declared = context.catalog.model(model)
    sets = load_patch_sets(declared)
    if not sets:
        raise UsageError(f"{model} has no patches")
    if device == AUTO:
        place, dtype = context.device_and_dtype(declared, device, dtype)
    else:
        place = named_device(declared.manifest, device)
        dtype = choose_dtype(declared.manifest, place, dtype)
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

    if python is not None:
        versions = installed_versions(python)
    else:
        versions = context.environments.target(declared).packages
    conditions = patching.Conditions(place.kind, dtype, versions)
    patched = patching.apply(sets, read, conditions)
    return PatchView(declared, sets, conditions, python, read, commit, where, patched)


def _line(outcome: PatchOutcome) -> str:
    name = f"{outcome.state.value:<13}  {outcome.set_name}/{outcome.patch.id}"
    if outcome.reason:
        more = f"found {outcome.reason}" if outcome.looked_for else outcome.reason
    else:
        more = f"{outcome.matches} changed, {outcome.there} there before"
    return f"{name}  {outcome.where}  ({more})"


def _in_words(conditions: Conditions, sets: Sequence[PatchSet]) -> str:
    """Return the conditions that the sets name, in words."""
    from orchestrator.core.patching.conditions import NAMES

    named = {key for each in sets for patch in each.patches for key in patch.when}
    named |= {key for each in sets for key in each.proved}
    versions = [
        f"{name} {conditions.versions.get(name, 'not installed')}"
        for name in sorted(named - set(NAMES))
    ]
    return ", ".join([conditions.device, conditions.dtype, *versions])


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return [f"{line}\n" for line in text.split("\n")]


def _stale(context: Context, directory: Path, names: Sequence[str], *, clear: bool) -> None:
    """Name the copies of the unpatched code in transformers' module cache, or remove them."""
    from orchestrator.sources import inplace

    files = {
        name: data
        for name in names
        if name.endswith(".py") and (data := inplace.read_inside(directory, name)) is not None
    }
    stale = inplace.stale_copies(inplace.module_cache(context.variables), directory, files)
    if clear:
        inplace.clear(stale)
    for path in stale:
        context.say(f"stale copy {'removed' if clear else 'of the unpatched code'}: {path}")
    if stale and not clear:
        context.say("remove them with --clear-cache, or they are imported instead")
