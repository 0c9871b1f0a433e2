"""Which environment a model needs: its lock, an interpreter, what applies there, the digest.

Resolves, builds nothing. In the steady state no process is started: reading version specifiers and
markers costs more than the rest of a sync with nothing to do, so what was resolved before is kept,
under a digest of all that it depends on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.canonical import digest
from orchestrator.core.identity import Interpreter, environment_digest
from orchestrator.core.lockfile import Lock, LockError, Pin, applicable
from orchestrator.environments.interpreters import Interpreters
from orchestrator.environments.locks import (
    BUILD_LOCK,
    UserLockOptions,
    load_build_lock,
    load_lock,
    user_lock_options,
)
from orchestrator.errors import EnvironmentFailure, MMError
from orchestrator.system.record_cache import RecordCache
from orchestrator.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.catalog import Declared
    from orchestrator.core.manifest import Environment, Manifest
    from orchestrator.environments.sizes_file import WheelSize
    from orchestrator.system.device_discovery import System
    from orchestrator.system.home import Home
    from orchestrator.system.reporter import Reporter


class Target(msgspec.Struct, frozen=True):
    """The environment that one model needs on one interpreter, built or not.

    Attributes:
        declared: The model.
        lock: Its lock.
        mine: Whether that lock is the user's own.
        interpreter: The base interpreter.
        pins: What is installed there.
        digest: The environment's digest.
        build_lock: The locked build requirements; None where nothing is built from source.
    """

    declared: Declared
    lock: Lock
    mine: bool
    interpreter: Interpreter
    pins: tuple[Pin, ...]
    digest: str
    build_lock: Path | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.declared.manifest.name

    @property
    def environment(self) -> Environment:
        """What the manifest says of the environment."""
        return self.declared.manifest.environment

    @property
    def packages(self) -> dict[str, str]:
        """Versions by normalised name."""
        return {pin.name: pin.version for pin in self.pins}

    @property
    def options(self) -> UserLockOptions:
        """The options of the user's own lock; a committed one has none."""
        return user_lock_options(self.lock) if self.mine else UserLockOptions()

    def indexes(self, settings: IndexSettings, variables: Mapping[str, str]) -> IndexSettings:
        """Return where its packages come from: its own wheels, the lock's places, `settings`.

        Args:
            settings: The user's own.
            variables: The user's variables.

        Raises:
            EnvironmentFailure: When a variable that is to hold a place is not set.
        """
        return self.options.added_to(settings, variables).with_own(self.declared.wheels)

    def sizes(self) -> Mapping[str, WheelSize]:
        """Return how large the packages are, by name; empty where that is not known."""
        from orchestrator.environments.sizes_file import load_sizes

        if self.mine:
            return {}
        return load_sizes(self.declared.lock, self.lock.digest, self.interpreter.platform)


class Choice(msgspec.Struct, frozen=True):
    """One environment that a model can have, as it is kept between runs.

    Attributes:
        interpreter: The path of the interpreter.
        pins: The positions in the lock of the pins that apply there.
        digest: The digest of the environment.
    """

    interpreter: str
    pins: tuple[int, ...]
    digest: str


class Targets:
    """Resolves the environments of models on this machine.

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
        self._cache = RecordCache(home.resolved, dict[str, tuple[Choice, ...]])

    @property
    def interpreters(self) -> Interpreters:
        """The interpreters to choose from, looked for when they are first needed."""
        if self._interpreters is None:
            self._interpreters = Interpreters(self._variables, self._home.facts)
        return self._interpreters

    def all(self, declared: Declared) -> list[Target]:
        """Return the target on every interpreter that fits, best first, each digest once.

        Raises:
            EnvironmentFailure: When the lock that counts, the user's own or else the committed
                one, is missing, damaged, edited, or does not fit, or no interpreter does.
        """
        return self._resolve(declared, mine=self.user_lock(declared).is_file())

    def of_every_lock(self, declared: Declared) -> list[list[Target]]:
        """Return what `all` does, for the user's own lock and for the committed one.

        Raises:
            EnvironmentFailure: When a lock is there and cannot be used.
        """
        locks = ((True, self.user_lock(declared)), (False, declared.lock))
        return [self._resolve(declared, mine=mine) for mine, path in locks if path.is_file()]

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
        from orchestrator.backends.resolver import install_python

        wanted = declared.manifest.environment.python
        if self._python is None and not self.interpreters.fitting(wanted):
            self._home.prepare()
            log = self._home.logs / "install-python.log"
            install_python(wanted, self._variables, log, reporter)
            # Those that were looked for before do not include it.
            self._interpreters = None

    def user_lock(self, declared: Declared) -> Path:
        """Return where a lock of the user's own for `declared` lies."""
        return self._home.mine / declared.manifest.env / declared.lock.name

    def files(self, declared: Declared) -> list[Path]:
        """Return the files that decide what `all` returns, those that are not there included."""
        locks = [declared.lock, self.user_lock(declared)]
        build = declared.manifest.environment.build
        return [*locks, *(path.with_name(BUILD_LOCK) for path in locks if build)]

    def _resolve(self, declared: Declared, *, mine: bool) -> list[Target]:
        user_lock = self.user_lock(declared) if mine else None
        lock = load_lock(declared, user_lock)
        build = load_build_lock(declared, user_lock)
        minor = user_lock_options(lock).python if mine else ""
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
        # A named interpreter is the exception, and always resolved anew.
        named = self._python is not None
        known = self.interpreters.by_path
        choices = None if named else self._cache.get(key)
        if choices is None or not _usable(choices, lock, known):
            fitting = self._fitting(declared, minor)
            known = {one.path: one for one in fitting}
            choices = _choices(declared, lock, fitting, build_digest)
            if not named:
                self._cache.keep({key: choices})
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

    def _fitting(self, declared: Declared, minor: str = "") -> Sequence[Interpreter]:
        """Return the interpreters for a model; `minor` is what the user's own lock is made for."""
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
                fix_in_code=f"install one, or run: mm env sync {manifest.name} --install-python",
            )
        platforms = manifest.environment.platforms
        made_for = [each for each in fitting if not platforms or each.platform in platforms]
        if not made_for:
            raise not_made_for(manifest, fitting[0].platform)
        from orchestrator.system.device_discovery import this_system, too_old

        if old := too_old(this_system().release):
            raise EnvironmentFailure(f"{manifest.name} cannot be installed: {old}")
        return made_for


def not_made_for(manifest: Manifest, platform: str, system: System | None = None) -> MMError:
    """Return the error for a model that is not locked for the platform of the Pythons here."""
    from orchestrator.system.device_discovery import INSTALL_ARM64, this_system

    fix = "add the platform to its manifest and lock it again"
    if platform == "macos-x86_64":  # the packages of most models have no wheels for it
        silicon = (system or this_system()).is_apple_silicon
        fix = INSTALL_ARM64 if silicon else "run it on another machine: this Mac has Intel"
    platforms = ", ".join(manifest.environment.platforms)
    return EnvironmentFailure(
        f"{manifest.name} is not made for {platform}, only for {platforms}", fix=fix
    )


def _choices(
    declared: Declared, lock: Lock, interpreters: Sequence[Interpreter], build_digest: str
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


def _usable(choices: Sequence[Choice], lock: Lock, known: Mapping[str, Interpreter]) -> bool:
    """Whether kept choices can be about this lock and these interpreters."""
    return all(
        one.interpreter in known and all(0 <= at < len(lock.pins) for at in one.pins)
        for one in choices
    )
