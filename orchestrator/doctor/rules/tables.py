"""The doctor's tables as records: known failures, and names that packages have given up.

A table is a YAML file `doctor/NAME.yaml` beside manifests; docs/doctor.md tells what each key means
to a user. Each record is checked when it is read, so that a pattern that cannot be compiled is
found with its file and line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from orchestrator.core.binding import bind
from orchestrator.core.manifest_reader import name_problem
from orchestrator.core.patching import expressions
from orchestrator.core.patching.misfit import Misfit
from orchestrator.core.requirements import is_package_name
from orchestrator.core.yaml_document import parse
from orchestrator.errors import ManifestError

if TYPE_CHECKING:
    from orchestrator.core.binding import Report
    from orchestrator.core.yaml_document import Path

LayerName = Literal[
    "installation", "environment", "api", "device", "configuration", "weights", "dtypes", "caches",
    "patches", "run",
]  # fmt: skip

PLACEHOLDER = re.compile(r"\{(\w+)\}")
"""In `means` and `remedy`: a group of the pattern, or `model`."""

_PARTS = re.compile(r"\{(receiver|\d)\}")


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A failure that people meet, known by its words."""

    id: str
    pattern: str
    """A regular expression, looked for anywhere in a trace; its named groups are placeholders."""
    layer: LayerName
    """Where it lies; the remedy is checked against what that layer finds in the model."""
    means: str
    remedy: str
    harmless: bool = False
    """Whether the words are printed and nothing comes of them; every other entry goes before."""


class Gone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A name that a package once offered: an attribute of a class, or a name in a module."""

    name: str
    package: str
    gone: str
    """The first version without it."""
    module: str
    """Where it was, dotted."""
    of: str = ""
    """The class that it belonged to; empty for a name in the module itself."""
    receivers: str = ""
    """A regular expression for what stands before the dot; empty for anything."""
    instead: str
    """What to use, in words."""
    replacement: str = ""
    """An expression in its place: `{receiver}` stands for what is before the dot, `{0}` for the
    first argument; or, for a name in a module, another name. Empty where a person must look."""
    why: str = ""
    """What to know of the replacement."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file of either or both."""

    name: str
    failures: tuple[Failure, ...] = ()
    gone: tuple[Gone, ...] = ()


def read_table(data: bytes, *, file: str, stem: str) -> Table:
    """Return the table in `data`, the content of `file`, whose name without `.yaml` is `stem`.

    Raises:
        ManifestError: With the file, line and key of the first problem.
    """
    document = parse(data, file)
    problems: list[tuple[int, ManifestError]] = []

    def report(path: Path, what: str, fix: str = "") -> None:
        problems.append((document.lines.get(path, 0), document.error(path, what, fix)))

    table = bind(document, Table, report)
    if table is not None:
        _check(table, stem, report)
    if problems:
        raise min(problems, key=lambda each: each[0])[1]
    assert table is not None
    return table


def merged(tables: list[Table]) -> Table:
    """Return all tables as one; the first that has an id or a name wins."""
    failures: dict[str, Failure] = {}
    gone: dict[tuple[str, str, str], Gone] = {}
    for table in tables:
        for failure in table.failures:
            failures.setdefault(failure.id, failure)
        for each in table.gone:
            gone.setdefault((each.module, each.of, each.name), each)
    return Table(name="all", failures=tuple(failures.values()), gone=tuple(gone.values()))


def _check(table: Table, stem: str, report: Report) -> None:
    if problem := name_problem(table.name):
        report(("name",), problem)
    elif table.name != stem:
        report(("name",), f"{table.name!r} is not the file's name", f"write name: {stem}")
    if not table.failures and not table.gone:
        report((), "a table has failures or gone")
    seen: set[str] = set()
    for position, failure in enumerate(table.failures):
        path: Path = ("failures", position)
        if problem := name_problem(failure.id):
            report((*path, "id"), problem)
        if failure.id in seen:
            report((*path, "id"), f"{failure.id!r} stands here twice")
        seen.add(failure.id)
        _check_failure(failure, path, report)
    for position, gone in enumerate(table.gone):
        _check_gone(gone, ("gone", position), report)


def _check_failure(failure: Failure, path: Path, report: Report) -> None:
    try:
        pattern = re.compile(failure.pattern, re.MULTILINE)
    except (re.error, RecursionError, OverflowError) as error:
        report((*path, "pattern"), f"is no regular expression: {error}")
        return
    if pattern.search(""):
        report((*path, "pattern"), "matches an empty text, and so every failure")
    for key in ("means", "remedy"):
        text = getattr(failure, key)
        if not text.strip():
            report((*path, key), "is empty")
        for name in PLACEHOLDER.findall(text):
            if name != "model" and name not in pattern.groupindex:
                report((*path, key), f"{{{name}}} is neither a group of the pattern nor {{model}}")


def _check_gone(gone: Gone, path: Path, report: Report) -> None:
    if not is_package_name(gone.package):
        report((*path, "package"), f"{gone.package!r} is not the name of a package")
    if version_of(gone.gone) is None:
        report((*path, "gone"), f"{gone.gone!r} is not a version")
    if not expressions.is_identifier(gone.name):
        report((*path, "name"), f"{gone.name!r} is not an identifier")
    try:
        re.compile(gone.receivers)
    except re.error as error:
        report((*path, "receivers"), f"is no regular expression: {error}")
    if gone.replacement:
        _check_replacement(gone, (*path, "replacement"), report)


def _check_replacement(gone: Gone, path: Path, report: Report) -> None:
    if not gone.of:
        if not expressions.is_identifier(gone.replacement):
            report(path, f"{gone.replacement!r} is not an identifier")
        return
    try:
        expressions.pattern_tree(filled(gone.replacement, "receiver", ("first", "second")))
    except Misfit as misfit:
        report(path, misfit.found)


def filled(template: str, receiver: str, arguments: tuple[str, ...]) -> str:
    """Return a replacement with the receiver and the arguments of one call put in."""

    def part(match: re.Match[str]) -> str:
        if match[1] == "receiver":
            return receiver
        number = int(match[1])
        return arguments[number] if number < len(arguments) else ""

    return _PARTS.sub(part, template)


def version_of(text: str) -> tuple[int, ...] | None:
    """Return a version's release numbers, or None where `text` is none."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text).release
    except InvalidVersion:
        return None


def is_gone(gone: Gone, version: str) -> bool:
    """Say whether `version` of the package lacks the name already."""
    found, since = version_of(version), version_of(gone.gone)
    return found is not None and since is not None and found >= since
