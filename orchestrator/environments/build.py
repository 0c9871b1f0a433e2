"""Building one environment: lock, look again, clear, build in place, prove, publish.

The order is what makes a half environment impossible: the marker is written last, and everything
before it may end at any point.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.backends import Backend, Request, Tooling
from orchestrator.backends.installed import installed, record_digest
from orchestrator.backends.toolenv import tool_variables
from orchestrator.core.lockfile import requirements_text
from orchestrator.core.worker_variables import worker_variables
from orchestrator.environments.advice import system_failure, tool_failure
from orchestrator.environments.store import Marker, Store, Stored, python_of
from orchestrator.errors import EnvironmentFailure
from orchestrator.home import make_private
from orchestrator.processes import Children, ProcessError
from orchestrator.waiting import Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.core.identity import Interpreter
    from orchestrator.core.lockfile import Pin
    from orchestrator.environments.expected import WheelSize
    from orchestrator.environments.mine import Places
    from orchestrator.flock import Held
    from orchestrator.home import Home
    from orchestrator.reporting import Reporter
    from orchestrator.waiting import Deadline

PROBE = """
import importlib, sys
for name in sys.argv[1:]:
    print("import", name, flush=True)
    importlib.import_module(name)
"""
"""Imports each named module, saying which, so that the last line before a crash names it."""

_WORTH_SHOWING = ("Prepared", "Installed", "Download", "Building", "Built", "Installing", "import ")


class Order(msgspec.Struct, frozen=True):
    """One environment to be built or proved.

    Attributes:
        model: The model that asks first; it names a new directory.
        digest: The environment's digest.
        interpreter: The base interpreter.
        pins: What is to be installed.
        probes: The modules that must import.
        variables: The manifest's variables for the worker, which the probes see as well.
        passed: Names of the user's variables that the worker may see.
        locks: SHA-256 of the locks that led here.
        build: Names of the packages that may be built from source.
        build_lock: The locked build requirements; None where nothing is built.
        places: Where packages come from, when the lock is the user's own.
        sizes: How large packages are, by name; empty where unknown.
    """

    model: str
    digest: str
    interpreter: Interpreter
    pins: tuple[Pin, ...]
    probes: tuple[str, ...]
    variables: Mapping[str, str]
    passed: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    build_lock: Path | None = None
    places: Places | None = None
    sizes: Mapping[str, WheelSize] = {}

    @property
    def packages(self) -> dict[str, str]:
        """Versions by normalised name."""
        return {pin.name: pin.version for pin in self.pins}


@dataclass(frozen=True)
class Builder:
    """Builds environments in a store.

    Attributes:
        home: `MM_HOME`.
        store: Its environments.
        backend: How they are made.
        variables: The user's variables.
        indexes: Where packages come from.
        reporter: Told of progress.
        offline: Whether nothing may be fetched.
        children: Where running tools are counted, so that an interrupt can end them.
        in_use: Says who uses an environment, for errors.
        deadline: What ends the wait for another's build.
    """

    home: Home
    store: Store
    backend: Backend
    variables: Mapping[str, str]
    indexes: IndexSettings
    reporter: Reporter
    offline: bool
    children: Children
    in_use: Callable[[str], str]
    deadline: Deadline

    def build(self, order: Order) -> Stored:
        """Return the whole environment that `order` asks for, built where it is not there.

        Raises:
            EnvironmentFailure: When it cannot be built, proved or written.
            Cancelled: When the work was stopped from another thread.
            TimedOut: When another builds it for longer than the deadline allows.
        """
        name = order.model
        try:
            with self._build_lock(order) as held:
                there = self.store.find(order.digest)
                if there is not None:
                    return self._prove(order, there, held)
                return self._build(order, held)
        except OSError as error:
            raise system_failure(
                error,
                subject=f"the environment of {name} could not be built",
                command=f"mm env sync {name}",
            ) from error
        finally:
            self.reporter.finish(name)

    def _build_lock(self, order: Order) -> Held:
        with Wait(
            order.model,
            "another mm, which builds its environment",
            self.reporter,
            self.deadline,
            stopped=lambda: self.children.stopped,
        ) as wait:
            return self.store.build_lock(order.digest, wait.pause)

    def _build(self, order: Order, held: Held) -> Stored:
        directory = self.store.directory(order.model, order.digest)
        self._clear_leftovers(order, directory)
        directory.mkdir(parents=True)
        tooling = self._tooling(order, held)
        try:
            self._step(order, tooling, "creating", lambda: self._create(order, directory, tooling))
            self._step(
                order, tooling, "installing", lambda: self._install(order, directory, tooling)
            )
            self._compare(order, directory)
            self._probe(order, directory, tooling, order.probes)
            marker = self._marker(order, directory)
            self.store.publish(directory, marker)
        except BaseException:
            # What cannot be removed now is cleared by the next build: it has no marker.
            self._discard(directory)
            raise
        self.reporter.note(f"built the environment of {order.model} in {directory}")
        return Stored(directory, marker)

    def _create(self, order: Order, directory: Path, tooling: Tooling) -> None:
        self.backend.create(Path(order.interpreter.path), directory, tooling)

    def _install(self, order: Order, directory: Path, tooling: Tooling) -> None:
        requirements = directory / "requirements.txt"
        requirements.write_text(requirements_text(order.pins), encoding="utf-8")
        torch = order.places.torch if order.places is not None else ""
        request = Request(requirements, order.packages, order.build, order.build_lock, torch)
        self.backend.install(directory, request, tooling)

    def _compare(self, order: Order, directory: Path) -> None:
        problem = self.backend.check(directory, order.packages)
        if problem is not None:
            raise EnvironmentFailure(
                f"the environment of {order.model} is not what its lock says: {problem}",
                where=str(directory),
                fix=f"run: mm env lock {order.model}",
            )

    def _prove(self, order: Order, there: Stored, held: Held) -> Stored:
        """Run the probes that have not been run in a whole environment, and note them there."""
        marker = there.marker
        assert marker is not None
        missing = tuple(probe for probe in order.probes if probe not in marker.probes)
        locks = sorted({*marker.locks, *order.locks})
        if missing:
            self._probe(order, there.path, self._tooling(order, held), missing)
        elif locks == marker.locks:
            return there
        marker = replace(marker, probes=sorted({*marker.probes, *missing}), locks=locks)
        self.store.publish(there.path, marker)
        return Stored(there.path, marker)

    def _probe(
        self, order: Order, directory: Path, tooling: Tooling, probes: tuple[str, ...]
    ) -> None:
        if not probes:
            return
        make_private(self.home.worker_home)
        variables = worker_variables(
            self.variables, order.variables, order.passed, str(self.home.worker_home)
        )
        command = [str(python_of(directory)), "-I", "-c", PROBE, *probes]
        self._step(order, tooling, "probing", lambda: tooling.run(command, variables))

    def _step(self, order: Order, tooling: Tooling, what: str, do: Callable[[], None]) -> None:
        self.reporter.progress(order.model, what)
        try:
            do()
        except ProcessError as error:
            raise tool_failure(
                error,
                subject=f"the environment of {order.model} could not be built ({what})",
                name=order.model,
                command=f"mm env sync {order.model}",
                log=str(tooling.log),
                offline=self.offline,
            ) from error

    def _tooling(self, order: Order, held: Held) -> Tooling:
        log = self.home.logs / f"env-{self.store.directory(order.model, order.digest).name}.log"
        make_private(log.parent)
        log.write_bytes(b"")

        def show(line: str) -> None:
            if line.startswith(_WORTH_SHOWING):
                self.reporter.progress(order.model, line)

        return Tooling(
            variables=tool_variables(self.variables),
            user_variables=self.variables,
            indexes=order.places.added_to(self.indexes) if order.places else self.indexes,
            log=log,
            on_line=show,
            offline=self.offline,
            # A tool that outlives a killed mm keeps the lock, so that nobody builds beside it.
            keep=(held.fileno(),),
            children=self.children,
        )

    def _clear_leftovers(self, order: Order, directory: Path) -> None:
        """Remove what is left of builds of the same; only `directory` itself must go."""
        for path in self.store.leftovers(order.digest):
            with self.free(order.digest, path):
                if path == directory:
                    self.store.clear(path)
                else:
                    self._discard(path)

    def free(self, digest: str, path: Path) -> Held:
        """Hold an environment as used by nobody.

        Raises:
            EnvironmentFailure: When somebody uses it.
        """
        held = self.store.try_removal(digest)
        if held is None:
            raise EnvironmentFailure(
                f"the environment is in use by {self.in_use(digest)}",
                where=str(path),
                fix="stop it (mm stop), or wait until it is idle",
            )
        return held

    def _discard(self, directory: Path) -> None:
        try:
            self.store.clear(directory)
        except OSError as error:
            self.reporter.note(f"{directory} could not be removed ({error.strerror})")

    def _marker(self, order: Order, directory: Path) -> Marker:
        found = installed(directory)
        return Marker(
            digest=order.digest,
            model=order.model,
            directory=str(directory),
            interpreter=order.interpreter.path,
            implementation=order.interpreter.implementation,
            python_version=order.interpreter.version,
            packages=order.packages,
            records={name: record_digest(package) for name, package in sorted(found.items())},
            probes=sorted(order.probes),
            backend=self.backend.name,
            built=datetime.now(tz=timezone.utc).isoformat(timespec="seconds"),
            locks=sorted(order.locks),
        )


def same_file_system(first: Path, second: Path) -> bool:
    """Whether two paths, or their nearest parents that exist, lie on one file system."""
    return _device(first) == _device(second)


def _device(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.stat().st_dev
