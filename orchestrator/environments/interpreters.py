"""Which interpreters there are: on PATH, among pyenv's versions, managed by uv, and mm's own.

Never a network access, and no process for an interpreter that was asked before: its facts are kept
by (path, inode, modification time, size). What an activated environment adds is used only where
nothing else fits, so that activating one changes nothing.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.canonical import digest
from orchestrator.core.platforms import KNOWN_MINORS
from orchestrator.environments.interpreter_facts import ask, read_facts
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.record_cache import RecordCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.core.identity import Interpreter

_NAME = re.compile(r"(?:python|pypy)3(?:\.(\d+))?t?")
_OLDEST_MINOR = 9
_APPLE_STUB = Path("/usr/bin/python3")
_APPLE_TOOLS = ("/Library/Developer/CommandLineTools", "/Applications/Xcode.app")


class Candidate(msgspec.Struct, frozen=True):
    """A file that may be an interpreter, and where it was found."""

    path: Path
    origin: str


class Found(msgspec.Struct, frozen=True):
    """A working interpreter; `borrowed` when it belongs to an activated environment."""

    interpreter: Interpreter
    borrowed: bool


class Interpreters:
    """The interpreters of this machine, looked for once per object.

    Args:
        variables: The user's variables: PATH, PYENV_ROOT, UV_PYTHON_INSTALL_DIR, HOME, …
        cache: The file that keeps facts between runs.
        asking: Returns what an interpreter says of itself; a port for tests.
        own: The interpreter that `mm` itself runs on, its virtual environment left aside.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        cache: Path,
        *,
        asking: Callable[[Path], dict[str, Any] | None] = ask,
        own: str = getattr(sys, "_base_executable", "") or sys.executable,
    ) -> None:
        self._variables = variables
        self._kept = RecordCache(cache, dict[str, Any])
        self._asking = asking
        self._own = own

    @cached_property
    def _working(self) -> tuple[Found, ...]:
        """Every working interpreter once, in the order in which they were met."""
        chosen: dict[str, Found] = {}
        for candidate in candidates(self._variables, self._own):
            found = self._found_at(candidate)
            if found is None:
                continue
            before = chosen.get(found.interpreter.path)
            if before is None or (before.borrowed and not found.borrowed):
                chosen[found.interpreter.path] = found
        return tuple(chosen.values())

    @cached_property
    def found(self) -> tuple[Found, ...]:
        """Every working interpreter once, best first: see `_preference`."""
        return tuple(sorted(self._working, key=_preference, reverse=True))

    @cached_property
    def by_path(self) -> Mapping[str, Interpreter]:
        """Every working interpreter by its path."""
        return {found.interpreter.path: found.interpreter for found in self._working}

    @cached_property
    def fingerprint(self) -> str:
        """A digest of everything that is known of them; worked out without comparing versions."""
        return digest([msgspec.to_builtins(found) for found in self._working])

    def fitting(self, specifier: str) -> tuple[Interpreter, ...]:
        """Return the interpreters whose version fits `specifier`, best first."""
        from packaging.specifiers import SpecifierSet

        wanted = SpecifierSet(specifier)
        return tuple(
            found.interpreter
            for found in self.found
            if wanted.contains(found.interpreter.version.rstrip("+"), prereleases=True)
        )

    def named(self, name: str) -> Interpreter:
        """Return the interpreter that `--python` names: a path, a command, or a version.

        Raises:
            EnvironmentFailure: When there is none, with those that were looked at.
        """
        if re.fullmatch(r"3(\.\d+){1,2}", name):
            version = name if name.count(".") > 1 else f"{name}.*"
            fitting = self.fitting(f"=={version}")
            if fitting:
                return fitting[0]
            raise self.missing(f"no Python {name} was found")
        if os.sep in name:
            paths = [Path(name).expanduser().absolute()]
        else:
            paths = [folder / name for folder in _path_folders(self._variables)]
        for path in paths:
            found = self._found_at(Candidate(path, "--python"))
            if found is not None:
                return found.interpreter
        raise self.missing(f"{name} is no Python interpreter that works")

    def _found_at(self, candidate: Candidate) -> Found | None:
        """Return the interpreter that a file is, from what was kept of it, or None."""
        try:
            real = candidate.path.resolve(strict=True)
            status = real.stat()
        except (OSError, RuntimeError):
            return None
        stamp = [status.st_ino, status.st_mtime_ns, status.st_size]
        key = digest([_system_stamp(), str(real), *stamp])
        answer = self._kept.get(key)
        if answer is None:
            answer = self._asking(real) or False  # it is no interpreter
            self._kept.keep({key: answer})
        interpreter = read_facts(answer, candidate.origin)
        if interpreter is None or isinstance(answer, bool):
            return None
        # A link in a virtual environment resolves to the interpreter that it was made from.
        borrowed = bool(answer.get("virtual") or answer.get("conda")) or _in_virtual(candidate.path)
        return Found(interpreter, borrowed)

    def missing(
        self, what: str, *, fix: str = "", fix_in_code: str | None = None
    ) -> EnvironmentFailure:
        """Return the error that says `what` and lists the interpreters that were looked at."""
        looked = [
            f"  {one.version:<9} {one.path} ({one.origin})"
            for one in (found.interpreter for found in self.found)
        ]
        return EnvironmentFailure(
            what,
            fix=fix or "install one, or name one with --python",
            fix_in_code=fix_in_code,
            detail="looked at:\n" + ("\n".join(looked) or "  no interpreter at all"),
        )


