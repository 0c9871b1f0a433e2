"""Which environment a model needs: its lock, an interpreter, what applies there, the digest.

Works out, builds nothing. In the steady state no process is started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator import __version__
from orchestrator.core.canonical import digest
from orchestrator.core.identity import Interpreter, environment_digest
from orchestrator.core.lockfile import Lock, LockError, Pin, applicable
from orchestrator.environments.interpreters import Interpreters
from orchestrator.environments.locks import load_build_lock, load_lock
from orchestrator.environments.memory import Choice, Memory
from orchestrator.environments.mine import places_of
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.environments.build import Order
    from orchestrator.environments.declared import Declared
    from orchestrator.environments.expected import WheelSize
    from orchestrator.home import Home
    from orchestrator.reporting import Reporter


class Target(msgspec.Struct, frozen=True):
    """The environment that one model needs on one interpreter, built or not."""

    declared: Declared
    lock: Lock
    mine: bool
    interpreter: Interpreter
    pins: tuple[Pin, ...]
    digest: str
    build_lock: Path | None

    def order(self) -> Order:
        """Return what a builder needs to know."""
        from orchestrator.environments.build import Order

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
            build_lock=self.build_lock,
            places=places_of(self.lock) if self.mine else None,
            sizes=self.sizes(),
        )

    def sizes(self) -> Mapping[str, WheelSize]:
        """Return how large the packages are, by name; empty where that is not known."""
        from orchestrator.environments.expected import load_sizes

        if self.mine:
            return {}
        return load_sizes(self.declared.lock, self.lock.digest, self.interpreter.platform)


class Targets:
    """Works out the environments of models on this machine.

    Args:
        home: `MM_HOME`.
        variables: The user's variables.
        python: The interpreter to use: a path, a command or a version; by default the best that
            each manifest allows.
        interpreters: The interpreters to choose from; by default those of this machine.
    """

    def __init__(
        self,
        home: Home,
        variables: Mapping[str, str],
        python: str | None,
        interpreters: Interpreters | None = None,
    ) -> None:
        self._home = home
        self._variables = variables
        self._python = python
        self._interpreters = interpreters
        self._memory = Memory(home.resolved)

    @property
    def interpreters(self) -> Interpreters:
        """The interpreters to choose from, looked for when they are first needed."""
        if self._interpreters is None:
            self._interpreters = Interpreters(self._variables, self._home.facts)
        return self._interpreters

    def all(self, declared: Declared) -> list[Target]:
        """Return the target on every interpreter that fits, best first, each digest once."""
        lock, mine = self.lock_of(declared)
        return self._targets_of(declared, lock, mine=mine)

    def _targets_of(self, declared: Declared, lock: Lock, *, mine: bool) -> list[Target]:
        build = load_build_lock(declared, self.mine_path(declared) if mine else None)
        minor = places_of(lock).python if mine else ""
        build_path, build_digest = (build[0], build[1].digest) if build else (None, "")
        environment = declared.manifest.environment
        key = digest(
            [
                __version__,
                lock.digest,
                build_digest,
                minor,
                environment.python,
                list(environment.platforms),
                self.interpreters.fingerprint,
            ]
        )
        # A named interpreter is the exception, and always worked out.
        named = self._python is not None
        known = self.interpreters.by_path
        choices = None if named else self._memory.get(key)
        if choices is None or not _usable(choices, lock, known):
            fitting = self._fitting(declared, minor)
            known = {one.path: one for one in fitting}
            choices = self._work_out(declared, lock, fitting, build_digest)
            if not named:
                self._memory.keep(key, choices)
        return [
            Target(
                declared,
                lock,
                mine,
                known[one.interpreter],
                tuple(lock.pins[at] for at in one.pins),
                one.digest,
                build_path,
            )
            for one in choices
        ]

    def _work_out(
        self,
        declared: Declared,
        lock: Lock,
        interpreters: Sequence[Interpreter],
        build_digest: str,
    ) -> tuple[Choice, ...]:
        """Return what applies on each interpreter, each digest once, in their order."""
        positions = {id(pin): at for at, pin in enumerate(lock.pins)}
        choices: dict[str, Choice] = {}
        for interpreter in interpreters:
            try:
                pins = applicable(lock.pins, interpreter.markers)
            except LockError as error:
                raise EnvironmentFailure(
                    f"the lock {error.problem}",
                    where=str(declared.lock),
                    fix=f"run: mm env lock {declared.manifest.name}",
                ) from error
            found = environment_digest(pins, interpreter, build_lock=build_digest)
            at = tuple(positions[id(pin)] for pin in pins)
            choices.setdefault(found, Choice(interpreter.path, at, found))
        return tuple(choices.values())

    def lock_of(self, declared: Declared) -> tuple[Lock, bool]:
        """Return the lock that counts for `declared`, and whether it is the user's own.

        Raises:
            EnvironmentFailure: When it is missing, damaged, edited, or does not fit.
        """
        mine = self.mine_path(declared)
        if mine.is_file():
            return load_lock(declared, mine), True
        return load_lock(declared), False

    def of_every_lock(self, declared: Declared) -> list[list[Target]]:
        """Return what `all` does, for the user's own lock and for the committed one.

        Raises:
            EnvironmentFailure: When a lock is there and cannot be used.
        """
        mine = self.mine_path(declared)
        return [
            self._targets_of(declared, load_lock(declared, path), mine=path is mine)
            for path in (mine, None)
            if (path or declared.lock).is_file()
        ]

    def interpreter_for(self, declared: Declared) -> Interpreter:
        """Return the interpreter that `declared` would be built on, whatever its lock says.

        Raises:
            EnvironmentFailure: When none fits.
        """
        return self._fitting(declared)[0]

    def install_python(self, declared: Declared, reporter: Reporter) -> None:
        """Let uv fetch an interpreter for `declared` where none here fits.

        Raises:
            EnvironmentFailure: When it cannot be had.
        """
        from orchestrator.environments.install_python import install_python

        wanted = declared.manifest.environment.python
        if self._python is None and not self.interpreters.fitting(wanted):
            self._home.prepare()
            log = self._home.logs / "install-python.log"
            install_python(wanted, self._variables, log, reporter)
            # Those that were looked for before do not include it.
            self._interpreters = None

    def mine_path(self, declared: Declared) -> Path:
        """Return where a lock of the user's own for `declared` lies."""
        return self._home.mine / declared.manifest.env / "requirements.lock"

    def _fitting(self, declared: Declared, minor: str = "") -> Sequence[Interpreter]:
        """Return the interpreters for a model; `minor` is what its own lock was made for."""
        manifest = declared.manifest
        if self._python is not None:
            return (self.interpreters.named(self._python),)
        wanted = f"=={minor}.*" if minor else manifest.environment.python
        fitting = self.interpreters.fitting(wanted)
        if not fitting:
            raise self.interpreters.missing(
                f"no Python here fits {wanted!r}, which {manifest.name} needs",
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


def _usable(choices: Sequence[Choice], lock: Lock, known: Mapping[str, Interpreter]) -> bool:
    """Whether an answer that was kept can be one about this lock and these interpreters."""
    return all(
        one.interpreter in known and all(0 <= at < len(lock.pins) for at in one.pins)
        for one in choices
    )
