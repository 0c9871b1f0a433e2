"""What is looked at: a model with its manifest, or a directory; its files, and the conditions."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.core.patching import Conditions, Patched, PatchSet
from orchestrator.doctor.rules import configs, weights
from orchestrator.doctor.rules.code import Code, Unreadable, read_code
from orchestrator.doctor.rules.drafts import draft_id
from orchestrator.doctor.rules.imports import Wanted, beside, imports_of
from orchestrator.doctor.rules.records import Effect, Evidence, Finding, Layer
from orchestrator.doctor.rules.safetensors import Damaged, read_header
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.catalog import Declared
    from orchestrator.doctor.packages import Installation
    from orchestrator.sources.records import SourceRecord

MAX_TEXT = 16 << 20
"""Bytes of a file of code or configuration that is read; longer ones are no such files."""

MAX_FILES = 200_000
"""Files of a directory that are listed."""

REQUIREMENTS = ("requirements.txt",)


@dataclass
class Subject:
    """What is looked at.

    Attributes:
        name: What people call it.
        root: The directory of its files; None where it has none.
        files: Their paths by name, with `/`.
        conditions: Under which it is looked at.
        declared: Its manifest; None for a mere directory.
        record: What is known of its files, where they were pulled or added.
        own: The environment that is its own; None where nobody knows which.
        sets: Its patch sets.
        patched: What those make of its files.
        early: Findings that were made on the way here.
        mend: The command that fetches its files again.
    """

    name: str
    root: Path | None
    files: Mapping[str, Path]
    conditions: Conditions
    declared: Declared | None = None
    record: SourceRecord | None = None
    own: Installation | None = None
    sets: tuple[PatchSet, ...] = ()
    patched: Patched | None = None
    early: list[Finding] = field(default_factory=list)
    mend: str = "fetch the files again"

    @property
    def offered(self) -> frozenset[str]:
        """The dtypes that the manifest lists for the device."""
        if self.declared is None:
            return frozenset()
        memory = self.declared.manifest.memory
        return frozenset(memory.get(self.conditions.device, {}))  # type: ignore[call-overload]

    def original(self, name: str) -> bytes | None:
        """Return a file as it was downloaded, or None."""
        path = self.files.get(name)
        return read_limited(path) if path is not None else None

    def read(self, name: str) -> bytes | None:
        """Return a file as a worker would load it: patched; None where there is none."""
        if self.patched is not None and name in self.patched.files:
            return self.patched.files[name]
        return self.original(name)

    @cached_property
    def configs(self) -> dict[str, bytes]:
        """Its configuration files by name."""
        names = [
            name
            for name in sorted(self.files)
            if name in configs.CONFIGS or (name.endswith("/config.json") and name.count("/") == 1)
        ]
        return {name: data for name in names if (data := self.read(name)) is not None}

    @property
    def unread(self) -> list[Finding]:
        """One finding for each configuration file that cannot be read."""
        return [
            _unreadable(Layer.CONFIGURATION, name)
            for name in configs.CONFIGS
            if name in self.files and name not in self.configs
        ]

    @cached_property
    def _code(self) -> tuple[list[Code], list[Finding]]:
        """Its Python files that a loader imports: what `auto_map` names, and what those import."""
        waiting = [name for data in self.configs.values() for name in configs.modules_named(data)]
        waiting += [p.file for s in self.sets for p in s.patches if p.file.endswith(".py")]
        codes: dict[str, Code] = {}
        broken: dict[str, Finding] = {}
        while waiting:
            name = waiting.pop(0)
            if name in codes or name in broken:
                continue
            data = self.read(name)
            if data is None:
                if name in self.files:
                    broken[name] = _unreadable(Layer.ENVIRONMENT, name)
                continue
            try:
                codes[name] = read_code(name, data)
            except Unreadable as error:
                broken[name] = _unparsed(name, error)
                continue
            for wanted in imports_of(codes[name]):
                if wanted.level:
                    waiting += [each for each in beside(wanted, name) if each in self.files]
        return list(codes.values()), list(broken.values())

    @property
    def codes(self) -> list[Code]:
        """The files of code that can be parsed."""
        return self._code[0]

    @property
    def unparsed(self) -> list[Finding]:
        """One finding for each file of code that cannot."""
        return self._code[1]

    @cached_property
    def wanted(self) -> list[Wanted]:
        """Every name that the code imports."""
        return [wanted for code in self.codes for wanted in imports_of(code)]

    @cached_property
    def weights(self) -> weights.Files:
        """What is in its files of weights, as far as headers say."""
        found = weights.Files(frozenset(self.files))
        for name, path in sorted(self.files.items()):
            if name.endswith((weights.SUFFIX, *weights.PICKLED)):
                _read_weights(name, path, found)
            elif name.endswith(weights.INDEX):
                data = read_limited(path, weights.MAX_INDEX)
                if data is not None:
                    found.indexes[name] = data
        return found


def list_files(directory: Path) -> dict[str, Path]:
    """Return the files below a directory by name, hidden ones left aside.

    Links to directories are not followed, so that no circle of them is walked.

    Raises:
        UsageError: When there are so many that it cannot be a model's directory.
    """
    found: dict[str, Path] = {}
    for base, folders, files in os.walk(directory):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        below = Path(base).relative_to(directory).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for file in files:
            if not file.startswith("."):
                found[prefix + file] = Path(base, file)
        if len(found) > MAX_FILES:
            raise UsageError(
                f"holds more than {MAX_FILES} files",
                where=str(directory),
                fix="name the model's own directory",
            )
    return found


def read_limited(path: Path, limit: int = MAX_TEXT) -> bytes | None:
    """Return the content of a plain file, or None where it is none, too long or unreadable."""
    try:
        if not path.is_file() or path.stat().st_size > limit:
            return None
        with path.open("rb") as stream:
            return stream.read(limit)
    except OSError:
        return None


def requirements_of(subject: Subject) -> list[tuple[Evidence, str]]:
    """Return the lines of the model's own requirements file."""
    found = []
    for name in REQUIREMENTS:
        data = subject.original(name)
        for number, line in enumerate((data or b"").decode("utf-8", "replace").splitlines(), 1):
            text = line.partition("#")[0].strip()
            if text and not text.startswith("-"):
                found.append((Evidence(name, number, text), text))
    return found


