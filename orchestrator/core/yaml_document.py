"""YAML text to plain data that knows its lines, by the core rules of YAML 1.2.

A declaration is data for people to read: what makes YAML surprising is refused (tags, anchors and
aliases, merge keys, duplicate keys, directives, tabs as indentation, several documents), and a
hostile file costs little, because size and depth are limited while it is read.

This module knows nothing of manifests; patch sets and pipelines are read with it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from orchestrator.core.names import MAX_BYTES
from orchestrator.errors import ManifestError

Event = Any
"""An event of PyYAML's parser; its type stubs know neither the C parser nor the attributes."""

Path = tuple[str | int, ...]
"""Keys and list positions from the root to a value: `("inputs", "mode", "choices", 0)`."""

MAX_DEPTH = 32
"""How deep lists and mappings may nest."""

MAX_SHOWN = 400
"""How much of a file's own words a message repeats."""

MAX_NUMBER_LENGTH = 64
"""The longest number; Python's own conversion takes quadratic time."""

_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_TAB_INDENT = re.compile(r" *\t\s*\S")
_SIMPLE_KEY = re.compile(r"[^\s.\[\]\x00-\x1f\x7f]+")

_LIBRARY_LIMIT = "exceeded maximum nesting depth"
"""What libyaml says of 1,000 levels from 0.2.6 on; it reads ahead, and so may say it first."""

_ADVICE = (
    ("cannot start any token", "quote a value that begins with a special character"),
    ("mapping values are not allowed", "quote a value that holds a colon and a space"),
)
"""What usually fixes the parser's commonest complaints."""


