"""A YAML file to a frozen record of its name, with every check that types cannot make.

Patch sets and the doctor's tables are read with it: `<directory>/NAME.yaml`, whose `name` is NAME.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

from orchestrator.core.binding import bind
from orchestrator.core.manifest_reader import name_problem
from orchestrator.core.yaml_document import Path, parse


class Named(Protocol):
    """A record with the name of its file."""

    @property
    def name(self) -> str:
        """The name."""


Record = TypeVar("Record", bound=Named)


class Problem(NamedTuple):
    """What is wrong with the value at a path, and how to fix it."""

    path: Path
    what: str
    fix: str = ""


def read_record(
    data: bytes,
    file: str,
    stem: str,
    record: type[Record],
    check: Callable[[Record], Iterable[Problem]],
) -> Record:
    """Return the record in `data`.

    Args:
        data: The file's content.
        file: The file, as messages name it.
        stem: Its name without `.yaml`, which is the record's name too.
        record: The record.
        check: Returns what is wrong with a record whose types fit.

    Raises:
        ManifestError: With the file, line and key of the first problem.
    """
    document = parse(data, file)
    problems: list[Problem] = []
    # Every record is a struct, which a type variable cannot say beside what it demands of names.
    kind: type[Any] = record
    bound: Record | None = bind(document, kind, lambda *each: problems.append(Problem(*each)))
    if bound is not None:
        problems += [*_name_problems(bound.name, stem), *check(bound)]
    if problems:
        raise document.error(*min(problems, key=lambda each: document.lines.get(each.path, 0)))
    assert bound is not None
    return bound


def _name_problems(name: str, stem: str) -> Iterator[Problem]:
    if problem := name_problem(name):
        yield Problem(("name",), problem)
    elif name != stem:
        yield Problem(("name",), f"{name!r} is not the file's name", f"write name: {stem}")


def nested(path: Path, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the problems of a value at `path`, found by a check of the value alone."""
    for problem in problems:
        yield problem._replace(path=(*path, *problem.path))
