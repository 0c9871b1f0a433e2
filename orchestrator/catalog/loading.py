"""Reads the manifests of every directory in use and merges them: the first wins on a name."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec

from orchestrator.catalog.catalog import Broken, Catalog, Declared, Ignored
from orchestrator.catalog.directories import (
    VARIABLE,
    ManifestDirectory,
    Origin,
    builtin_directory,
    existing,
    missing_variables,
    search,
)
from orchestrator.catalog.manifest_cache import ManifestCache
from orchestrator.catalog.manifest_files import (
    check_suffix,
    manifest_files,
    names_in,
    read_plain,
    shown_path,
)
from orchestrator.catalog.trust import belongs_to, inspect_tree
from orchestrator.core.canonical import digest_bytes
from orchestrator.core.selection import preference_order
from orchestrator.errors import ManifestError
from orchestrator.system.machine import this_platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.system.settings import Settings

SHARED = ("python", "platforms", "glibc", "dependencies", "overrides", "build")
"""What manifests that share an environment's folder must agree on, for they share its lock."""


def load_catalog(
    *,
    options: Sequence[Path],
    variables: Mapping[str, str],
    cwd: Path,
    settings: Settings,
    kept: Path,
    builtin: Path | None = None,
    user: int | None = None,
) -> Catalog:
    """Read the manifests of every directory in use.

    Args:
        options: What `--manifests` names, in order.
        variables: The user's environment variables.
        cwd: Where the walk upwards begins.
        settings: Which directories are trusted.
        kept: The file that keeps manifests between runs.
        builtin: The manifests that come with `mm`, by default those of this installation.
        user: The uid that a directory found by walking up must belong to, by default that of this
            process.

    Raises:
        ManifestError: When a directory that `--manifests` names cannot be read. Anything wrong
            inside a directory is kept in the catalogue.
    """
    cwd, builtin = cwd.resolve(), builtin or builtin_directory()
    notes = [
        f"{VARIABLE}: ignored {path}: no such directory"
        for path in missing_variables(variables, cwd)
    ]
    reached = search(options, variables, cwd, builtin)
    directories = existing(reached, builtin)
    found = next((each for each in directories if each.origin is Origin.FOUND), None)
    if found and _is_copy(found, builtin, user):
        # A checkout of `mm` itself, beside an installation of it: the same models twice.
        directories = [each for each in directories if each is not found]
        found = None
    ignored = _reason_to_ignore(found, settings, user) if found else None
    if ignored:
        directories = [each for each in directories if each is not found]
        notes.append(f"ignored {ignored.directory}: it {ignored.why}; {ignored.fix}".rstrip("; "))
    merged = _Merge(cwd, ManifestCache(kept))
    for directory in directories:
        taken = names_in(builtin) if directory is found else ()
        try:
            merged.add(directory, taken)
        except ManifestError as error:
            if directory.origin is Origin.OPTION:
                raise
            notes.append(f"ignored {error}")
    merged.cache.save()
    places = tuple(path for path, _ in reached)
    return merged.catalog(tuple(directories), places, ignored, notes)


