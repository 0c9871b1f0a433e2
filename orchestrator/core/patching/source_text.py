"""A file's text with its bytes in mind: what lies outside an edit comes back byte for byte.

Lines end at CR LF, LF or a lone CR, as Python's own reader has it; form feeds, tabs, a byte order
mark, an encoding line and a missing last newline are kept as they are.
"""

from __future__ import annotations

import codecs
import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from orchestrator.core.patching.conflict import PatchConflict

_LINE_END = re.compile("\r\n|\n|\r")


@dataclass(frozen=True)
class Splice:
    """Put `text` in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class SourceText:
    """A decoded file.

    Attributes:
        text: Its characters, line ends unchanged, without a byte order mark.
        encoding: The codec that it was read with.
        mark: Its byte order mark, or nothing.
    """

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""

    @cached_property
    def starts(self) -> list[int]:
        """The offset at which each line begins, and the end of the text."""
        return [0, *(match.end() for match in _LINE_END.finditer(self.text)), len(self.text)]

    @cached_property
    def normal(self) -> str:
        """The text with every line ended by LF; lines and columns are the same."""
        return _LINE_END.sub("\n", self.text)

    @cached_property
    def newline(self) -> str:
        """The file's first line end; LF where it has none."""
        match = _LINE_END.search(self.text)
        return match[0] if match else "\n"

    def line(self, number: int) -> str:
        """Return line `number`, counted from 1, with its end."""
        return self.text[self.starts[number - 1] : self.starts[number]]

    def offset(self, number: int, column: int) -> int:
        """Return the offset of a place in a syntax tree: a line from 1, a column in UTF-8 bytes."""
        line = self.line(number)
        if line.isascii():
            return self.starts[number - 1] + column
        return self.starts[number - 1] + len(line.encode("utf-8")[:column].decode("utf-8"))

    def line_at(self, offset: int) -> int:
        """Return the number of the line, from 1, that the character at `offset` is in."""
        return min(bisect_right(self.starts, offset), max(1, len(self.starts) - 1))

    def newline_near(self, number: int) -> str:
        """Return how line `number` ends, or a line before it where it is the last and does not."""
        for candidate in (number, number - 1):
            if candidate >= 1 and (match := _LINE_END.search(self.line(candidate))):
                return match[0]
        return self.newline

    def spliced(self, splices: Iterable[Splice]) -> SourceText:
        """Return the text with every splice made; they may not overlap.

        Of several at one place, the first given stands first.
        """
        parts: list[str] = []
        position = 0
        for splice in sorted(splices, key=lambda each: each.start):
            if splice.start < position:
                raise PatchConflict("two places overlap", line=self.line_at(splice.start))
            parts += [self.text[position : splice.start], splice.text]
            position = splice.end
        return SourceText("".join([*parts, self.text[position:]]), self.encoding, self.mark)

    def encoded(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            PatchConflict: When an inserted character has no place in the file's encoding.
        """
        try:
            return self.mark + self.text.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise PatchConflict(
                f"the file's encoding, {self.encoding}, has no {error.object!r}"
            ) from None


@dataclass(frozen=True)
class EditResult:
    """What one edit found in a file, and the file as it leaves it.

    Attributes:
        matches: Places that the edit changes.
        there: Places that are already as the edit would make them.
        result: The file after the edit.
        looked_for: What was looked for, for messages.
    """

    matches: int
    there: int
    result: SourceText
    looked_for: str


def decode_python(data: bytes) -> SourceText:
    """Return the text of a Python file, its encoding line respected.

    Raises:
        PatchConflict: When it cannot be read, or would not come back as the same bytes.
    """
    # `tokenize` looks for the encoding in lines that end in LF; a lone CR ends one as well.
    lines = io.BytesIO(re.sub(rb"\r\n?", b"\n", data))
    try:
        encoding, _ = tokenize.detect_encoding(lines.readline)
    except SyntaxError as error:
        raise PatchConflict(f"not Python: {error.msg}") from error
    return _decode(data, "utf-8" if encoding == "utf-8-sig" else encoding)


def decode_text(data: bytes) -> SourceText:
    """Return the text of a JSON or other file, which must be UTF-8.

    Raises:
        PatchConflict: When it is not.
    """
    return _decode(data, "utf-8")


def _decode(data: bytes, encoding: str) -> SourceText:
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    try:
        text = data[len(mark) :].decode(encoding)
        same = text.encode(encoding) == data[len(mark) :]
    except UnicodeError as error:
        raise PatchConflict(f"not {encoding} text") from error
    if not same:
        raise PatchConflict(f"{encoding} text that does not come back as the same bytes")
    return SourceText(text, encoding, mark)
