"""What is checked: a model with its manifest, or a directory; its files, and the conditions.

Files are read through functions that the caller hands in, each when a rule first asks for it.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from orchestrator.core.manifest import Manifest
from orchestrator.core.patching import Conditions, Patched, PatchSet
from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.doctor.rules.code import Code, read_code
from orchestrator.doctor.rules.config import CONFIGS, modules_named
from orchestrator.doctor.rules.findings import Evidence, Fact, Finding, Layer, rule
from orchestrator.doctor.rules.imports import ImportedName, imports_of
from orchestrator.doctor.rules.packages import Packages
from orchestrator.doctor.rules.safetensors import Header
from orchestrator.doctor.rules.tables import Table

MAX_TEXT = 16 << 20
"""Bytes of a file of code or configuration that is read; longer ones are no such files."""


@dataclass
class Weights:
    """What was read of a model's files of weights.

    Attributes:
        names: Every file of the model.
        headers: The header of each safetensors file that could be read.
        damaged: What is wrong with the others.
        pointers: Files that are pointers of Git LFS.
        indexes: The content of each index.
    """

    names: frozenset[str]
    headers: dict[str, Header] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    pointers: list[str] = field(default_factory=list)
    indexes: dict[str, bytes] = field(default_factory=dict)


@dataclass
class _CodeRead:
    """The files of code: parsed, broken, what they import, which are imported for certain."""

    codes: dict[str, Code] = field(default_factory=dict)
    broken: dict[str, Finding] = field(default_factory=dict)
    imports: list[ImportedName] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class Subject:
    """What is checked.

    Attributes:
        name: What people call it.
        files: The names of its files, with `/`.
        conditions: What it is checked under.
        original: Returns a file as it was downloaded, or None where it cannot be read.
        load_weights: Reads its files of weights.
        manifest: Its manifest; None for a mere directory.
        root: The directory of its files; None where it has none.
        repo: Where its files were pulled from; empty for a directory of the user's.
        commit: The commit that was pulled; empty for a directory of the user's.
        own: The environment that is its own; None where it is not built or not known.
        find_others: Returns the other environments that are built.
        table: What is known of packages: which names are gone, which models they implement.
        platform: The platform of this machine, as manifests name it.
        runner: The texts of its runner's files, the one that is executed first.
        sets: Its patch sets.
        patched: What those make of its files.
        early: Facts and findings that were made while it was gathered.
        fetch: The command that fetches its files again.
        rebuild: What makes its own environment anew.
        modules: The user's cache of modules of transformers.
        local_models: Returns the directories of other models of the user's.
    """

    name: str
    files: Collection[str]
    conditions: Conditions
    original: Callable[[str], bytes | None]
    load_weights: Callable[[], Weights]
    manifest: Manifest | None = None
    root: Path | None = None
    repo: str = ""
    commit: str = ""
    own: Packages | None = None
    find_others: Callable[[], Sequence[Packages]] = list
    table: Table = field(default_factory=lambda: Table(name="none"))
    platform: str = ""
    runner: Mapping[str, str] = field(default_factory=dict)
    sets: Sequence[PatchSet] = ()
    patched: Patched | None = None
    early: Sequence[Finding | Fact] = ()
    fetch: str = "fetch the files again"
    rebuild: str = "install it again"
    modules: Path = Path()
    local_models: Callable[[], Sequence[Path]] = list

    @cached_property
    def others(self) -> Sequence[Packages]:
        """The other environments that are built."""
        return self.find_others()

    @property
    def offered_dtypes(self) -> frozenset[str]:
        """The dtypes that the manifest lists for the device."""
        memory = self.manifest.memory if self.manifest is not None else {}
        return frozenset(memory.get(self.conditions.device, {}))  # type: ignore[call-overload]

    @property
    def quoted(self) -> str:
        """Its name as a word of a command."""
        return shlex.quote(self.name)

    def read(self, name: str) -> bytes | None:
        """Return a file as a worker would load it: patched; None where there is none."""
        patched = self.patched.files.get(name) if self.patched is not None else None
        return patched if patched is not None else self.original(name)

    @cached_property
    def weights(self) -> Weights:
        """What is in its files of weights, as far as headers say."""
        return self.load_weights()

    @cached_property
    def configs(self) -> dict[str, bytes]:
        """Its configuration files by name."""
        names = [
            name
            for name in sorted(self.files)
            if name in CONFIGS or (name.endswith("/config.json") and name.count("/") == 1)
        ]
        return {name: data for name in names if (data := self.read(name)) is not None}

    @property
    def unread(self) -> list[Finding]:
        """One finding for each configuration file that cannot be read."""
        return [
            _unreadable(name, Layer.CONFIGURATION)
            for name in CONFIGS
            if name in self.files and name not in self.configs
        ]

    @cached_property
    def named(self) -> set[str]:
        """The files of code that `auto_map` names."""
        return {name for data in self.configs.values() for name in modules_named(data)}

    @cached_property
    def _code(self) -> _CodeRead:
        """Its Python files that a loader imports: what `auto_map` names, and what those import.

        Those that are imported for certain come first; what only a test, a `try` or a function
        leads to is imported no more certainly than that.
        """
        read = _CodeRead()
        patched = (p.file for s in self.sets for p in s.patches if p.file.endswith(".py"))
        pending = [(False, False, name) for name in dict.fromkeys((*sorted(self.named), *patched))]
        codes, broken = read.codes, read.broken
        while pending:
            guarded, called, name = first = min(pending, key=lambda each: each[:2])
            pending.remove(first)
            if name in codes or name in broken or name not in self.files:
                continue
            if (data := self.read(name)) is None:
                broken[name] = _unreadable(name, Layer.ENVIRONMENT)
                continue
            try:
                codes[name] = read_code(name, data)
            except PatchConflict as conflict:
                broken[name] = rule("not-python").matched(
                    Evidence(name, conflict.line),
                    file=name,
                    problem=conflict.found,
                    python=platform.python_version(),
                )
                continue
            if not (guarded or called):
                read.loaded.add(name)
            for each in imports_of(codes[name]):
                seen = replace(each, guarded=each.guarded or guarded, called=each.called or called)
                read.imports.append(seen)
                if each.level:
                    pending += [(seen.guarded, seen.called, file) for file in each.files]
        return read

    @property
    def codes(self) -> list[Code]:
        """The files of code that can be parsed."""
        return list(self._code.codes.values())

    @property
    def unparsed(self) -> list[Finding]:
        """One finding for each file of code that cannot."""
        return list(self._code.broken.values())

    @property
    def imports(self) -> list[ImportedName]:
        """Every name that the code imports."""
        return self._code.imports

    @property
    def loaded(self) -> set[str]:
        """The files of code that are imported whenever the model is loaded."""
        return self._code.loaded

    @cached_property
    def runner_codes(self) -> list[Code]:
        """The files of the runner that can be parsed."""
        codes = []
        for path, text in self.runner.items():
            with suppress(PatchConflict):
                codes.append(read_code(path, text.encode()))
        return codes

    def mentions(self, part: str) -> bool:
        """Say whether code reads a part of the configuration: the model's own, else any."""
        text = "\n".join(code.file.source.text for code in self.codes)
        return part in text if text else True

    @property
    def requirements(self) -> list[Evidence]:
        """The requirements in the model's own requirements.txt, quoted."""
        name = "requirements.txt"
        lines = (self.original(name) or b"").decode("utf-8", "replace").splitlines()
        found = [(number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1)]
        return [Evidence(name, n, text) for n, text in found if text and not text.startswith("-")]

    def module_text(self, module: str) -> str | None:
        """Return the text of a module of the model's own environment, or None."""
        return self.own.text(module) if self.own is not None else None


def _unreadable(name: str, layer: Layer) -> Finding:
    limit = MAX_TEXT >> 20
    return rule("unreadable").matched(Evidence(name), layer=layer, file=name, limit=limit)
