"""`mm new`: the skeleton of a user's own model, which runs unchanged."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath
from orchestrator.errors import ManifestError, UsageError


@click.command()
@click.argument("model")
@click.option("--task", default="text", show_default=True, help="What the model does: ocr, tts, …")
@click.option(
    "--dir",
    "directory",
    metavar="DIR",
    type=GivenPath(path_type=Path),
    help="A folder to share with others: it gets manifests/, envs/, a test, and a README.md if it "
    "has none.  [default: the first of --manifests and MM_MANIFESTS, else your own configuration, "
    "where mm finds the model from anywhere]",
)
@pass_context
def command(context: Context, model: str, task: str, directory: Path | None) -> None:
    """Write the manifest and the runner of a new MODEL, as a start.

    The default place needs no trust: your edits take effect at once. Models in a manifests/ above
    the working directory are trusted by their content: there every edit needs trust again.
    """
    from orchestrator.catalog import runner_path
    from orchestrator.catalog.skeletons import skeleton

    parts = skeleton(model, task)
    manifests = _place(context, directory)
    taken = context.catalog.models.get(model)
    if taken:
        raise UsageError(
            f"there is a model {model!r} already", where=taken.shown, fix="choose another name"
        )
    if model in context.catalog.tasks:
        raise UsageError(f"{model!r} is the name of a task", fix="choose another name")
    manifest = manifests / f"{model}.yaml"
    folder = manifests.parent / "envs" / model
    if runner_path(folder).exists():
        raise ManifestError(
            "is there already", where=str(runner_path(folder)), fix="choose another name"
        )
    runner = folder / "runner.py"
    files = {manifest: parts.manifest, runner: parts.runner}
    if directory is not None:
        test = f"test_{model.replace('-', '_').replace('.', '_')}.py"
        files[manifests.parent / test] = parts.test
        readme = manifests.parent / "README.md"
        if not readme.exists():
            files[readme] = parts.readme
    _write(files)
    for path in files:
        context.out(str(path))
    mm = "mm"
    if all(manifests.resolve() != each.path for each in context.catalog.directories):
        mm = f"mm --manifests {shlex.quote(str(manifests))}"
    context.say(f"next: {mm} env lock {model}")
    context.say(f"then: {mm} run {model} {parts.example}")


def _place(context: Context, directory: Path | None) -> Path:
    """Return the directory for the manifest, created if mm searches it."""
    from orchestrator.catalog import given_directories, user_directory

    if directory is not None:
        return context.cwd / directory.expanduser() / "manifests"
    given = given_directories(context.manifests, context.variables, context.cwd)
    place = next((path for path, _ in given), None) or user_directory(context.variables)
    _make(place)
    return place


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ManifestError(
            f"cannot be made ({error.strerror})",
            where=str(directory),
            fix="choose another --dir",
        ) from error


def _write(files: dict[Path, str]) -> None:
    """Write all of the files, or none; none of them may exist."""
    for path in files:
        if path.exists() or path.is_symlink():
            raise ManifestError("is there already", where=str(path), fix="choose another name")
    written: list[Path] = []
    for path, text in files.items():
        _make(path.parent)
        try:
            with path.open("x", encoding="utf-8") as stream:
                written.append(path)
                stream.write(text)
        except OSError as error:
            for each in written:
                with contextlib.suppress(OSError):
                    each.unlink()
            raise ManifestError(
                f"cannot be written ({error.strerror})",
                where=str(path),
                fix="choose another --dir",
            ) from error
