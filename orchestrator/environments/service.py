"""The facade of environments: which one a model needs, whether it is there, and building it.

In the steady state, with everything built, nothing here starts a process.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.environments.plan import Action, BuildStep, plan
from orchestrator.environments.store import Store, Stored, python_of
from orchestrator.environments.targets import Target, Targets
from orchestrator.errors import EnvironmentFailure, MMError
from orchestrator.system.flock import Held, nap
from orchestrator.system.reporter import Silent
from orchestrator.system.waiting import ENDLESS, Deadline, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.catalog import Declared
    from orchestrator.environments.build import Builder, FirstLoad
    from orchestrator.environments.interpreters import Interpreters
    from orchestrator.system.home import Home
    from orchestrator.system.processes import Children
    from orchestrator.system.reporter import Reporter

DEFAULT_JOBS = 4
"""How many environments are built at once: more would share one network and one disk."""


class BuiltEnvironment(msgspec.Struct, frozen=True):
    """A whole environment, as a model sees it.

    Attributes:
        digest: Its digest.
        path: Its directory.
        python: Its interpreter.
        python_version: The full version of that interpreter.
        versions: The version of each package by normalised name.
        lock_digest: The SHA-256 of the lock that it was asked for by.
        mine: Whether that lock is the user's own.
        store: Where it lies.
    """

    digest: str
    path: Path
    python: Path
    python_version: str
    versions: Mapping[str, str]
    lock_digest: str
    mine: bool
    store: Store

    def hold(self, pause: Callable[[], None] = nap) -> Held:
        """Hold the environment as in use, until released or until all who inherit it have ended.

        Args:
            pause: Called between two tries while another process removes it; what it raises
                ends the wait.

        Raises:
            EnvironmentFailure: When it was removed in the meantime.
        """
        held = self.store.use(self.digest, pause)
        if self.store.find(self.digest) is None:
            held.release()
            raise EnvironmentFailure(
                "the environment was removed just now", where=str(self.path), fix="run it again"
            )
        return held


class Environments:
    """The environments of one `MM_HOME`.

    Args:
        home: `MM_HOME`.
        variables: The user's variables.
        reporter: Receives progress; called from several threads.
        backend: The name of the backend that builds.
        python: The interpreter to build on: a path, a command or a version; by default the best
            that each manifest allows.
        offline: Whether nothing may be fetched.
        store: Where they lie; by default in `home`.
        interpreters: The interpreters to choose from; by default those of this machine.
    """

    def __init__(
        self,
        home: Home,
        variables: Mapping[str, str],
        reporter: Reporter,
        backend: str = "uv",
        python: Path | str | None = None,
        *,
        offline: bool = False,
        store: Store | None = None,
        interpreters: Interpreters | None = None,
    ) -> None:
        self.home = home
        self.variables = variables
        self.reporter = reporter
        self.store = store or Store(home)
        self.targets = Targets(
            home, variables, str(python) if python is not None else None, interpreters
        )
        self._backend = backend
        self._offline = offline
        self._planning = threading.Lock()  # what planning learns is kept for the next one

    def ready(self, declared: Declared) -> BuiltEnvironment | None:
        """Return the model's environment when it is whole and its probes passed, or None.

        Raises:
            EnvironmentFailure: When the lock does not fit, or no interpreter does.
        """
        (step,) = self.plan([declared])
        if step.action is not Action.READY or step.found is None:
            return None
        return self.environment(step.target, step.found)

    def ensure(
        self,
        declared: Declared,
        deadline: Deadline = ENDLESS,
        stopped: Callable[[], bool] = lambda: False,
        first_load: FirstLoad | None = None,
    ) -> BuiltEnvironment:
        """Return the model's environment, built first where it is not there.

        Threads that need one environment share its build, and its error. The build ends early once
        every one of them was asked to stop.

        Args:
            declared: The model.
            deadline: What ends the wait for another process's build.
            stopped: Whether the caller was asked to stop.
            first_load: Loads a model instead of the probes, if this caller begins the build; called
                in the build's thread.

        Raises:
            EnvironmentFailure: When it cannot be built.
            TimedOut: When the deadline has passed.
            Cancelled: When the caller was asked to stop.
        """
        with self._planning:
            (step,) = self.plan([declared])
        if step.action is Action.READY and step.found is not None:
            return self.environment(step.target, step.found)
        from orchestrator.environments.shared_builds import BUILDS

        key = (self.store.root, step.target.digest, step.probes)
        self.home.prepare()

        def begin() -> Callable[[Children], Stored] | None:
            lock = self.store.try_build_lock(step.target.digest)
            if lock is None:
                return None
            return lambda children: self._build_one(step, lock, children, first_load)

        what = "another mm, which builds its environment"
        with Wait(declared.name, what, self.reporter, deadline, stopped) as wait:
            while (build := BUILDS.join(key, begin)) is None:
                wait.pause()
        # The build itself reports its progress, and no one's time runs.
        with Wait(declared.name, "its environment", Silent(), stopped=stopped) as wait:
            return self.environment(step.target, BUILDS.result(key, build, wait))

    def target(self, declared: Declared) -> Target:
        """Return the environment that `declared` needs: one that is there, else the best.

        Raises:
            EnvironmentFailure: When the lock does not fit, or no interpreter does.
        """
        return self._find(self.targets.all(declared))[0]

    def needed(self, declared: Declared) -> set[str]:
        """Return the digests of the environments that `declared` uses or would build.

        Both its committed lock and the user's own count, so that dropping the latter finds the
        former built. Empty where there is no lock yet.

        Raises:
            EnvironmentFailure: When a lock is there and cannot be used.
        """
        every = self.targets.of_every_lock(declared)
        return {self._find(targets)[0].digest for targets in every}

    def plan(self, declared: Sequence[Declared]) -> tuple[BuildStep, ...]:
        """Return what `sync` would do.

        Raises:
            EnvironmentFailure: When a lock does not fit, or no interpreter does.
        """
        return plan([self._find(self.targets.all(one)) for one in declared])

    def sync(
        self, declared: Sequence[Declared], jobs: int = DEFAULT_JOBS
    ) -> list[BuiltEnvironment]:
        """Build what `declared` need and is not there, environments side by side.

        One that fails does not stop the others; an interrupt stops them all.

        Raises:
            EnvironmentFailure: When a lock does not fit (before anything is built), or environments
                could not be built.
        """
        steps = self.plan(declared)
        there = {step.target.digest: step.found for step in steps if step.found is not None}
        if work := [step for step in steps if step.action is not Action.READY]:
            there |= self._build(work, jobs)
        environments = {
            target.model: self.environment(target, there[target.digest])
            for step in steps
            for target in step.targets
        }
        return [environments[one.name] for one in declared]

    def _build_one(
        self, step: BuildStep, lock: Held, children: Children, first_load: FirstLoad | None
    ) -> Stored:
        """Build the environment of `step`, whose build lock is `lock`."""
        from orchestrator.environments.disk import note_gpu_packages

        with lock:
            step = replace(step, found=self.store.find(step.target.digest))
            stored = self._builder([step], children, first_load).build_locked(step, lock)
            lock.unlock()  # the first worker has it as well
        note_gpu_packages(self.home, step.target, stored.path, self.reporter)
        return stored

    def _build(self, steps: Sequence[BuildStep], jobs: int) -> dict[str, Stored]:
        """Build the environments of `steps` and return them by digest."""
        # What builds is imported here: every `mm run` looks for its environment through this class.
        from concurrent.futures import ThreadPoolExecutor, as_completed

        from orchestrator.environments.disk import note_gpu_packages
        from orchestrator.system.processes import Children

        children = Children()
        builder = self._builder(steps, children)
        built: dict[str, Stored] = {}
        failed: dict[str, MMError] = {}
        with ThreadPoolExecutor(max_workers=max(1, jobs), thread_name_prefix="mm-build") as pool:
            running = {pool.submit(builder.build, step): step.target for step in steps}
            try:
                for future in as_completed(running):
                    target = running[future]
                    try:
                        built[target.digest] = future.result()
                    except MMError as error:
                        failed[target.model] = error
            except BaseException:
                for future in running:
                    future.cancel()
                children.stop()
                raise
        for target in running.values():
            if target.digest in built:
                path = built[target.digest].path
                note_gpu_packages(self.home, target, path, self.reporter)
        if len(failed) == 1:
            raise next(iter(failed.values()))
        if failed:
            raise EnvironmentFailure(
                f"{len(failed)} of {len(steps)} environments could not be built",
                fix=f"run: mm env sync {' '.join(sorted(failed))}",
                detail="\n\n".join(f"{error.detail}\n{error}" for error in failed.values()),
            )
        return built

    def _builder(
        self,
        steps: Sequence[BuildStep],
        children: Children,
        first_load: FirstLoad | None = None,
    ) -> Builder:
        """Return what builds `steps`, once the disk has room for them."""
        from orchestrator.backends import backend_named
        from orchestrator.backends.indexes import read_settings
        from orchestrator.environments.build import Builder

        self.home.prepare()
        indexes = read_settings(self.variables)
        self._check_disk([step.target for step in steps if step.found is None], indexes, children)
        return Builder(
            home=self.home,
            store=self.store,
            backend=backend_named(self._backend),
            variables=self.variables,
            indexes=indexes,
            reporter=self.reporter,
            offline=self._offline,
            children=children,
            first_load=first_load,
        )

    def _check_disk(
        self, new: Sequence[Target], indexes: IndexSettings, children: Children
    ) -> None:
        """Say what is going to be fetched and taken, and refuse what the disk cannot hold."""
        from orchestrator.backends.resolver import Resolver
        from orchestrator.environments.disk import announce, check_room, note_full_copies, uncached

        variables = {**indexes.environment, **self.variables}
        copied = self._backend != "uv" or note_full_copies(self.home, variables, self.reporter)
        announce(new, self.reporter)

        def missing(target: Target) -> frozenset[str] | None:
            if copied:
                return frozenset(target.packages)
            python = target.interpreter.path
            places = target.indexes(indexes, self.variables)
            resolver = Resolver(self.variables, places, self.reporter, python, children=children)
            return uncached(resolver, target, offline=self._offline)

        check_room(new, self.home.environments, missing)

    def _find(self, targets: Sequence[Target]) -> tuple[Target, Stored | None]:
        """Return the first target whose environment is there, and that; else the first target."""
        for target in targets:
            found = self.store.find(target.digest)
            if found is not None:
                return target, found
        return targets[0], None

    def environment(self, target: Target, found: Stored) -> BuiltEnvironment:
        """Return an environment as the model that needs `target` sees it."""
        assert found.marker is not None
        return BuiltEnvironment(
            digest=target.digest,
            path=found.path,
            python=python_of(found.path),
            python_version=found.marker.python_version,
            versions=target.packages,
            lock_digest=target.lock.digest,
            mine=target.mine,
            store=self.store,
        )
