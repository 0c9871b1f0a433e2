"""Layer 7: transformers' cache of modules, where copies of models' code outlive what they copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.doctor.rules.records import Effect, Evidence, Finding, Layer, Looked, listed
from orchestrator.doctor.subject import read_limited
from orchestrator.sources.inplace import spellings, stale_copies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.doctor.subject import Subject

FOLDER = "transformers_modules"


def module_cache(variables: Mapping[str, str]) -> Path:
    """Return the folder of transformers' module cache, as the user's variables place it."""
    get = variables.get
    home = get("HOME") or "~"
    cache = get("XDG_CACHE_HOME") or f"{home}/.cache"
    hub = get("HF_HOME") or f"{cache}/huggingface"
    return Path(get("HF_MODULES_CACHE") or f"{hub}/modules").expanduser() / FOLDER


def look(subject: Subject, modules: Path, others: Iterable[Path]) -> Looked:
    """Compare the user's module cache with a model's files.

    Args:
        subject: The model.
        modules: The user's module cache.
        others: Local directories of other models that are known.
    """
    looked = Looked()
    record = subject.record
    if subject.root is None or not subject.codes:
        return looked
    files = {code.name: data for code in subject.codes if (data := subject.original(code.name))}
    if record is not None and record.repo:
        stale = _stale_download(modules, record.repo, record.commit, files)
        foreign: list[Path] = []
    else:
        stale = stale_copies(modules, subject.root, files)
        foreign = _foreign(modules, subject.root, frozenset(files) | frozenset(subject.files))
        _collisions(subject, others, looked)
    if stale:
        looked.findings.append(_finding("stale", stale, "differ from the model's files"))
    if foreign:
        looked.findings.append(
            _finding("foreign", foreign, "are no files of this model, and lie under its name")
        )
    return looked


def _finding(name: str, copies: list[Path], said: str) -> Finding:
    folders = sorted({str(copy.parent) for copy in copies})
    one = len(copies) == 1
    said = said.replace("differ", "differs").replace("are no files", "is no file") if one else said
    said = said.replace("lie ", "lies ") if one else said
    return Finding(
        Layer.CACHES,
        f"{name}-modules",
        Effect.RISK,
        f"{len(copies)} cop{'y' if one else 'ies'} in transformers' module cache {said}",
        "without mm, transformers may import the copy; jobs of mm have a cache for each overlay",
        f"remove {listed(folders, 3)}",
        tuple(Evidence(str(copy)) for copy in copies[:8]),
    )


def _stale_download(
    modules: Path, repository: str, commit: str, files: Mapping[str, bytes]
) -> list[Path]:
    """Return the copies of a downloaded model, at its commit, that differ."""
    owner, _, name = repository.partition("/")
    stale = []
    for folder in sorted(modules.glob("*/*")):
        if (folder.parent.name, folder.name) not in {
            (one, other) for one in spellings(owner) for other in spellings(name)
        }:
            continue
        for file, data in files.items():
            copy = folder / commit / file
            found = read_limited(copy)
            if found is not None and found != data:
                stale.append(copy)
    return stale


def _foreign(modules: Path, directory: Path, names: frozenset[str]) -> list[Path]:
    """Return the copies under a directory's name that are of none of its files."""
    bases = {name.rpartition("/")[2] for name in names} | {"__init__.py"}
    found = []
    for each in sorted(spellings(directory.name)):
        folder = modules / each
        found += [path for path in sorted(folder.glob("*.py")) if path.name not in bases]
        found += [
            path
            for path in sorted(folder.glob("*/*.py"))
            if path.name not in bases and "__pycache__" not in path.parts
        ]
    return found


def _collisions(subject: Subject, others: Iterable[Path], looked: Looked) -> None:
    assert subject.root is not None
    mine = spellings(subject.root.name)
    same = [
        other
        for other in others
        if other.resolve() != subject.root.resolve() and mine & spellings(other.name)
    ]
    if same:
        looked.findings.append(
            Finding(
                Layer.CACHES,
                "same-name",
                Effect.RISK,
                f"{listed(map(str, same), 3)} has the same name as {subject.root}",
                "without mm, transformers keeps the code of both in one folder of its module cache",
                "rename one of the directories",
                (Evidence(str(subject.root)), *(Evidence(str(each)) for each in same)),
            )
        )