class _Merge(msgspec.Struct):
    """Collects models directory by directory; the first wins on a name."""

    cwd: Path
    cache: ManifestCache
    models: dict[str, Declared] = msgspec.field(default_factory=dict)
    broken: dict[str, Broken] = msgspec.field(default_factory=dict)
    notes: list[str] = msgspec.field(default_factory=list)

    def add(self, directory: ManifestDirectory, taken: Iterable[str]) -> None:
        """Read `directory`, except the models whose names are `taken`."""
        for file in manifest_files(directory.path):
            shown = shown_path(file, self.cwd)
            name = file.stem
            if name in taken:
                self.notes.append(f"ignored {shown}: {name!r} is the name of a built-in model")
            elif name not in self.models and name not in self.broken:
                try:
                    self.models[name] = self._declare(file, shown, directory)
                except ManifestError as error:
                    self.broken[name] = Broken(file, error)

    def _declare(self, file: Path, shown: str, directory: ManifestDirectory) -> Declared:
        check_suffix(file.name, shown)
        data = read_plain(file, shown)
        content = digest_bytes(data)
        manifest = self.cache.read(data, content, shown=shown, stem=file.stem)
        return Declared(
            manifest=manifest,
            origin=directory.origin,
            file=file,
            env_directory=directory.environments / manifest.env,
            digest=content,
            shown=shown,
        )

    def catalog(
        self,
        directories: tuple[ManifestDirectory, ...],
        places: tuple[Path, ...],
        ignored: Ignored | None,
        notes: Sequence[str],
    ) -> Catalog:
        """Check what needs all the manifests, and return what is whole."""
        self._check_shared_environments()
        self._check_names_and_tasks()
        tasks: dict[str, list[Declared]] = {}
        order = preference_order(this_platform())
        for declared in self.models.values():
            tasks.setdefault(declared.manifest.task, []).append(declared)
        return Catalog(
            models=dict(sorted(self.models.items())),
            tasks={
                task: tuple(sorted(many, key=lambda each: order(each.manifest)))
                for task, many in sorted(tasks.items())
            },
            broken=dict(sorted(self.broken.items())),
            directories=directories,
            places=places,
            ignored=ignored,
            notes=(*notes, *self.notes),
        )

    def _check_shared_environments(self) -> None:
        shared: dict[Path, list[Declared]] = {}
        for declared in self.models.values():
            shared.setdefault(declared.env_directory, []).append(declared)
        for sharers in shared.values():
            for one in sharers:
                for other in sharers:
                    if key := _difference(one, other):
                        self._set_aside(
                            one,
                            ("environment", key),
                            f"differs from that of {other.shown}, which shares env: "
                            f"{one.manifest.env}",
                        )

    def _check_names_and_tasks(self) -> None:
        """Set aside what bears the name of a task, or gives its task the name of a model.

        What comes with `mm` is at fault last, and what was found by walking up first.
        """
        names: dict[str, Declared] = {}
        tasks: dict[str, Declared] = {}
        order = [Origin.BUILT_IN, Origin.USER, Origin.VARIABLE, Origin.OPTION, Origin.FOUND]
        for one in sorted(self.models.values(), key=lambda each: order.index(each.origin)):
            task = one.manifest.task
            if other := tasks.get(one.name):
                self._set_aside(one, ("name",), f"{other.shown} has a task of that name")
            elif other := names.get(task):
                self._set_aside(one, ("task",), f"{other.shown} has a model of that name")
            else:
                names[one.name] = one
                tasks.setdefault(task, one)

    def _set_aside(self, declared: Declared, path: tuple[str, ...], what: str) -> None:
        self.models.pop(declared.name, None)
        # Read again, for the line: records do not carry theirs through every command.
        from orchestrator.core.yaml_document import parse

        try:
            document = parse(read_plain(declared.file, declared.shown), declared.shown)
            error = document.error(path, what)
        except ManifestError as changed_meanwhile:
            error = changed_meanwhile
        self.broken.setdefault(declared.name, Broken(declared.file, error))


def _difference(one: Declared, other: Declared) -> str | None:
    """Return the first key on which two manifests differ that share an environment's folder."""
    for key in SHARED:
        if getattr(one.manifest.environment, key) != getattr(other.manifest.environment, key):
            return key
    return None


def _is_copy(found: ManifestDirectory, builtin: Path, user: int | None) -> bool:
    """Return whether a directory holds what the built-in one does, to the byte."""
    if names_in(found.path) != names_in(builtin):
        return False
    shipped = ManifestDirectory(builtin, Origin.BUILT_IN)
    owner = builtin.stat().st_uid
    try:
        here = inspect_tree(found, user)
        return here.digest == inspect_tree(shipped, owner).digest
    except ManifestError:
        return False


def _reason_to_ignore(
    found: ManifestDirectory, settings: Settings, user: int | None
) -> Ignored | None:
    command = f"run: mm manifest trust {shlex.quote(str(found.path))}"
    names = frozenset(names_in(found.path))
    kept = settings.trusted.get(str(found.path))
    files = settings.contents.get(str(found.path), {})
    if not belongs_to(found.path, user):
        return Ignored(found.path, "belongs to another user", "", names)
    if kept is None:
        return Ignored(found.path, "is not trusted", command, names)
    try:
        now = inspect_tree(found, user)
    except ManifestError as error:
        return Ignored(found.path, f"can no longer be trusted ({error})", "", names)
    if now.digest != kept:
        changed = sorted({path for path, _ in files.items() ^ now.files.items()} if files else ())
        which = f" ({changed[0]})" if changed else ""
        return Ignored(found.path, f"has changed since it was trusted{which}", command, names)
    return None
