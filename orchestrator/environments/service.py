"""The facade of environments: which one a model needs, whether it is there, and building it.

In the steady state, with everything built, nothing here starts a process.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.core.planning import Action, Present, Step, Wanted, plan
from orchestrator.environments.store import Marker, Store, Stored, python_of
from orchestrator.environments.targets import Target, Targets
from orchestrator.errors import EnvironmentFailure, MMError
from orchestrator.flock import nap
from orchestrator.machine import available_devices
from orchestrator.waiting import ENDLESS, Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.environments.build import Builder, Order
    from orchestrator.environments.declared import Declared
    from orchestrator.environments.interpreters import Interpreters
    from orchestrator.flock import Held
    from orchestrator.home import Home
    from orchestrator.processes import Children
    from orchestrator.reporting import Reporter

_WORTH_SAVING = 100_000_000
"""Bytes of packages for a GPU that are worth a line."""

DEFAULT_JOBS = 4
"""How many environments are built at once: more would share one network and one disk."""


class Environment(msgspec.Struct, frozen=True):
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
            pause: Called again and again while somebody removes it; what it raises ends the wait.

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
        reporter: Told of progress; called from several threads.
        backend: The name of the backend that builds.
        python: The interpreter to build on: a path, a command or a version; by default the best
            that each manifest allows.
        offline: Whether nothing may be fetched.
        in_use: Says who uses the environment of a digest, for errors.
        link: Makes a hard link; a port for file systems that refuse them.
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
        in_use: Callable[[str], str] = lambda digest: f"a process that holds {digest[:12]}",
        link: Callable[[Path, Path], None] = os.link,
        interpreters: Interpreters | None = None,
    ) -> None:
        self.home = home
        self.variables = variables
        self.reporter = reporter
        self.store = Store(home)
        self._backend = backend
        self.targets = Targets(
            home, variables, str(python) if python is not None else None, interpreters
        )
        self._offline = offline
        self.in_use = in_use
        self._link = link

    def ready(self, declared: Declared) -> Environment | None:
        """Return the model's environment when it is whole and proved, or None.

        Raises:
            EnvironmentFailure: When the lock does not fit, or no interpreter does.
        """
        found = self._find(declared)
        if found is None:
            return None
        target, stored = found
        missing = set(target.declared.manifest.environment.probe) - set(_marker(stored).probes)
        return None if missing else _environment(target, stored, self.store)

    def ensure(self, declared: Declared, deadline: Deadline = ENDLESS) -> Environment:
        """Return the model's environment, built first where it is not there.

        Args:
            declared: The model.
            deadline: What ends the wait for another's build.

        Raises:
            EnvironmentFailure: When it cannot be built.
            TimedOut: When the deadline has passed.
        """
        ready = self.ready(declared)
        if ready is not None:
            return ready
        target = self.target(declared)
        built = self._build_all([target.order()], jobs=1, deadline=deadline)
        return _environment(target, built[target.digest], self.store)

    def target(self, declared: Declared) -> Target:
        """Return the environment that `declared` needs: one that is there, else the best.

        Raises:
            EnvironmentFailure: When the lock does not fit, or no interpreter does.
        """
        found = self._find(declared)
        return found[0] if found is not None else self.targets.all(declared)[0]

    def needed(self, declared: Declared) -> set[str]:
        """Return the digests of the environments that `declared` uses or would build.

        Both its committed lock and the user's own count, so that dropping the latter finds the
        former built. Empty where there is no lock yet.

        Raises:
            EnvironmentFailure: When a lock is there and cannot be used.
        """
        found = set()
        for targets in self.targets.of_every_lock(declared):
            built = (one.digest for one in targets if self.store.find(one.digest) is not None)
            found.add(next(built, targets[0].digest))
        return found

    def plan(self, declared: Sequence[Declared]) -> tuple[Step, ...]:
        """Return what `sync` would do.

        Raises:
            EnvironmentFailure: When a lock does not fit, or no interpreter does.
        """
        from orchestrator.environments.expected import total

        targets = [self.target(one) for one in declared]
        by_digest = {target.digest: target for target in targets}

        def sized(step: Step) -> Step:
            if step.action is not Action.BUILD:
                return step
            order = by_digest[step.digest].order()
            size = total(order.sizes, order.packages)
            return replace(step, download=size.download, disk=size.disk)

        return tuple(map(sized, self._steps(targets)))

    def sync(self, declared: Sequence[Declared], jobs: int = DEFAULT_JOBS) -> list[Environment]:
        """Build what `declared` need and is not there, environments side by side.

        One that fails does not stop the others; an interrupt stops them all.

        Raises:
            EnvironmentFailure: When a lock does not fit (before anything is built), or environments
                could not be built.
        """
        targets = [self.target(one) for one in declared]
        orders = merged_orders(targets, self._steps(targets))
        built = self._build_all(orders, jobs) if orders else {}
        environments = []
        for target in targets:
            stored = built.get(target.digest) or self.store.find(target.digest)
            if stored is None:
                raise EnvironmentFailure(
                    f"the environment of {target.declared.manifest.name} was removed just now",
                    fix=f"run: mm env sync {target.declared.manifest.name}",
                )
            environments.append(_environment(target, stored, self.store))
        return environments

    def _build_all(
        self, orders: Sequence[Order], jobs: int, deadline: Deadline = ENDLESS
    ) -> dict[str, Stored]:
        # What builds is imported by who builds: every `mm run` looks for environments here.
        from concurrent.futures import ThreadPoolExecutor, as_completed

        from orchestrator.processes import Children

        self.home.prepare()
        copied = self._backend != "uv" or self._mind_the_cache()
        self._mind_the_disk(orders, copied=copied)
        children = Children()
        builder = self._builder(children, deadline)
        built: dict[str, Stored] = {}
        failed: list[tuple[str, MMError]] = []
        with ThreadPoolExecutor(max_workers=max(1, jobs), thread_name_prefix="mm-build") as pool:
            running = {pool.submit(builder.build, order): order for order in orders}
            try:
                for future in as_completed(running):
                    order = running[future]
                    try:
                        built[order.digest] = future.result()
                    except MMError as error:
                        failed.append((order.model, error))
            except BaseException:
                for future in running:
                    future.cancel()
                children.stop()
                raise
        for order in orders:
            if order.digest in built:
                self._mind_the_gpu(order, built[order.digest])
        if len(failed) == 1:
            raise failed[0][1]
        if failed:
            raise EnvironmentFailure(
                f"{len(failed)} of {len(orders)} environments could not be built",
                fix=f"run: mm env sync {' '.join(sorted(name for name, _ in failed))}",
                detail="\n\n".join(f"{error.detail}\n{error}" for _, error in failed),
            )
        return built

    def _mind_the_disk(self, orders: Sequence[Order], *, copied: bool) -> None:
        """Say what is going to be fetched and taken, and refuse what the disk cannot hold.

        Args:
            orders: What is to be built or proved.
            copied: Whether environments share no files with uv's cache.
        """
        from orchestrator.environments.disk import announce, check_room, uncached
        from orchestrator.environments.resolver import Resolver

        new = [order for order in orders if self.store.find(order.digest) is None]
        announce(new, self.reporter)

        def missing(order: Order) -> frozenset[str] | None:
            if copied:
                return frozenset(order.packages)
            python = order.interpreter.path
            resolver = Resolver(self.variables, self._indexes, self.reporter, python)
            return uncached(resolver, order, offline=self._offline)

        check_room(new, self.home.environments, missing)

    def _mind_the_cache(self) -> bool:
        """Return whether uv's cache cannot share its files with the environments, and say so."""
        from orchestrator.environments.hints import cache_directory, links_refused

        cache = cache_directory({**self._indexes.environment, **self.variables})
        reason = links_refused(cache, self.home.environments, self._link)
        if reason is not None:
            self.reporter.note(
                f"every environment takes a full copy of its packages: uv's cache {cache} cannot "
                f"share files with {self.home.root}, because {reason}; set UV_CACHE_DIR (or "
                "MM_HOME) to a directory on the same file system"
            )
        return reason is not None

    def _mind_the_gpu(self, order: Order, stored: Stored) -> None:
        """Say once what a CPU build would save on a machine without an NVIDIA GPU."""
        from orchestrator.core.units import format_size
        from orchestrator.environments.hints import gpu_only_bytes, once

        if "cuda" in available_devices():
            return
        wasted = gpu_only_bytes(stored.path, order.sizes)
        model = _marker(stored).model
        if wasted > _WORTH_SAVING and once(self.home, "cpu-build"):
            self.reporter.note(
                f"{format_size(wasted)} of the environment of {model} serve NVIDIA GPUs, and there "
                f"is none here; a CPU build saves them: mm env lock --mine {model} --torch cpu"
            )

    @cached_property
    def _indexes(self) -> IndexSettings:
        from orchestrator.backends.indexes import read_settings

        return read_settings(self.variables)

    def _builder(self, children: Children, deadline: Deadline) -> Builder:
        from orchestrator.backends import backend_named
        from orchestrator.environments.build import Builder

        return Builder(
            home=self.home,
            store=self.store,
            backend=backend_named(self._backend),
            variables=self.variables,
            indexes=self._indexes,
            reporter=self.reporter,
            offline=self._offline,
            children=children,
            in_use=self.in_use,
            deadline=deadline,
        )

    def _steps(self, targets: Iterable[Target]) -> tuple[Step, ...]:
        wanted, present = [], {}
        for target in targets:
            environment = target.declared.manifest.environment
            wanted.append(
                Wanted(
                    target.declared.manifest.name,
                    target.digest,
                    target.interpreter.version,
                    len(target.pins),
                    environment.probe,
                )
            )
            stored = self.store.find(target.digest)
            if stored is not None:
                present[target.digest] = Present(target.digest, frozenset(_marker(stored).probes))
        return plan(wanted, present)

    def _find(self, declared: Declared) -> tuple[Target, Stored] | None:
        for target in self.targets.all(declared):
            stored = self.store.find(target.digest)
            if stored is not None:
                return target, stored
        return None


def merged_orders(targets: Sequence[Target], steps: Sequence[Step]) -> list[Order]:
    """Return one order for each step that does something, for all the models that share it."""
    orders: list[Order] = []
    for step in steps:
        if step.action is Action.READY:
            continue
        sharing = [target.order() for target in targets if target.digest == step.digest]
        locks = tuple(sorted({lock for order in sharing for lock in order.locks}))
        orders.append(replace(sharing[0], probes=step.probes, locks=locks))
    return orders


def _marker(stored: Stored) -> Marker:
    assert stored.marker is not None
    return stored.marker


def _environment(target: Target, stored: Stored, store: Store) -> Environment:
    return Environment(
        digest=target.digest,
        path=stored.path,
        python=python_of(stored.path),
        python_version=_marker(stored).python_version,
        versions={pin.name: pin.version for pin in target.pins},
        lock_digest=target.lock.digest,
        mine=target.mine,
        store=store,
    )
