"""A YAML file to a frozen record of its name, with every check that types cannot make.

Manifests, patch sets, pipelines and the doctor's tables are read with it: `NAME.yaml`, whose `name`
is NAME. A check yields problems with their paths below the value that it is given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

from orchestrator.core.binding import bind
from orchestrator.core.names import name_problem
from orchestrator.core.yaml_document import Document, Path, parse
from orchestrator.errors import ManifestError


class Named(Protocol):
    """A record that has the name of its file."""

    @property
    def name(self) -> str:
        """The name."""


Record = TypeVar("Record", bound=Named)
Check = Callable[[Record], Iterable["Problem"]]


class Problem(NamedTuple):
    """What is wrong with the value at a path, and how to fix it."""

    path: Path
    what: str
    fix: str = ""


def read_record(
    data: bytes, file: str, stem: str, record: type[Record], check: Check[Record]
) -> Record:
    """Return the record in `data`; the arguments are those of `examine_record`.

    Raises:
        ManifestError: With the file, line and key of the first problem.
    """
    return record_in(parse(data, file), stem, record, check)


def record_in(document: Document, stem: str, record: type[Record], check: Check[Record]) -> Record:
    """Return the record in a YAML document; the other arguments are those of `examine_record`.

    Raises:
        ManifestError: With the file, line and key of the first problem.
    """
    bound, problems = _bound(document, stem, record, check)
    if problems:
        raise problems[0]
    assert bound is not None
    return bound


def examine_record(
    data: bytes, file: str, stem: str, record: type[Record], check: Check[Record]
) -> tuple[Record | None, list[ManifestError]]:
    """Return the record in `data` (None when its types do not fit) and all of its problems.

    Args:
        data: The file's content.
        file: The file, as messages name it.
        stem: Its name without `.yaml`, which the record has too.
        record: The record.
        check: Returns what is wrong with a record whose types fit.
    """
    try:
        document = parse(data, file)
    except ManifestError as error:
        return None, [error]
    return _bound(document, stem, record, check)


def _bound(
    document: Document, stem: str, record: type[Record], check: Check[Record]
) -> tuple[Record | None, list[ManifestError]]:
    problems: list[Problem] = []
    # Every record is a struct, which a type variable cannot say beside what it demands of names.
    kind: type[Any] = record
    bound: Record | None = bind(document, kind, lambda *each: problems.append(Problem(*each)))
    if bound is not None:
        problems += [*_name_problems(bound.name, stem), *check(bound)]
    # A missing key has no line and comes last: an unknown key nearby may be what was meant.
    problems.sort(key=lambda each: document.lines.get(each.path, sys.maxsize))
    return bound, [document.error(*each) for each in problems]


def _name_problems(name: str, stem: str) -> Iterator[Problem]:
    if problem := name_problem(name):
        yield Problem(("name",), problem)
    elif name != stem:
        fix = f"write name: {stem}, or rename the file to {name}.yaml"
        yield Problem(("name",), f"{name!r} is not the file's name", fix)


def nested(path: Path, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the problems of a value at `path`, found by a check of the value alone."""
    for problem in problems:
        yield problem._replace(path=(*path, *problem.path))


def item_problems(
    items: Iterable[str], problem_of: Callable[[str], str | None]
) -> Iterator[Problem]:
    """Yield the problems of the items of a list, and the items that it has twice.

    Args:
        items: The list.
        problem_of: Returns why an item does not fit, or None.
    """
    seen: set[str] = set()
    for position, item in enumerate(items):
        if problem := problem_of(item):
            yield Problem((position,), problem)
        elif item in seen:
            yield Problem((position,), f"{item!r} stands here twice")
        seen.add(item)
