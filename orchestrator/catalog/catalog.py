"""The merged manifests: what models there are, and what stands in the way of the others.

A broken manifest is kept as its error and raised only when its model is asked for, so that one
mistake does not take the other models away.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.catalog.directories import LOCK, ManifestDirectory, Origin
from orchestrator.catalog.own_wheels import WHEELS
from orchestrator.catalog.runners import read_runner, runner_path, runner_places
from orchestrator.catalog.trust import tree
from orchestrator.core.names import did_you_mean
from orchestrator.core.selection import Facts, select
from orchestrator.errors import ManifestError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from orchestrator.core.languages import Wanted
    from orchestrator.core.manifest import Manifest


class Declared(msgspec.Struct, frozen=True):
    """A model as it was declared, and where.

    Attributes:
        manifest: What its file says.
        origin: How its directory was found.
        file: Its YAML file.
        env_directory: The folder of its runner and lock, under the `envs/` beside the manifests.
        digest: SHA-256 of the file, in hexadecimal.
        shown: The file as messages name it.
        precision: The data type whose converted weights are the manifest's source; else empty.
    """

    manifest: Manifest
    origin: Origin
    file: Path
    env_directory: Path
    digest: str
    shown: str
    precision: str = ""

    def at(self, dtype: str) -> Declared:
        """Return the model with the converted weights of a data type as its source, if any."""
        manifest = self.manifest
        converted = {str(key): each for key, each in manifest.weights.items()}.get(dtype)
        if converted is None or manifest.source is None:
            return self
        source = replace(converted, include=converted.include or manifest.source.include)
        return replace(self, manifest=replace(manifest, source=source), precision=dtype)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def words(self) -> str:
        """The model as commands take it, with the option for its converted weights."""
        return f"{self.name} --precision {self.precision}" if self.precision else self.name

    @property
    def runner(self) -> Path:
        """The program that loads and runs the model, inside its environment: a file or a folder."""
        return runner_path(self.env_directory)

    @property
    def lock(self) -> Path:
        """Every package of its environment, pinned."""
        return self.env_directory / LOCK

    @property
    def wheels(self) -> Path:
        """The folder of the wheels that its packages are also taken from; it need not exist."""
        return self.env_directory / WHEELS

    @property
    def runner_places(self) -> list[Path]:
        """The files of the runner, and the folders that hold them."""
        return runner_places(self.env_directory)

    def read_runner(self) -> dict[str, str]:
        """Return the texts of the runner's files by their paths, the one that is executed first.

        Raises:
            ManifestError: When it cannot be read, or holds what is no Python file.
        """
        return read_runner(self.env_directory)


class Broken(msgspec.Struct, frozen=True):
    """A manifest that cannot be used: its file, and why."""

    file: Path
    error: ManifestError


class Ignored(msgspec.Struct, frozen=True):
    """A directory found by walking up that is not used.

    Attributes:
        directory: Its path.
        why: The reason, as a clause.
        fix: The command that changes it, or nothing.
        names: The models that its files are named for.
    """

    directory: Path
    why: str
    fix: str
    names: frozenset[str]


class Catalog(msgspec.Struct, frozen=True):
    """Every model that can be asked for.

    Attributes:
        models: By name.
        tasks: The models of each task, the highest preference first, ties by name.
        broken: The files that cannot be used, by the model they are named for.
        directories: Those in use, in the order in which they win.
        places: Where directories may be, those that are not there included.
        ignored: The directory above the working directory, where it is not trusted.
        notes: What the user should hear, one line each.
    """

    models: Mapping[str, Declared]
    tasks: Mapping[str, tuple[Declared, ...]]
    broken: Mapping[str, Broken]
    directories: tuple[ManifestDirectory, ...]
    places: tuple[Path, ...] = ()
    ignored: Ignored | None = None
    notes: tuple[str, ...] = ()

    def model(self, name: str) -> Declared:
        """Return the model of that name.

        Raises:
            ManifestError: When its manifest is broken, or only an untrusted directory has one.
            UsageError: When no manifest is named for it.
        """
        if name in self.models:
            return self.models[name]
        if name in self.broken:
            raise self.broken[name].error
        raise self.unknown(name)

    def task(self, name: str) -> tuple[Declared, ...]:
        """Return the models of a task, the highest preference first.

        Raises:
            ManifestError: When only an untrusted directory might have it.
            UsageError: When no manifest has it.
        """
        if name not in self.tasks:
            raise self.unknown(name)
        return self.tasks[name]

    def select(
        self,
        task: str,
        facts: Facts,
        chosen: str | None = None,
        wanted: Wanted | None = None,
        candidates: Collection[str] = (),
    ) -> tuple[Declared, str]:
        """Return the model that stands for `task`, and why, as one line for the user.

        A model found by walking up stands for it only when `chosen`, or where no other model has
        the task: a cloned repository must not take over a task.

        Args:
            task: The task's name.
            facts: What decides whether a model is ready.
            chosen: The model that `mm use` settled on, if any.
            wanted: What the model is to speak; None where that does not matter.
            candidates: The only models that may stand for it; by default all.

        Raises:
            MMError: As `task` and `orchestrator.core.selection.select` do.
        """
        many = [each for each in self.task(task) if not candidates or each.name in candidates]
        guests = {each.name for each in many if each.origin is Origin.FOUND}
        manifests = [each.manifest for each in many]
        selection = select(task, manifests, facts, chosen=chosen, guests=guests, wanted=wanted)
        return self.models[selection.model], selection.reason

    @property
    def files(self) -> Iterator[Path]:
        """The files and directories that all of this was read from."""
        yield from self.places
        yield from (each.file for each in self.models.values())
        yield from (each.file for each in self.broken.values())
        yield from self._trusted_files()

    def files_behind(self, name: str, declared: Declared) -> Iterator[Path]:
        """Yield the manifests and directories that make `declared` the model for `name`.

        Without those of `files` that can matter only once something unlikely happens: another
        manifest gets this task or name, a directory comes to exist, `mm` gets another model.

        Args:
            name: A model or a task.
            declared: The model that was found for it.
        """
        yield declared.file
        before = [each.path for each in self.directories[:-1]]
        if name == declared.name:  # what comes before its directory may take the name
            yield from takewhile(lambda path: path != declared.file.parent, before)
        else:
            yield from before
            yield from (each.file for each in self.tasks.get(name, ()))
        if declared.origin is Origin.FOUND:
            yield from self._trusted_files()

    def _trusted_files(self) -> Iterator[Path]:
        """Yield what ends the trust in the directory above the working directory, if it changes."""
        for directory in self.directories:
            if directory.origin is Origin.FOUND:
                yield from tree(directory)

    def unknown(self, name: str) -> ManifestError | UsageError:
        """Return the error for a name that is no model, with the nearest ones."""
        if self.ignored and name in self.ignored.names:
            return ManifestError(
                f"the model {name!r} is only in a directory that {self.ignored.why}",
                where=str(self.ignored.directory),
                fix=self.ignored.fix,
            )
        if name in self.tasks:
            names = " or ".join(each.name for each in self.tasks[name])
            return UsageError(f"{name!r} is a task, and not a model", fix=f"name {names}")
        known = {*self.models, *self.tasks, *self.broken}
        fix = did_you_mean(name, sorted(known)) or "run: mm model list"
        return UsageError(f"there is no model or task {name!r}", fix=fix)

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each broken manifest; worth saying when a task is asked for."""
        return tuple(f"ignored: {each.error}" for each in self.broken.values())
