"""`mm manifest`: check manifests, print their schema, trust a directory of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.group import Group
from orchestrator.cli.path_type import GivenPath
from orchestrator.core.units import counted
from orchestrator.errors import ManifestError

if TYPE_CHECKING:
    from orchestrator.catalog import ManifestDirectory


@click.group(cls=Group)
def command() -> None:
    """Check manifests, print their schema, trust a directory of them."""


@command.command("check")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=GivenPath(path_type=Path))
@pass_context
def check(context: Context, files: tuple[Path, ...]) -> None:
    """Print every problem of the given manifests and their runners, or of all that are found.

    One line for each, with its file, line and key; the exit code is 2 when there are any.
    """
    from orchestrator.catalog import manifest_files, shown_path
    from orchestrator.catalog.manifest_checks import check_file, check_runner, check_wheels

    catalog = context.catalog
    if files:
        named = {context.cwd / file: str(file) for file in files}
    else:
        places = [each.path for each in catalog.directories]
        if catalog.ignored:  # nothing in it is executed here, and an edit is checked before trust
            places.insert(0, catalog.ignored.directory)
        every = [file for place in places for file in manifest_files(place)]
        named = {file: shown_path(file, context.cwd) for file in every}
    across = {each.file: each.error for each in catalog.broken.values()}
    count = 0
    for file, shown in named.items():
        problems = check_file(file, shown)
        # Problems between manifests: a shared environment, the name of a task.
        other = across.get(file.resolve())
        if not problems and other is None:
            problems = check_runner(file, shown) + check_wheels(file, shown)
        problems = problems or ([other] if other else [])
        for problem in problems:
            context.out(str(problem))
            count += 1
    for directory in () if files else catalog.directories:
        if broken := _table_problem(directory):
            context.out(str(broken))
            count += 1
    checked = counted(len(named), "manifest")
    if count:
        raise ManifestError(f"{counted(count, 'problem')} in {checked}")
    context.say(f"{checked}, no problem")


def _table_problem(directory: ManifestDirectory) -> ManifestError | None:
    """Return the first problem of the doctor's tables in a directory, or None."""
    from orchestrator.doctor import load_tables

    try:
        load_tables([directory])
    except ManifestError as error:
        return error
    return None


@command.command("schema")
@pass_context
def schema(context: Context) -> None:
    """Print the JSON Schema of a manifest, for editors that check YAML as it is written."""
    from orchestrator.core.manifest_schema import manifest_schema

    context.out(json.dumps(manifest_schema(), indent=2))


@command.command("trust")
@click.argument("directory", metavar="DIR", type=GivenPath(path_type=Path))
@click.option("--revoke", is_flag=True, help="Stop trusting it.")
@pass_context
def trust(context: Context, directory: Path, *, revoke: bool) -> None:
    """Trust the models in DIR for every command below the directory that holds DIR.

    Trust covers the present files of DIR and of the envs/ beside it, which are printed; after any
    change the models are ignored until you trust it again. Read the runners first: they are
    programs that run with your rights.
    """
    from orchestrator.catalog import inspect_tree
    from orchestrator.system.settings import update_settings

    chosen = _manifest_directory(context, directory)
    if revoke:
        update_settings(context.home, lambda settings: settings.distrusting(str(chosen.path)))
        context.say(f"{chosen.path} is not trusted")
        return
    contents = inspect_tree(chosen)
    for file in contents.files:
        context.out(str(chosen.path.parent / file))
    update_settings(
        context.home,
        lambda settings: settings.trusting(str(chosen.path), contents.digest, contents.files),
    )
    files = counted(len(contents.files), "file")
    context.say(f"trusted {files} as they are now, sha256 {contents.digest}")


def _manifest_directory(context: Context, directory: Path) -> ManifestDirectory:
    """Return the directory of manifests: DIR, or the `manifests/` in it."""
    from orchestrator.catalog import ManifestDirectory, Origin, manifest_files

    given = context.cwd / directory.expanduser()
    for candidate in (given, given / "manifests"):
        if candidate.is_dir() and manifest_files(candidate):
            return ManifestDirectory(candidate.resolve(), Origin.FOUND)
    what = "no manifest in it" if given.is_dir() else "no such directory"
    raise ManifestError(what, where=str(directory))
