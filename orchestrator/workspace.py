"""What one user's `mm` works with: variables, home, manifests, settings, environments.

The command line and the Python API both stand on this; each part is made when it is first asked
for.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import EnvironmentFailure, UsageError
from orchestrator.system.file_stamps import FileStamps
from orchestrator.system.home import Home, home_directory
from orchestrator.system.reporter import Reporter, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from orchestrator.catalog import Catalog, Declared
    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.core.devices import Device, Machine
    from orchestrator.core.languages import Wanted
    from orchestrator.core.selection import Facts
    from orchestrator.environments import Environments
    from orchestrator.sources.service import Sources
    from orchestrator.system.settings import Settings


@dataclass
class Workspace:
    """The user's world.

    Attributes:
        variables: The user's environment variables.
        cwd: The working directory, where the search for `manifests/` begins.
        manifests: Directories of manifests that were named, which come first.
        root: A home that was named instead of `MM_HOME`.
        reporter: Receives notes and progress.
        warn: Receives, once each, what is ignored of manifests and settings; by default the
            reporter does.
    """

    variables: Mapping[str, str]
    cwd: Path
    manifests: tuple[Path, ...] = ()
    root: Path | None = None
    reporter: Reporter = field(default_factory=Silent)
    warn: Callable[[str], None] | None = None
    _said: set[str] = field(default_factory=set, init=False, repr=False)
    _stamps: FileStamps | None = field(default=None, init=False, repr=False)
    """Of what `settings` and `catalog` were read from."""
    _read_at: int = field(default=0, init=False, repr=False)

    @cached_property
    def home(self) -> Home:
        """`MM_HOME`, its format checked.

        Raises:
            EnvironmentFailure: When a newer `mm` made it.
        """
        home = Home(self.root.absolute()) if self.root else home_directory(self.variables)
        home.check()
        return home

    @cached_property
    def runtime(self) -> RuntimeDirectory:
        """`MM_RUNTIME_DIR`, checked."""
        from orchestrator.client.runtime import runtime_directory

        return runtime_directory(self.variables)

    @property
    def worker_logs(self) -> Path:
        """The directory of workers' logs."""
        return self.home.logs / "workers"

    def logs_of(self, model: str) -> list[Path]:
        """Return the logs of a model's workers."""
        from orchestrator.client.runtime import logs_of

        return list(logs_of(self.worker_logs, model))

    def own_workers(self) -> list[WorkerRecord]:
        """Return the live workers of this `MM_HOME`; others may share its runtime directory."""
        logs = self.worker_logs.resolve()
        return [each for each in self.runtime.records() if Path(each.log).resolve().parent == logs]

    @cached_property
    def settings(self) -> Settings:
        """What `mm use` and `mm manifest trust` have kept."""
        from orchestrator.system.settings import load_settings

        settings = load_settings(self.home)
        self._say(settings.notes)
        return settings

    @cached_property
    def catalog(self) -> Catalog:
        """The merged manifests; what was ignored on the way is noted."""
        from orchestrator.catalog import load_catalog

        began = time.time_ns()
        self.__dict__.pop("settings", None)  # read before, and not stamped then
        catalog = load_catalog(
            options=self.manifests,
            variables=self.variables,
            cwd=self.cwd,
            settings=self.settings,
            kept=self.home.manifests,
        )
        self._say(catalog.notes)
        self._read_at, self._stamps = began, FileStamps()
        self._stamps.add((self.home.settings, *catalog.files), began)
        return catalog

    def refresh(self, *, everything: bool = False) -> None:
        """Forget what was read from files that have changed since.

        Args:
            everything: Whether to forget it in any case, with the interpreters that were found.
        """
        if everything or (self._stamps is not None and not self._stamps.unchanged()):
            for part in ("settings", "catalog", "environments", "sources"):
                self.__dict__.pop(part, None)

    def _say(self, notes: Iterable[str]) -> None:
        """Report what the user should know of manifests and settings, each once."""
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                (self.warn or self.reporter.note)(note)

    @cached_property
    def environments(self) -> Environments:
        """The environments under `MM_HOME`, with the default backend."""
        from orchestrator.environments import Environments
        from orchestrator.environments.store import Store

        store = Store(self.home, self.users_of)
        return Environments(self.home, self.variables, self.reporter, store=store)

    @cached_property
    def sources(self) -> Sources:
        """The models' files, pulled or added."""
        from orchestrator.sources.service import Sources

        return Sources(self.home, self.variables, self.reporter)

    def users_of(self, digest: str) -> str:
        """Return who uses the environment `digest`, in words, from the records of live workers."""
        from orchestrator.environments.inventory import workers_using

        return workers_using(digest, self.runtime.records())

    def choose(
        self,
        name: str,
        model: str | None = None,
        wanted: Wanted | None = None,
        candidates: Collection[str] = (),
    ) -> ChosenModel:
        """Return the model that `name`, a task or a model, stands for.

        Args:
            name: A task or a model.
            model: The model that is to stand for the task.
            wanted: What the model of a task is to speak; None where that does not matter.
            candidates: The only models that may stand for the task; by default all.

        Raises:
            UsageError: When there is no such name, `model` does not do the task, or no model
                speaks what is wanted.
            ManifestError: When the model's manifest is broken or not trusted.
            SourceError, MemoryRefused: When no model of the task is ready.
        """
        if model is not None:
            declared = self.catalog.model(model)
            stamps = self._stamps_of(model, declared)
            if name not in (model, declared.manifest.task):
                raise UsageError(
                    f"{model} does {declared.manifest.task}, not {name}",
                    fix=f"run: mm run {model} --help",
                    fix_in_code=f"look at: Session.inputs({model!r})",
                )
            return ChosenModel(declared, stamps=stamps)
        if name in self.catalog.models or name not in self.catalog.tasks:
            declared = self.catalog.model(name)
            return ChosenModel(declared, stamps=self._stamps_of(name, declared))
        self._say(self.catalog.problems)
        facts = self.facts
        began = time.time_ns()
        used = self.settings.uses.get(name)
        declared, reason = self.catalog.select(name, facts, used, wanted, candidates)
        stamps = self._stamps_of(name, declared)
        many = self.catalog.tasks[name]
        weights = (each.manifest for each in many if each.manifest.source is not None)
        stamps.add((path for one in weights for path in self.sources.record_paths(one)), began)
        return ChosenModel(declared, reason, stamps)

    def candidates(self, name: str, model: str | None = None) -> list[Declared]:
        """Return the models of which each job's own text chooses; none where one serves them all.

        Args:
            name: A task or a model.
            model: The model that is to stand for the task.
        """
        from orchestrator.core.languages import TEXT

        catalog = self.catalog
        many = () if model or name in catalog.models else catalog.tasks.get(name, ())
        listed = any(each.manifest.languages and TEXT in each.manifest.inputs for each in many)
        return list(many) if listed else []

    def _stamps_of(self, name: str, declared: Declared) -> FileStamps:
        """Return the stamps of the files that make `declared` the model for `name`."""
        from orchestrator.catalog import Origin

        stamps = FileStamps()
        stamps.add(self.catalog.files_behind(name, declared), self._read_at)
        if name != declared.name or declared.origin in (Origin.FOUND, Origin.USER):
            stamps.add([self.home.settings], self._read_at)
        stamps.add(self.catalog.files, self._read_at, now_and_then=True)
        return stamps

    def device_and_dtype(self, declared: Declared, device: str, dtype: str) -> tuple[Device, str]:
        """Return the device and the data type that jobs of a model run with on this machine.

        Args:
            declared: The model.
            device: "auto", or a device.
            dtype: "auto", or a data type.

        Raises:
            UsageError: When the manifest does not list them, or the device is not there.
        """
        from orchestrator.core.devices import AUTO, choose_device, choose_dtype, with_equals

        machine = self.machine_for(declared, dtype)
        manifest = self.sources.usable(declared.manifest) if dtype == AUTO else declared.manifest
        chosen, note = choose_device(manifest, device, machine)
        dtype = choose_dtype(manifest, chosen, dtype)
        if note:
            self._say([note])
        return with_equals(manifest, chosen, dtype, machine, device), dtype

    @property
    def facts(self) -> Facts:
        """What decides here whether a model is ready, and which is preferred."""
        from orchestrator.core.selection import Facts
        from orchestrator.system.machine import this_platform

        sources = self.sources
        return Facts(sources.has_weights, self.machine.memory, this_platform(), sources.usable)

    @cached_property
    def machine(self) -> Machine:
        """The devices of this machine."""
        from orchestrator.system.devices import find_devices

        return find_devices(self.variables)

    def machine_for(self, declared: Declared, dtype: str) -> Machine:
        """Return the devices of this machine with what keeps one model from running on them.

        Args:
            declared: The model.
            dtype: "auto", or the data type that it is to run in.
        """
        from orchestrator.core.devices import choose_dtype
        from orchestrator.core.torch_builds import with_build

        machine, manifest = self.machine, declared.manifest
        usable = {kind for kind in machine.usable if kind in manifest.devices}
        if "cuda" in usable:
            machine = with_build(machine, manifest, self._packages(declared))
        if "mps" in usable:
            for device in machine.of("mps"):
                with suppress(UsageError):  # a data type that it has not
                    chosen = choose_dtype(manifest, device, dtype)
                    why = self._untested(declared, device.kind, chosen)
                    machine = machine.with_untested(device.kind, why)
        return machine

    def _packages(self, declared: Declared) -> Mapping[str, str]:
        """Return the versions in a model's lock; nothing where there is no good one, yet."""
        try:
            return self.environments.target(declared).packages
        except EnvironmentFailure:
            return {}  # said where the environment is built

    def _untested(self, declared: Declared, kind: str, dtype: str) -> str:
        """Return why a device is not known to compute what the CPU does; nothing where it is."""
        from orchestrator.system.self_tests import load_self_test

        test = load_self_test(self.home, declared.name, kind, dtype)
        again = f"run: mm doctor {declared.name} --run --device {kind}"
        if test is None:
            return f"it was not compared with the CPU on this machine; {again}"
        if changed := test.changed(self.self_test_basis(declared, kind, dtype)):
            return f"the {changed} changed since it was compared with the CPU; {again}"
        return "" if test.passed else f"it does not compute what the CPU does ({test.finding})"

    def self_test_basis(self, declared: Declared, kind: str, dtype: str) -> dict[str, str]:
        """Return all that the outcome of a self-test depends on, by what messages call it.

        Raises:
            EnvironmentFailure: When the model has no good lock.
        """
        import os

        from orchestrator.catalog import runner_digest
        from orchestrator.core.patching.conditions import Conditions

        target = self.environments.target(declared)
        system = os.uname()
        conditions = Conditions(kind, dtype, target.packages)
        return {
            "environment": target.digest,
            "model's files": self.sources.overlay_digest(
                self.sources.at(declared, dtype), conditions
            ),
            "runner": runner_digest(declared.read_runner()),
            "system": f"{system.release} {system.version}",
        }


@dataclass(frozen=True)
class ChosenModel:
    """A model, and, where a task was asked for, why this one stands for it.

    `stamps` are those of the files that decided it.
    """

    declared: Declared
    reason: str = ""
    stamps: FileStamps = field(default_factory=FileStamps)