def config_of(data: bytes | None) -> dict[str, object]:
    """Return what a config.json says; an empty object where it is damaged."""
    import json

    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _read_weights(name: str, path: Path, found: weights.Files) -> None:
    if not path.is_file():
        found.damaged[name] = "is no file, or a link that leads nowhere"
        return
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size < 1024 and weights.POINTER.match(stream.read(1024)):
                found.pointers.append(name)
                return
            if not name.endswith(weights.SUFFIX):
                return

            def read(offset: int, length: int) -> bytes:
                stream.seek(offset)
                return stream.read(length)

            found.headers[name] = read_header(size, read)
    except Damaged as error:
        found.damaged[name] = str(error)
    except OSError as error:
        found.damaged[name] = f"cannot be read ({error.strerror})"


def _unreadable(layer: Layer, name: str) -> Finding:
    return Finding(
        layer,
        draft_id("unreadable", name),
        Effect.STOPS,
        f"{name} cannot be read, or has more than {MAX_TEXT >> 20} MiB",
        "it is no file of code or configuration, and the loader fails",
        "fetch the file again",
        (Evidence(name),),
    )


def _unparsed(name: str, error: Unreadable) -> Finding:
    import platform

    return Finding(
        Layer.ENVIRONMENT,
        draft_id("python", name),
        Effect.STOPS,
        f"{name} is {error.reason}",
        "Python cannot import it (as Python " + platform.python_version() + " reads it)",
        "fetch the file again, or mend it",
        (Evidence(name, error.line),),
    )
