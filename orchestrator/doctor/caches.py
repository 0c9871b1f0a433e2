"""transformers' cache of modules, where copies of models' code outlive what they copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.doctor.rules.findings import Evidence, Finding, listed, rule
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.subject_files import read_limited
from orchestrator.sources.inplace import spellings, stale_copies


def check_caches(subject: Subject) -> Iterator[Finding]:
    """Compare the user's module cache with a model's files."""
    root = subject.root
    if root is None or not subject.codes:
        return
    files = {code.name: data for code in subject.codes if (data := subject.original(code.name))}
    foreign: list[Path] = []
    if subject.repo:
        stale = _stale_download(subject, files)
    else:
        stale = stale_copies(subject.modules, root, files)
        foreign = _foreign(subject.modules, root, {*files, *subject.files})
        same = [
            str(other)
            for other in subject.local_models()
            if other.resolve() != root.resolve() and spellings(root.name) & spellings(other.name)
        ]
        if same:
            places = (Evidence(str(root)), *map(Evidence, same))
            yield rule("same-name").matched(*places, others=listed(same, 3), directory=root)
    for name, copies in (("stale-modules", stale), ("foreign-modules", foreign)):
        one = len(copies) == 1
        if copies:
            yield rule(name).matched(
                *(Evidence(str(copy)) for copy in copies[:8]),
                copies="1 copy" if one else f"{len(copies)} copies",
                differ="differs" if one else "differ",
                are="is no file" if one else "are no files",
                lie="lies" if one else "lie",
                folders=listed(sorted({str(copy.parent) for copy in copies}), 3),
            )


def _stale_download(subject: Subject, files: Mapping[str, bytes]) -> list[Path]:
    """Return the copies of a downloaded model, at its commit, that differ."""
    owner, _, name = subject.repo.partition("/")
    copies = [
        (folder / subject.commit / file, data)
        for folder in sorted(subject.modules.glob("*/*"))
        if folder.parent.name in spellings(owner) and folder.name in spellings(name)
        for file, data in files.items()
    ]
    return [copy for copy, data in copies if read_limited(copy) not in (None, data)]


def _foreign(modules: Path, directory: Path, names: set[str]) -> list[Path]:
    """Return the copies under a directory's name that are of none of its files."""
    bases = {name.rpartition("/")[2] for name in names} | {"__init__.py"}
    return [
        path
        for each in sorted(spellings(directory.name))
        for pattern in ("*.py", "*/*.py")
        for path in sorted((modules / each).glob(pattern))
        if path.name not in bases and "__pycache__" not in path.parts
    ]
