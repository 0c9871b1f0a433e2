"""Building one environment: check, lock, check again, build in place, probe, publish.

The order is what makes a half environment impossible: the marker is written last, and everything
before it may end at any point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from msgspec.structs import replace

from orchestrator.backends import Backend, Request, Tooling
from orchestrator.backends.indexes import IndexSettings
from orchestrator.backends.installed import installed, record_digest
from orchestrator.backends.tool_failures import system_failure, tool_failure
from orchestrator.catalog.own_wheels import lost_wheels
from orchestrator.core.lockfile import requirements_text
from orchestrator.core.worker_variables import worker_variables
from orchestrator.environments.plan import BuildStep
from orchestrator.environments.store import Marker, Store, Stored, python_of
from orchestrator.environments.targets import Target
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.flock import Held
from orchestrator.system.home import Home, make_private, write_atomically
from orchestrator.system.processes import Children, ProcessError
from orchestrator.system.reporter import Reporter
from orchestrator.system.waiting import Wait

PROBE = """
import importlib, sys
for name in sys.argv[1:]:
    print("import", name, flush=True)
    importlib.import_module(name)
"""
"""Imports each named module, saying which, so that the last line before a crash names it."""

_WORTH_SHOWING = ("Prepared", "Installed", "Download", "Building", "Built", "Installing", "import ")


@dataclass(frozen=True)
class Unpublished:
    """An environment that lacks nothing but its probes, for the first worker to load its model in.

    Attributes:
        target: What it is.
        stored: Where it lies, and its marker so far.
        probes: The modules that have to be imported.
        lock: Its build lock, which the worker inherits: no one builds beside one that is left over.
        children: Ends the load with the build.
        passed: Called with the probes that the worker has imported, before others may use it: runs
            the rest. What it raises ends the worker.
    """

    target: Target
    stored: Stored
    probes: Sequence[str]
    lock: Held
    children: Children
    passed: Callable[[Sequence[str]], None]


FirstLoad = Callable[[Unpublished], None]
"""Loads a model in place of the probes. One that never calls `passed` has them run afterwards."""


@dataclass(frozen=True)
class Builder:
    """Builds environments in a store.

    Attributes:
        home: `MM_HOME`.
        store: Its environments.
        backend: How they are made.
        variables: The user's variables.
        indexes: Where packages come from.
        reporter: Receives progress.
        offline: Whether nothing may be fetched.
        children: Where running tools are counted, so that an interrupt can end them.
        first_load: Loads a model instead of the probes.
    """

    home: Home
    store: Store
    backend: Backend
    variables: Mapping[str, str]
    indexes: IndexSettings
    reporter: Reporter
    offline: bool
    children: Children
    first_load: FirstLoad | None = None

    def build(self, step: BuildStep) -> Stored:
        """Return the whole environment of `step`, once no other process builds it.

        Raises:
            EnvironmentFailure, Cancelled: As `build_locked`.
        """
        with self._build_lock(step.target) as lock:
            return self.build_locked(step, lock)

    def build_locked(self, step: BuildStep, lock: Held) -> Stored:
        """Return the whole environment of `step`, built or probed where that is missing.

        Args:
            step: What is to be there.
            lock: The environment's build lock, which the caller holds.

        Raises:
            EnvironmentFailure: When it cannot be built, probed or written.
            Cancelled: When the work was stopped from another thread.
        """
        target, report = step.target, self.reporter
        try:
            found = self.store.find(target.digest)
            if found is not None:
                return self._probe_missing(step, found, lock)
            directory = self.store.directory(target.model, target.digest)
            for path in self.store.directories_of(target.digest):
                self._remove_leftover(path, must=path == directory)
            marker = self.store.make(
                directory, lambda: self._fill(step, directory, lock), report.note
            )
            report.note(f"built the environment of {target.model} in {directory}")
            return Stored(directory, marker)
        except OSError as error:
            subject = f"the environment of {target.model} could not be built"
            command = f"mm env sync {target.model}"
            raise system_failure(error, subject=subject, command=command) from error
        finally:
            report.finish(target.model)

    def _build_lock(self, target: Target) -> Held:
        with Wait(
            target.model,
            "another mm, which builds its environment",
            self.reporter,
            stopped=lambda: self.children.stopped,
        ) as wait:
            return self.store.build_lock(target.digest, wait.pause)

    def _remove_leftover(self, path: Path, *, must: bool) -> None:
        """Remove what an earlier build left; only the directory to build in must go."""
        try:
            self.store.remove(Stored(path, None))
        except OSError as error:
            if must:
                raise
            self.reporter.note(f"{path} could not be removed ({error.strerror})")

    def _fill(self, step: BuildStep, directory: Path, lock: Held) -> Marker:
        """Create, install, compare and probe; return the marker that publishes the environment."""
        target = step.target
        tools = self._tooling(target, lock)
        with self._phase(target, "creating", tools):
            self.backend.create(Path(target.interpreter.path), directory, tools)
        with self._phase(target, "installing", tools):
            try:
                self.backend.install(directory, _request(target, directory), tools)
            except ProcessError as error:
                raise _lost_wheel(target, error.detail) or error from error
        problem = self.backend.check(directory, target.packages)
        if problem is not None:
            raise EnvironmentFailure(
                f"the environment of {target.model} is not what its lock says: {problem}",
                where=str(directory),
                fix=f"run: mm env lock {target.model}",
            )
        marker = Marker(
            digest=target.digest,
            model=target.model,
            directory=str(directory),
            interpreter=target.interpreter.path,
            implementation=target.interpreter.implementation,
            python_version=target.interpreter.version,
            packages=target.packages,
            records={name: record_digest(it) for name, it in sorted(installed(directory).items())},
            probes=[],
            backend=self.backend.name,
            built=datetime.now(tz=timezone.utc).isoformat(timespec="seconds"),
            locks=sorted(step.locks),
        )
        self._probe(target, Stored(directory, marker), step.probes, tools, lock)
        return replace(marker, probes=list(step.probes))

    def _probe_missing(self, step: BuildStep, found: Stored, lock: Held) -> Stored:
        """Run the probes that a whole environment has not passed, and publish it with them."""
        marker = found.marker
        assert marker is not None
        probes = sorted({*marker.probes, *step.probes})
        locks = sorted({*marker.locks, *step.locks})
        missing = [probe for probe in probes if probe not in marker.probes]
        if missing:
            self._probe(step.target, found, missing, self._tooling(step.target, lock), lock)
        if missing or locks != marker.locks:
            marker = replace(marker, probes=probes, locks=locks)
            self.store.publish(found.path, marker)
        return Stored(found.path, marker)

    def _probe(
        self, target: Target, stored: Stored, probes: Sequence[str], tools: Tooling, lock: Held
    ) -> None:
        """Import the modules `probes` in the first worker, and what it leaves in a process."""
        left = list(probes)

        def run(imported: Sequence[str] = ()) -> None:
            if rest := [probe for probe in left if probe not in imported]:
                self._import(target, stored.path, rest, tools)
            left.clear()

        if left and self.first_load is not None:
            self.reporter.progress(target.model, "loading")
            self.first_load(Unpublished(target, stored, probes, lock, self.children, run))
        run()

    def _import(
        self, target: Target, directory: Path, probes: Sequence[str], tools: Tooling
    ) -> None:
        """Import modules with the environment's interpreter, in a process that ends then."""
        home = self.home.worker_home
        make_private(home)
        environment = target.environment
        variables = worker_variables(
            self.variables, environment.variables, environment.pass_, str(home)
        )
        with self._phase(target, "probing", tools):
            tools.run([str(python_of(directory)), "-I", "-c", PROBE, *probes], variables)

    @contextmanager
    def _phase(self, target: Target, name: str, tools: Tooling) -> Iterator[None]:
        """Report a part of a build, and explain the failure of its tool."""
        self.reporter.progress(target.model, name)
        try:
            yield
        except ProcessError as error:
            raise tool_failure(
                error,
                subject=f"the environment of {target.model} could not be built ({name})",
                name=target.model,
                command=f"mm env sync {target.model}",
                log=str(tools.log),
                offline=self.offline,
            ) from error

    def _tooling(self, target: Target, lock: Held) -> Tooling:
        log = self.home.logs / f"env-{self.store.directory(target.model, target.digest).name}.log"
        make_private(log.parent)
        write_atomically(log, b"", mode=0o600)

        def show(line: str) -> None:
            if line.startswith(_WORTH_SHOWING):
                self.reporter.progress(target.model, line)

        return Tooling(
            variables=self.variables,
            indexes=target.indexes(self.indexes, self.variables),
            log=log,
            on_line=show,
            offline=self.offline,
            # A tool that outlives a killed mm keeps the lock, so that no one builds beside it.
            keep=(lock.fileno(),),
            children=self.children,
        )


def _lost_wheel(target: Target, detail: str) -> EnvironmentFailure | None:
    """Return the error for an installation that misses a wheel of the user's own, or None."""
    folder, asked = target.declared.wheels, target.packages.keys()
    for lost in lost_wheels(folder, target.lock.wheels, target.model):
        if lost.package in asked and lost.package in detail:
            what = f"the environment of {target.model} could not be built: {lost.what}"
            return EnvironmentFailure(what, where=str(folder), fix=lost.fix, detail=detail)
    return None


def _request(target: Target, directory: Path) -> Request:
    requirements = directory / "requirements.txt"
    requirements.write_text(requirements_text(target.pins), encoding="utf-8")
    return Request(
        requirements,
        target.packages,
        target.environment.build,
        target.build_lock,
        target.options.torch,
    )