class Document(msgspec.Struct, frozen=True):
    """What a YAML file says, and where it says it.

    Attributes:
        name: The file, as messages name it.
        data: None, bool, int, float, str, lists and dicts with text keys.
        lines: The line, counted from 1, of each value; for a value of a mapping, that of its key.
        sources: How each scalar that is not text was written (`3.10` is the number 3.1).
    """

    name: str
    data: Any
    lines: Mapping[Path, int]
    sources: Mapping[Path, str]

    def where(self, path: Path) -> str:
        """Return `file:line: key` for messages; for a missing key, the line of what lacks it."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known, 1)
        return f"{self.name}:{line}: {dotted(path)}" if path else f"{self.name}:{line}"

    def error(self, path: Path, what: str, fix: str = "") -> ManifestError:
        """Return the error that says what is wrong with the value at `path`."""
        return ManifestError(_short(what), where=self.where(path), fix=_short(fix))


def dotted(path: Path) -> str:
    """Return `path` as people write it: `inputs.mode.choices[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _SIMPLE_KEY.fullmatch(part) and part.isprintable():
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return _short(text)


def parse(data: bytes, name: str, parser: Callable[[str], Any] | None = None) -> Document:
    """Read the YAML file `data`, called `name` in messages.

    Args:
        data: The file's content.
        name: The file, for messages.
        parser: Makes a parser of PyYAML's kind from a text; by default the one in C, or the one
            in Python where PyYAML was built without libyaml.

    Raises:
        ManifestError: When it is not UTF-8, not YAML, too large, or uses what is refused here.
    """
    if len(data) > MAX_BYTES:
        raise ManifestError(f"larger than {MAX_BYTES >> 10} KiB", where=name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(
            "not UTF-8 text", where=f"{name}:{line}", fix="save it as UTF-8"
        ) from error
    return _Composer(text, name, parser).document()


def scalar(text: str) -> bool | int | float | str | None:
    """Return what an unquoted scalar stands for by the core rules of YAML 1.2.

    `no`, `1:30` and `1_000` are text here; YAML 1.1 took them for False, 90 and 1000.

    Raises:
        ValueError: For a number longer than any use.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    is_number = _FLOAT.fullmatch(text) or _OTHER_BASE.fullmatch(text)
    if is_number and len(text) > MAX_NUMBER_LENGTH:
        raise ValueError(f"a number of {len(text)} characters")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if is_number:
        return float(text)
    special = _SPECIAL_FLOAT.fullmatch(text)
    return float(text.replace(".", "")) if special else text


class _Composer:
    """Builds data from the events of PyYAML's parser: the C one, or the one in Python.

    The events are used, and not the nodes made from them, because a node no longer says whether
    its tag was written or worked out.
    """

    def __init__(self, text: str, name: str, parser: Callable[[str], Any] | None) -> None:
        self._make_parser = parser or _fastest_parser()
        self._text = text
        self._name = name
        self._lines: dict[Path, int] = {}
        self._sources: dict[Path, str] = {}
        self._block_scalars: list[range] = []

    def document(self) -> Document:
        import yaml

        try:
            self._parser = self._make_parser(self._text)
            data = self._single_document()
        except yaml.YAMLError as error:
            raise self._unreadable(error) from error
        except (ValueError, OverflowError) as error:  # an escape that names no character
            raise ManifestError("not YAML: a wrong escape in quotes", where=self._name) from error
        self._check_tabs()
        return Document(self._name, data, self._lines, self._sources)

    def _single_document(self) -> Any:
        from yaml import DocumentStartEvent, StreamEndEvent

        self._next()  # the start of the stream
        start = self._next()
        if not isinstance(start, DocumentStartEvent):
            return None
        if start.version or start.tags:
            self._refuse(start, (), "a YAML directive (%) is not allowed")
        data = self._value(self._next(), (), 0)
        self._next()  # the end of the document
        after = self._next()
        if not isinstance(after, StreamEndEvent):
            self._refuse(after, (), "a second YAML document is not allowed")
        return data

    def _value(self, event: Event, path: Path, depth: int) -> Any:
        from yaml import AliasEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent

        if isinstance(event, AliasEvent):
            self._refuse(event, path, f"a YAML alias (*{event.anchor}) is not allowed")
        if event.anchor is not None:
            self._refuse(event, path, f"a YAML anchor (&{event.anchor}) is not allowed")
        if event.tag is not None:
            self._refuse(event, path, f"a YAML tag ({_tag(event.tag)}) is not allowed")
        self._lines.setdefault(path, event.start_mark.line + 1)
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if depth == MAX_DEPTH:
            self._refuse(event, path, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, MappingStartEvent):
            return self._mapping(path, depth)
        assert isinstance(event, SequenceStartEvent)
        return self._sequence(path, depth)

    def _scalar(self, event: Event, path: Path) -> Any:
        text = event.value
        if event.style in ("|", ">"):
            end = event.end_mark
            last = end.line + 1 if end.column else end.line
            self._block_scalars.append(range(event.start_mark.line + 1, last))
        if not event.implicit[0]:
            if not text.isprintable() and _has_surrogate_or_nul(text):
                self._refuse(event, path, "holds a character that no text file may hold")
            return text
        try:
            value = scalar(text)
        except ValueError as error:
            self._refuse(event, path, f"{error} is not allowed")
        if not isinstance(value, str):
            self._sources[path] = text
        return value

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        from yaml import SequenceEndEvent

        items: list[Any] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            items.append(self._value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        from yaml import MappingEndEvent

        entries: dict[str, Any] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._key(event, path, depth)
            here = (*path, key)
            if key in entries:
                first = self._lines[here]
                self._refuse(event, here, f"the key stands here twice (first on line {first})")
            self._lines[here] = event.start_mark.line + 1
            entries[key] = self._value(self._next(), here, depth + 1)
        return entries

    def _key(self, event: Event, path: Path, depth: int) -> str:
        """Return a key: always text, whatever it looks like, as in JSON."""
        from yaml import ScalarEvent

        if not isinstance(event, ScalarEvent) or event.tag or event.anchor:
            self._value(event, (*path, "?"), depth + 1)  # has the better words for a tag or anchor
            self._refuse(event, path, "a key must be text")
        if event.implicit[0] and event.value == "<<":
            self._refuse(event, path, "a YAML merge key (<<) is not allowed")
        if not event.value.isprintable() and _has_surrogate_or_nul(event.value):
            self._refuse(event, path, "a key holds a character that no text file may hold")
        return str(event.value)

    def _next(self) -> Event:
        return self._parser.get_event()

    def _refuse(self, event: Event, path: Path, what: str) -> NoReturn:
        line = event.start_mark.line + 1
        at = f"{self._name}:{line}: {dotted(path)}" if path else f"{self._name}:{line}"
        raise ManifestError(what, where=at)

    def _unreadable(self, error: Exception) -> ManifestError:
        """Say what the parser found, and the tab that is often behind it."""
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is None:
            # The reader's complaint about a character has a position and no line.
            position = getattr(error, "position", 0)
            line = len(_LINE_BREAK.findall(self._text[:position])) + 1
            return ManifestError(
                "holds a character that no text file may hold", where=f"{self._name}:{line}"
            )
        problem = str(getattr(error, "problem", None) or error).partition("\n")[0]
        if problem == _LIBRARY_LIMIT and mark.index < len(self._text):
            # Our own limit is passed before that place, and its message names the key.
            _Composer(self._text[: mark.index], self._name, self._make_parser).document()
        lines = _LINE_BREAK.split(self._text)
        if mark.line < len(lines) and re.match(r" *\t", lines[mark.line]):
            return self._tab(mark.line)
        fix = next((advice for sign, advice in _ADVICE if sign in problem), "")
        return ManifestError(f"not YAML: {problem}", where=f"{self._name}:{mark.line + 1}", fix=fix)

    def _check_tabs(self) -> None:
        """Refuse a tab that indents a line, except in the text of a block scalar."""
        if "\t" not in self._text:
            return
        for number, line in enumerate(_LINE_BREAK.split(self._text)):
            if _TAB_INDENT.match(line) and not any(number in r for r in self._block_scalars):
                raise self._tab(number)

    def _tab(self, line: int) -> ManifestError:
        return ManifestError(
            "a tab indents this line",
            where=f"{self._name}:{line + 1}",
            fix="indent with spaces",
        )


def _fastest_parser() -> Callable[[str], Any]:
    import yaml

    if not yaml.__with_libyaml__:
        return yaml.Loader
    from yaml import cyaml

    parser: Callable[[str], Any] = cyaml.CParser  # type: ignore[attr-defined] # not in the stubs
    return parser


def _has_surrogate_or_nul(text: str) -> bool:
    return any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


def _tag(tag: str) -> str:
    """Return a tag as it was written, as nearly as the parser lets us know."""
    written = tag.replace("tag:yaml.org,2002:", "!!", 1)
    return _short(written if written.isprintable() else repr(written))


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
