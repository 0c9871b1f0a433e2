"""What stands in `with`: `${{ steps.read.text }}` alone, in a list, or inside other text.

The notation is that of GitHub Actions' expressions, with references and nothing else: no operator
and no function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator.core.names import MAX_NAME_LENGTH

_REFERENCE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_OPENING = "${{"
_NAME = r"[A-Za-z][A-Za-z0-9_]*"
_INPUT = re.compile(rf"inputs\.({_NAME})", re.ASCII)
_STEP_ID = r"[A-Za-z][A-Za-z0-9_-]*"
_STEP = re.compile(rf"steps\.({_STEP_ID})\.({_NAME})(\??)", re.ASCII)

FORMS = "inputs.NAME, steps.ID.OUTPUT, item or index"


@dataclass(frozen=True)
class Reference:
    """One reference: to an input, an output of a step, the item of a `foreach`, or its number.

    Attributes:
        step: The step, where the reference is to its output.
        name: The input or output; "item" or "index" for those.
        root: "inputs", "steps", "item" or "index".
        optional: Whether the model of the step may lack the output; the input is then left out.
    """

    root: str
    name: str
    step: str = ""
    optional: bool = False

    def __str__(self) -> str:
        if self.root == "steps":
            return f"steps.{self.step}.{self.name}"
        return f"inputs.{self.name}" if self.root == "inputs" else self.root


@dataclass(frozen=True)
class Literal:
    """A value that is given as it is."""

    value: Any


@dataclass(frozen=True)
class Text:
    """Text with references inside; they become text."""

    parts: tuple[str | Reference, ...]


@dataclass(frozen=True)
class Many:
    """A list with references among its items."""

    items: tuple[Reference | Literal | Text, ...]


Template = Reference | Literal | Text | Many


def step_id_problem(text: str) -> str | None:
    """Return why `text` cannot be the id of a step, or None."""
    if re.fullmatch(_STEP_ID, text, re.ASCII) and len(text) <= MAX_NAME_LENGTH:
        return None
    return f"{text!r} is not letters, digits, _ and -, beginning with a letter"


def parse_template(value: Any) -> Template:
    """Return what the value of a key of `with` means.

    Raises:
        ValueError: For a reference that is none, or one where none can stand.
    """
    if isinstance(value, str):
        return _parse_text(value)
    if isinstance(value, list) and any(_mentions(item) for item in value):
        return Many(tuple(_parse_item(item) for item in value))
    if _mentions(value):
        raise ValueError("a reference stands alone, inside text, or in a list; not in a mapping")
    return Literal(value)


def parse_reference(text: str) -> Reference:
    """Return the reference that `text` is, braces included.

    Raises:
        ValueError: When it is anything else.
    """
    template = _parse_text(text)
    if isinstance(template, Reference):
        return template
    raise ValueError('one reference is wanted, such as "${{ inputs.images }}"')


def references_in(template: Template) -> tuple[Reference, ...]:
    """Return every reference in `template`, in order."""
    if isinstance(template, Reference):
        return (template,)
    if isinstance(template, Text):
        return tuple(part for part in template.parts if isinstance(part, Reference))
    if isinstance(template, Many):
        return tuple(reference for item in template.items for reference in references_in(item))
    return ()


def value_of(template: Template, look_up: Callable[[Reference], Any]) -> Any:
    """Return what `template` stands for, with every reference looked up.

    Args:
        template: What stands in `with`.
        look_up: Returns the value of a reference; `msgspec.UNSET` for one that was left out.
    """
    if isinstance(template, Reference):
        return look_up(template)
    if isinstance(template, Literal):
        return template.value
    if isinstance(template, Many):
        values = [value_of(item, look_up) for item in template.items]
        return [value for value in values if value is not msgspec.UNSET]
    return "".join(
        part if isinstance(part, str) else as_text(look_up(part)) for part in template.parts
    )


def as_text(value: Any) -> str:
    """Return a text, a number or a boolean as it is written inside other text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _parse_item(item: Any) -> Reference | Literal | Text:
    template = parse_template(item)
    if not isinstance(template, Many):
        return template
    raise ValueError("a list in a list cannot hold references")


def _parse_text(text: str) -> Reference | Literal | Text:
    parts: list[str | Reference] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        parts.append(_parse_words(match[1].strip()))
        end = match.end()
    if end < len(text):
        parts.append(text[end:])
    if any(isinstance(part, str) and _OPENING in part for part in parts):
        raise ValueError("a reference that begins with ${{ ends with }}")
    if len(parts) == 1 and isinstance(parts[0], Reference):
        return parts[0]
    if all(isinstance(part, str) for part in parts):
        return Literal(text)
    return Text(tuple(parts))


def _parse_words(words: str) -> Reference:
    if words in ("item", "index"):
        return Reference(words, words)
    if match := _INPUT.fullmatch(words):
        return Reference("inputs", match[1])
    if match := _STEP.fullmatch(words):
        return Reference("steps", match[2], match[1], optional=bool(match[3]))
    raise ValueError(f"{words!r} is no reference; a reference is {FORMS}")


def _mentions(value: Any) -> bool:
    if isinstance(value, str):
        return _OPENING in value
    if isinstance(value, list):
        return any(_mentions(item) for item in value)
    return isinstance(value, dict) and any(_mentions(item) for item in value.values())
