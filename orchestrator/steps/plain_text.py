"""Step `plain-text`: Markdown, and the marks of models that read pages, to what is read aloud.

Words stay in order and none is lost that a person would read; what only guides the eye goes. A
table becomes one line for each row. The marks of DeepSeek-OCR (`<|ref|>title<|/ref|><|det|>[[…]]
<|/det|>`) name the kind of a block or the phrase that was asked for; kinds go and phrases stay.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from orchestrator.core.manifest import Input
from orchestrator.steps.base import BuiltIn, Emit, signature

_UNMARKED = r"[^<]*(?:<(?!\|)[^<]*)*"
_DET = rf"<\|det\|>{_UNMARKED}<\|/det\|>"
_GROUNDING = re.compile(rf"<\|ref\|>(?P<ref>{_UNMARKED})<\|/ref\|>(?:\s*{_DET})?|{_DET}")
_BLOCK_KIND = re.compile(r"[a-z]+(?:[_ ](?:caption|footnote|title|number|text|body))?")
_KINDS = frozenset(
    {"title", "sub_title", "text", "image", "figure", "table", "equation", "formula", "header"}
    | {"footer", "caption", "list", "code", "reference", "references", "algorithm", "abstract"}
    | {"index", "aside_text", "page_number", "seal", "chart"}
)
_TOKEN = re.compile("<[|\uff5c]/?[A-Za-z_\u2581\\d]+[|\uff5c]>")
"""Marks of models for themselves; some write them with a full-width bar and a low block."""
_COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>")
_TABLE = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,}|={3,})\s*")
_TABLE_RULE = re.compile(r"\s*\|?(?:\s*:?-+:?\s*\|)*\s*:?-+:?\s*\|?\s*")
_BLOCK_MARK = re.compile(
    r"[ \t]*(?:>[ \t]?)*[ \t]*(?:#{1,6}[ \t]+|[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?)?"
)
_HEADING_END = re.compile(r"[ \t]+#+[ \t]*$")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]:?[ \t]?")
_IMAGE = re.compile(r"!\[([^\[\]]*)\](?:\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])")
_LINK = re.compile(
    r"\[([^\[\]]+)\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])"
)
_AUTOLINK = re.compile(r"<((?:https?|mailto):[^<>\s]+)>")
_CODE = re.compile(r"(`+)(.+?)\1(?!`)")
_STARS = re.compile(r"(?<![\\*])(\*{1,3})(?=\S)([^*]*?[^*\s])\1(?!\*)")
_LINES = re.compile(r"(?<![\\\w])(_{1,3})(?=\S)([^_]*?[^_\s])\1(?!\w)")
_STRUCK = re.compile(r"~~(?=\S)(.+?)~~")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_MATH = re.compile(
    r"\$\$([^$]+)\$\$|\\\[([^\[\]]+)\\\]|\\\(([^()]+(?:\([^()]*\)[^()]*)*)\\\)|\$([^\s$](?:[^$\n]*[^\s$])?)\$"
)
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zà-öø-ÿ])")

_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s*\{([^{}]*)\}")
_STYLE = re.compile(
    r"\\(?:mathrm|mathbf|mathit|mathsf|text|textbf|operatorname|left|right|displaystyle)\b\s*"
)
_POWER = re.compile(r"\^\s*(?:\{([^{}]*)\}|(\S))")
_INDEX = re.compile(r"_\s*(?:\{([^{}]*)\}|(\S))")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_SPOKEN = {
    "times": "times", "cdot": "times", "div": "divided by", "pm": "plus or minus", "le": "≤",
    "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "to": "to",
    "infty": "infinity", "rightarrow": "to", "ldots": "…", "dots": "…", "quad": " ",
    "qquad": " ", "circ": "°", "degree": "°",
}  # fmt: skip


def plain_text(markdown: str) -> str:
    """Return `markdown` as the text that a person would read aloud; never raises."""
    text = markdown.replace("\r\n", "\n").replace("\r", "\n")
    text = _GROUNDING.sub(_ungrounded, text)
    text = _TOKEN.sub("", text)
    text = _TABLE.sub(lambda match: "\n\n" + _html_table(match[0]) + "\n\n", text)
    text = _COMMENT.sub("", text)
    lines: list[str] = []
    fenced = False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        elif fenced:
            lines.append(line.rstrip())
        elif not _RULE.fullmatch(line) and not ("|" in line and _TABLE_RULE.fullmatch(line)):
            lines.append(_line(line))
    text = _MATH.sub(_math, "\n".join(lines))
    text = html.unescape(_BROKEN_WORD.sub("", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _ungrounded(match: re.Match[str]) -> str:
    reference = (match["ref"] or "").strip()
    is_kind = reference in _KINDS or (
        "_" in reference and _BLOCK_KIND.fullmatch(reference) is not None
    )
    return "" if is_kind else reference


def _line(line: str) -> str:
    rest = line[_matched(_BLOCK_MARK, line) :]
    if line.lstrip(" \t>").startswith("#"):
        rest = _HEADING_END.sub("", rest)
    rest = rest.strip()
    if rest.startswith("|") and rest.count("|") > 1:
        return _row(re.split(r"(?<!\\)\|", rest.strip("|")))
    return _inline(rest)


def _row(cells: list[str]) -> str:
    """Return the cells of a row as one line, with a pause between them and an end."""
    spoken = [text for text in (_inline(cell.strip()) for cell in cells) if text]
    line = ", ".join(spoken)
    return line if not line or line.endswith((".", "!", "?", ":", "…")) else f"{line}."


def _inline(text: str) -> str:
    codes: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        codes.append(match[2].strip())
        return f"\0{len(codes) - 1}\0"

    text = _CODE.sub(put_aside, text.replace("\0", ""))
    text = _FOOTNOTE.sub("", text)
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = _AUTOLINK.sub(r"\1", text)
    text = re.sub(r"<br\s*/?>", "\n", text, flags=re.IGNORECASE)
    text = _TAG.sub("", text)
    for mark in (_STARS, _LINES):
        for _ in range(3):  # emphasis in emphasis
            text = mark.sub(r"\2", text)
    text = _STRUCK.sub(r"\1", text)
    # A math delimiter looks like an escape; it is read later, with what it holds.
    text = _ESCAPE.sub(lambda m: m[0] if m[1] in "()[]{}" else m[1], text)
    return re.sub("\0(\\d+)\0", lambda match: codes[int(match[1])], text).rstrip()


def _math(match: re.Match[str]) -> str:
    """Return a formula in words, as far as the common ones go; two prices are no formula."""
    if match[4] is not None and not re.search(r"[\\^_{]", match[4]):
        return match[0]
    text = next(group for group in match.groups() if group is not None).strip()
    for _ in range(4):  # fractions in fractions
        text = _FRACTION.sub(r"\1 over \2", text)
        text = _ROOT.sub(r"the square root of \1", text)
    text = _STYLE.sub("", text)
    text = _POWER.sub(lambda m: _power((m[1] or m[2]).strip()), text)
    text = _INDEX.sub(lambda m: f" {(m[1] or m[2]).strip()}", text)
    text = _COMMAND.sub(lambda m: f" {_SPOKEN.get(m[1], m[1])} ", text)
    text = re.sub(r"[{}\\]", " ", text)
    return re.sub(r"\s+", " ", text).strip()


def _power(exponent: str) -> str:
    words = {"2": " squared", "3": " cubed", "°": "°", "\\circ": "°"}
    return words.get(exponent, f" to the power of {exponent}")


def _matched(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0


class _Rows(HTMLParser):
    """Collects the cells of an HTML table, row by row; what is not closed closes itself."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "tr":
            self.rows.append([])
        self._open = tag in ("td", "th", "caption") or (self._open and tag not in ("tr", "table"))
        if tag in ("td", "th", "caption"):
            if not self.rows or tag == "caption":
                self.rows.append([])
            self.rows[-1].append("")
        elif tag == "br":
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        if self._open and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data
        elif data.strip():
            self.rows.append([data])


def _html_table(text: str) -> str:
    parser = _Rows()
    parser.feed(text)
    parser.close()
    spoken = (_row([re.sub(r"\s+", " ", cell) for cell in row]) for row in parser.rows)
    return "\n".join(line for line in spoken if line)


def _run(values: Mapping[str, Any], directory: Path) -> Iterator[Emit]:
    del directory
    yield Emit("text", plain_text(values["markdown"]))


STEP = BuiltIn(
    signature(
        "plain-text",
        {"markdown": Input(type="text", required=True, help="Markdown, or text with marks")},
        text="text",
    ),
    _run,
)