def candidates(variables: Mapping[str, str], own: str) -> Iterator[Candidate]:
    """Yield the files that may be interpreters: PATH, pyenv, uv-managed, mm's own."""
    pyenv = Path(variables.get("PYENV_ROOT") or _home(variables) / ".pyenv")
    for folder in _path_folders(variables):
        if folder != pyenv / "shims":
            yield from (Candidate(path, "PATH") for path in _pythons(folder))
    yield from _versions(pyenv / "versions", "pyenv")
    yield from _versions(managed_directory(variables), "uv")
    if own:
        yield Candidate(Path(own), "mm's own")


def managed_directory(variables: Mapping[str, str]) -> Path:
    """Return the directory in which uv keeps the interpreters that it manages."""
    chosen = variables.get("UV_PYTHON_INSTALL_DIR")
    if chosen:
        return Path(chosen)
    data = variables.get("XDG_DATA_HOME")
    return (Path(data) if data else _home(variables) / ".local" / "share") / "uv" / "python"


def _versions(folder: Path, origin: str) -> Iterator[Candidate]:
    try:
        homes = sorted(folder.iterdir())
    except OSError:
        return
    for home in homes:
        for path in _pythons(home / "bin"):
            yield Candidate(path, origin)


def _pythons(folder: Path) -> list[Path]:
    """Return the interpreters of one `bin` directory whose names say Python 3.9 or later."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - thousands of names, and a `Path` for none of them
    except OSError:
        return []
    matched = filter(None, map(_NAME.fullmatch, sorted(names)))
    return [
        folder / match[0]
        for match in matched
        if (match[1] is None or int(match[1]) >= _OLDEST_MINOR)
        and not _asks_for_apple_tools(folder / match[0])
    ]


def _asks_for_apple_tools(path: Path) -> bool:
    # Without Apple's command line tools this one opens a dialog instead of answering.
    if os.uname().sysname != "Darwin" or path != _APPLE_STUB:
        return False
    return not any(Path(tools).exists() for tools in _APPLE_TOOLS)


def _path_folders(variables: Mapping[str, str]) -> Iterator[Path]:
    for entry in variables.get("PATH", "").split(os.pathsep):
        if entry and Path(entry).is_absolute():
            yield Path(entry)


def _home(variables: Mapping[str, str]) -> Path:
    return Path(variables.get("HOME") or Path.home())


def _in_virtual(path: Path) -> bool:
    return (path.parent.parent / "pyvenv.cfg").is_file()


def _preference(found: Found) -> tuple[Any, ...]:
    """Order interpreters: in no environment, CPython, final, known to locks, the newest."""
    from packaging.version import InvalidVersion, Version

    interpreter = found.interpreter
    try:
        version = Version(interpreter.version.rstrip("+"))
    except InvalidVersion:
        version = Version("0")
    threads_free = "t-" in interpreter.tag
    return (
        not found.borrowed,
        interpreter.implementation == "cpython",
        not threads_free,
        not version.is_prerelease,
        # Locks are made for the known ones: wheels of a newer Python were not looked for.
        f"{version.major}.{version.minor}" in KNOWN_MINORS,
        version,
    )


def _system_stamp() -> str:
    """Return what may change beneath an interpreter: the C library, or the release of macOS."""
    system = os.uname()
    if system.sysname == "Darwin":
        return f"{system.release} {system.machine}"
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        libc = "musl"
    return f"{libc} {system.machine}"
