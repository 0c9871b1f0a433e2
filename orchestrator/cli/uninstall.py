"""`mm uninstall`: list and remove everything that mm keeps outside its package."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from orchestrator.catalog.directories import user_directory
from orchestrator.cli.context import Context, pass_context
from orchestrator.core.units import format_size
from orchestrator.errors import EnvironmentFailure, UsageError
from orchestrator.system.home import FORMAT_FILE, home_directory
from orchestrator.system.removal import remove

DESCRIPTIONS = {
    "envs": "built environments",
    "models": "overlays of models",
    "archives": "files of models from archives",
    "converted": "weights that were converted here",
    "home": "what workers keep as their HOME",
    "logs": "logs",
    "locks": "lock files",
    "jobs": "directories of running jobs",
    "serve": "jobs of mm serve, with their outputs",
    "partial": "what stopped jobs had streamed",
    "mine": "locks of your own",
    "bundles": "models that came from another machine, for its jobs",
    "results": "finished pipeline steps",
    "runs": "records of pipeline runs",
    "self-tests": "comparisons of devices with the CPU",
    "settings.json": "trust, and the choices of mm use",
    "interpreters.json": "facts about interpreters",
    "manifests.json": "what manifests say, to read them faster",
    "resolved.json": "which pins of locks apply here, to find them faster",
}


@click.command()
@click.option("--yes", is_flag=True, help="Remove it without asking.")
@pass_context
def command(context: Context, *, yes: bool) -> None:
    """List everything that mm keeps, with sizes, and remove it.

    uv's own cache and the hub's are never touched. The package itself is removed with what
    installed it: `uv tool`, `pipx` or `pip uninstall mm-orchestrator`.
    """
    root = home_directory(context.variables).root
    runtime = context.runtime.path
    # On macOS the runtime directory may lie there.
    kept = [path for path in sorted(root.iterdir()) if path != runtime] if root.is_dir() else []
    if kept and not (root / FORMAT_FILE).is_file():
        raise UsageError(
            "this is not a directory that mm made, and it is not removed",
            where=str(root),
            fix="check MM_HOME",
        )
    seen: set[tuple[int, int]] = set()
    total = 0
    for path in kept:
        size = _size(path, seen)
        total += size
        described = DESCRIPTIONS.get(path.name, "")
        context.out(f"{format_size(size):>10}  {path}  {described}".rstrip())
    context.out(f"{'':>10}  {runtime}  sockets and records of live workers")
    context.out(f"{format_size(total):>10}  in all; files that uv's cache shares are freed there")
    own = user_directory(context.variables).parent
    if own.exists():
        context.out(f"{format_size(_size(own, set())):>10}  {own}  your own files, which stay")
    live = [record.model for record in context.own_workers()]
    if live:
        raise EnvironmentFailure(
            f"workers are running ({', '.join(live)})", fix="run: mm stop --all"
        )
    if not yes:
        if not sys.stdin.isatty():
            context.say("nothing was removed; run: mm uninstall --yes")
            return
        click.confirm("Remove all of it?", abort=True, err=True)
    _remove(root)
    if runtime.exists() and not any(context.runtime.records()):  # of another MM_HOME
        _remove(runtime)
    context.say(
        "removed; the package goes with what installed it, as in: uv tool uninstall mm-orchestrator"
    )


def _size(path: Path, seen: set[tuple[int, int]]) -> int:
    """Return the bytes on disk below `path`, a file with several links once."""
    total = 0
    paths = [path]
    if not path.is_symlink():
        for base, directories, files in os.walk(path):
            paths += [Path(base, name) for name in (*directories, *files)]
    for each in paths:
        try:
            found = each.lstat()
        except OSError:
            continue  # another has removed it
        if (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            total += found.st_blocks * 512
    return total


def _remove(path: Path) -> None:
    try:
        remove(path)
    except OSError as error:
        raise EnvironmentFailure(
            f"could not be removed ({error.strerror}: {error.filename})",
            where=str(path),
            fix="check its permissions, then run: mm uninstall --yes",
        ) from error
