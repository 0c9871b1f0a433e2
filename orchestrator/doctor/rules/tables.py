"""The doctor's tables as records: known failures, and names that packages have removed.

A table is a YAML file `doctor/NAME.yaml` beside manifests; docs/doctor.md describes its keys. Each
record is checked when it is read, so that a pattern that cannot be compiled is found with its file
and line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import msgspec

from orchestrator.core.binding import name_of
from orchestrator.core.names import name_problem
from orchestrator.core.patching import expressions
from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.record_reader import Problem, nested, read_record
from orchestrator.core.requirements import is_package_name
from orchestrator.doctor.rules.findings import Layer

PLACEHOLDER = re.compile(r"\{(\w+)\}")
"""In `means` and `remedy`: a group of the pattern, or `model`."""

_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")
_PARTS = re.compile(r"\{(receiver|\d)\}")


class KnownFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A failure that people meet, known by its words."""

    id: str
    pattern: str
    """A regular expression, looked for anywhere in a trace; its named groups are placeholders."""
    layer: str
    """Where it lies; the remedy is checked against what that layer finds in the model."""
    means: str
    remedy: str
    harmless: bool = False
    """Whether the words are printed and do no harm; every other entry goes before."""
    confirm: bool = False
    """Whether the model's files show such a failure, so that it is no hint where they do not."""


class RemovedApi(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A name that a package once had: an attribute of a class, or a name in a module."""

    name: str
    package: str
    since: str = msgspec.field(name="gone")
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
    """One file of any of these."""

    name: str
    failures: tuple[KnownFailure, ...] = ()
    removed: tuple[RemovedApi, ...] = msgspec.field(name="gone", default=())
    implemented: dict[str, dict[str, tuple[str, ...]]] = {}
    """The models that packages implement: by package, then by the first version that has them."""

    def implementations(self, names: Collection[str]) -> dict[str, tuple[str, str]]:
        """Return which packages implement a model, with the version and their name for it.

        Args:
            names: What the model's configuration calls it, such as DeepseekOCR2ForCausalLM. Only
                letters and digits count, and nothing from the last "For" on.
        """
        wanted = {_plain_name(name) for name in names}
        found: dict[str, tuple[str, str]] = {}
        for package, versions in self.implemented.items():
            for version, models in versions.items():
                for model in models:
                    if _plain_name(model) in wanted:
                        found.setdefault(package, (version, model))
        return found


def _plain_name(name: str) -> str:
    stem = re.sub(r"For[A-Z]\w*$|Model$", "", name)
    return re.sub(r"[^a-z0-9]", "", stem.lower())


def read_table(data: bytes, *, file: str, stem: str) -> Table:
    """Return the table in `data`, the content of `file`, whose name without `.yaml` is `stem`.

    Raises:
        ManifestError: With the file, line and key of the first problem.
    """
    return read_record(data, file, stem, Table, _table_problems)


def merged(tables: list[Table]) -> Table:
    """Return all tables as one; the first that has an id or a name wins."""
    failures: dict[str, KnownFailure] = {}
    removed: dict[tuple[str, str, str], RemovedApi] = {}
    for table in tables:
        for failure in table.failures:
            failures.setdefault(failure.id, failure)
        for api in table.removed:
            removed.setdefault((api.module, api.of, api.name), api)
    implemented: dict[str, dict[str, tuple[str, ...]]] = {}
    for table in tables:
        for package, versions in table.implemented.items():
            implemented.setdefault(package, versions)
    return Table(
        name="all",
        failures=tuple(failures.values()),
        removed=tuple(removed.values()),
        implemented=implemented,
    )


def _table_problems(table: Table) -> Iterator[Problem]:
    if not (table.failures or table.removed or table.implemented):
        yield Problem((), "a table has failures, gone or implemented")
    for package, versions in table.implemented.items():
        if not is_package_name(package):
            yield Problem(("implemented", package), f"{package!r} is not the name of a package")
        for version in versions:
            if not _VERSION.fullmatch(version):
                what = f"{version!r} is not a version such as 4.57.3"
                yield Problem(("implemented", package, version), what)
    seen: set[str] = set()
    for position, failure in enumerate(table.failures):
        path = ("failures", position)
        if failure.id in seen:
            yield Problem((*path, "id"), f"{failure.id!r} stands here twice")
        seen.add(failure.id)
        yield from nested(path, _failure_problems(failure))
    for position, api in enumerate(table.removed):
        yield from nested(("gone", position), _api_problems(api))


def _failure_problems(failure: KnownFailure) -> Iterator[Problem]:
    if problem := name_problem(failure.id):
        yield Problem(("id",), problem)
    layers = [each.value for each in Layer]
    if failure.layer not in layers:
        what = f"must be one of {', '.join(layers)}, not {name_of(failure.layer)}"
        yield Problem(("layer",), what)
    try:
        pattern = re.compile(failure.pattern, re.MULTILINE)
    except (re.error, RecursionError, OverflowError) as error:
        yield Problem(("pattern",), f"is no regular expression: {error}")
        return
    if pattern.search(""):
        yield Problem(("pattern",), "matches an empty text, and so every failure")
    for key, text in (("means", failure.means), ("remedy", failure.remedy)):
        if not text.strip():
            yield Problem((key,), "is empty")
        for name in PLACEHOLDER.findall(text):
            if name != "model" and name not in pattern.groupindex:
                what = f"{{{name}}} is neither a group of the pattern nor {{model}}"
                yield Problem((key,), what)


def _api_problems(api: RemovedApi) -> Iterator[Problem]:
    if not is_package_name(api.package):
        yield Problem(("package",), f"{api.package!r} is not the name of a package")
    if version_of(api.since) is None:
        yield Problem(("gone",), f"{api.since!r} is not a version")
    if not expressions.is_identifier(api.name):
        yield Problem(("name",), f"{api.name!r} is not an identifier")
    try:
        re.compile(api.receivers)
    except re.error as error:
        yield Problem(("receivers",), f"is no regular expression: {error}")
    if api.replacement and not api.of:
        if not expressions.is_identifier(api.replacement):
            yield Problem(("replacement",), f"{api.replacement!r} is not an identifier")
    elif api.replacement:
        try:
            expressions.pattern_tree(filled(api.replacement, "receiver", ("first", "second")))
        except PatchConflict as conflict:
            yield Problem(("replacement",), conflict.found)


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


def is_removed(api: RemovedApi, version: str) -> bool:
    """Say whether `version` of the package lacks the name already."""
    found, since = version_of(version), version_of(api.since)
    return found is not None and since is not None and found >= since
