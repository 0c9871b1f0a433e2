"""The facade of environments: which one a model needs, whether it is there, and building it.

In the steady state, with everything built, nothing here starts a process.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.core.identity import Interpreter, environment_digest
from orchestrator.core.lockfile import Lock, LockError, Pin, applicable
from orchestrator.core.planning import Action, Present, Step, Wanted, plan
from orchestrator.environments.build import Builder, Order
from orchestrator.environments.interpreters import Interpreters
from orchestrator.environments.locks import BUILD_LOCK, load_lock
from orchestrator.environments.store import Marker, Store, Stored, python_of
from orchestrator.errors import EnvironmentFailure, MMError
from orchestrator.processes import Children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.environments.declared import Declared
    from orchestrator.environments.flock import Held
    from orchestrator.home import Home
    from orchestrator.reporting import Reporter

DEFAULT_JOBS = 4
"""How many environments are built at once: more would share one network and one disk."""


@dataclass(frozen=True)
class Environment:
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

    def hold(self) -> Held:
        """Hold the environment as in use, until released or until all who inherit it have ended.

        Raises:
            EnvironmentFailure: When it was removed in the meantime.
        """
        held = self.store.use(self.digest)
        if self.store.find(self.digest) is None:
            held.release()
            raise EnvironmentFailure(
                "the environment was removed just now", where=str(self.path), fix="run it again"
            )
        return held


@dataclass(frozen=True)
class Target:
    """The environment that one model needs on one interpreter, built or not."""

    declared: Declared
    lock: Lock
    mine: bool
    interpreter: Interpreter
    pins: tuple[Pin, ...]
    digest: str

    def order(self) -> Order:
        """Return what a builder needs to know."""
        manifest = self.declared.manifest
        environment = manifest.environment
        return Order(
            model=manifest.name,
            digest=self.digest,
            interpreter=self.interpreter,
            pins=self.pins,
            probes=tuple(sorted(environment.probe)),
            variables=environment.variables,
            passed=environment.pass_,
            locks=(self.lock.digest,),
            build=environment.build,
            build_lock=build_lock_of(self.declared),
        )


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
    ) -> None:
        self.home = home
        self.variables = variables
        self.reporter = reporter
        self.store = Store(home)
        self._backend = backend
        self._python = str(python) if python is not None else None
        self._offline = offline
        self._in_use = in_use

    @cached_property
    def interpreters(self) -> Interpreters:
        """The interpreters of this machine."""
        return Interpreters(self.variables, self.home.facts)

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

    def ensure(self, declared: Declared) -> Environment:
        """Return the model's environment, built first where it is not there.

        Raises:
            EnvironmentFailure: When it cannot be built.
        """
        ready = self.ready(declared)
        if ready is not None:
            return ready
        target = self.target(declared)
        self.home.prepare()
        stored = self._builder(Children()).build(target.order())
        return _environment(target, stored, self.store)

    def target(self, declared: Declared) -> Target:
        """Return the environment that `declared` needs: one that is there, else the best.

        Raises:
            EnvironmentFailure: When the lock does not fit, or no interpreter does.
        """
        found = self._find(declared)
        return found[0] if found is not None else self._targets(declared)[0]

    def plan(self, declared: Sequence[Declared]) -> tuple[Step, ...]:
        """Return what `sync` would do.

        Raises:
            EnvironmentFailure: When a lock does not fit, or no interpreter does.
        """
        return self._steps([self.target(one) for one in declared])

    def sync(self, declared: Sequence[Declared], jobs: int = DEFAULT_JOBS) -> list[Environment]:
        """Build what `declared` need and is not there, environments side by side.

        One that fails does not stop the others; an interrupt stops them all.

        Raises:
            EnvironmentFailure: When a lock does not fit (before anything is built), or environments
                could not be built.
        """
        targets = [self.target(one) for one in declared]
        orders = merged_orders(targets, self._steps(targets))
        built: dict[str, Stored] = {}
        if orders:
            self.home.prepare()
            built = self._build_all(orders, jobs)
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

    def _build_all(self, orders: Sequence[Order], jobs: int) -> dict[str, Stored]:
        children = Children()
        builder = self._builder(children)
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
        if len(failed) == 1:
            raise failed[0][1]
        if failed:
            raise EnvironmentFailure(
                f"{len(failed)} of {len(orders)} environments could not be built",
                fix=f"run: mm env sync {' '.join(sorted(name for name, _ in failed))}",
                detail="\n\n".join(f"{error.detail}\n{error}" for _, error in failed),
            )
        return built

    def _builder(self, children: Children) -> Builder:
        from orchestrator.backends import backend_named
        from orchestrator.backends.indexes import read_settings

        return Builder(
            home=self.home,
            store=self.store,
            backend=backend_named(self._backend),
            variables=self.variables,
            indexes=read_settings(self.variables),
            reporter=self.reporter,
            offline=self._offline,
            children=children,
            in_use=self._in_use,
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
        for target in self._targets(declared):
            stored = self.store.find(target.digest)
            if stored is not None:
                return target, stored
        return None

    def _targets(self, declared: Declared) -> list[Target]:
        """Return the target on every interpreter that fits, best first, each digest once."""
        lock, mine = self.lock_of(declared)
        build = build_lock_of(declared)
        build_digest = _file_digest(build) if build is not None else ""
        targets: dict[str, Target] = {}
        for interpreter in self._fitting(declared):
            try:
                pins = applicable(lock.pins, interpreter.markers)
            except LockError as error:
                raise EnvironmentFailure(
                    f"the lock {error.problem}",
                    where=str(declared.lock),
                    fix=f"run: mm env lock {declared.manifest.name}",
                ) from error
            digest = environment_digest(pins, interpreter, build_lock=build_digest)
            target = Target(declared, lock, mine, interpreter, pins, digest)
            targets.setdefault(digest, target)
        return list(targets.values())

    def lock_of(self, declared: Declared) -> tuple[Lock, bool]:
        """Return the lock that counts for `declared`, and whether it is the user's own.

        Raises:
            EnvironmentFailure: When it is missing, damaged, edited, or does not fit.
        """
        mine = self.mine_path(declared)
        if mine.is_file():
            return load_lock(declared, mine), True
        return load_lock(declared), False

    def mine_path(self, declared: Declared) -> Path:
        """Return where a lock of the user's own for `declared` lies."""
        return self.home.mine / declared.manifest.env / "requirements.lock"

    def _fitting(self, declared: Declared) -> Sequence[Interpreter]:
        manifest = declared.manifest
        if self._python is not None:
            return (self.interpreters.named(self._python),)
        fitting = self.interpreters.fitting(manifest.environment.python)
        if not fitting:
            raise self.interpreters.missing(
                f"no Python here fits {manifest.environment.python!r}, which {manifest.name} needs",
                fix=f"install one, name one with --python, or run: "
                f"mm env sync {manifest.name} --install-python",
            )
        platforms = manifest.environment.platforms
        if platforms and fitting[0].platform not in platforms:
            raise EnvironmentFailure(
                f"{manifest.name} is not made for {fitting[0].platform}, "
                f"only for {', '.join(platforms)}",
                fix="add the platform to its manifest and lock it again",
            )
        return fitting


def merged_orders(targets: Sequence[Target], steps: Sequence[Step]) -> list[Order]:
    """Return one order for each step that does something, for all the models that share it."""
    from dataclasses import replace

    orders: list[Order] = []
    for step in steps:
        if step.action is Action.READY:
            continue
        sharing = [target.order() for target in targets if target.digest == step.digest]
        locks = tuple(sorted({lock for order in sharing for lock in order.locks}))
        orders.append(replace(sharing[0], probes=step.probes, locks=locks))
    return orders


def build_lock_of(declared: Declared) -> Path | None:
    """Return the locked build requirements of a model, or None where nothing is built.

    Raises:
        EnvironmentFailure: When the manifest names packages to build and they are not locked.
    """
    if not declared.manifest.environment.build:
        return None
    path = declared.env_directory / BUILD_LOCK
    if not path.is_file():
        raise EnvironmentFailure(
            "the build requirements are not locked",
            where=str(path),
            fix=f"run: mm env lock {declared.manifest.name}",
        )
    return path


def _file_digest(path: Path) -> str:
    from orchestrator.core.canonical import digest_bytes

    return digest_bytes(path.read_text(encoding="utf-8").encode("utf-8"))


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
