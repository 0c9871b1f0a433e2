"""Names in declarations: what models, inputs and variables may be called."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME_PATTERN = r"[a-z0-9]+(?:-+[a-z0-9]+|\.[a-z0-9]+)*"
"""Names become paths, options and lines of a table: no separator, no `..`, no capital letter."""

MAX_NAME_LENGTH = 64

MAX_BYTES = 256 * 1024
"""The largest file of a declaration that is read; real ones have a few thousand bytes."""

LANGUAGE_PATTERN = "any|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*"
"""Languages as BCP 47 tags: the language by two or three letters, then script or region."""

IDENTIFIER_PATTERN = r"[A-Za-z][A-Za-z0-9_]*"
"""Names of inputs and outputs: keywords of the runner, options, references in pipelines."""

VARIABLE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"

BUILT_IN_STEPS = frozenset(
    {"audiobook", "book-pages", "book-text", "join-audio", "plain-text", "split-pages"}
    | {"subtitles", "write"}
)
"""Steps of pipelines that are no models, and whose names no model may bear."""

_NAME = re.compile(NAME_PATTERN, re.ASCII)
_IDENTIFIER = re.compile(IDENTIFIER_PATTERN, re.ASCII)
_VARIABLE = re.compile(VARIABLE_PATTERN, re.ASCII)


def name_problem(name: str) -> str | None:
    """Return why `name` cannot name a model, a task, an environment or a patch set, or None."""
    if not _NAME.fullmatch(name):
        return (
            f"{name!r} is not a name: lower-case letters, digits and single hyphens or dots between"
        )
    if len(name) > MAX_NAME_LENGTH:
        return f"a name may have {MAX_NAME_LENGTH} characters"
    return None


def identifier_problem(name: str) -> str | None:
    """Return why `name` cannot name an input or an output, or None."""
    if not _IDENTIFIER.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        return f"{name!r} is not letters, digits and _, beginning with a letter"
    if keyword.iskeyword(name):
        return f"{name!r} is a word of Python"
    return None


def variable_problem(name: str) -> str | None:
    """Return why `name` cannot name an environment variable of a worker, or None."""
    if not _VARIABLE.fullmatch(name):
        return f"{name!r} is not the name of a variable"
    if name.upper().startswith("PYTHON"):
        return f"{name} has no effect: workers run with Python's -I, which ignores PYTHON*"
    return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question that offers the known names nearest to `word`, or an empty text."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""
