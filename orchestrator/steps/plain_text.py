"""Step `plain-text`: Markdown, and the marks of models that read pages, to what is read aloud.

Words stay in order and none is lost that a person would read; what only guides the eye goes. A
table becomes one line for each row. markdown-it reads the Markdown (CommonMark, with tables and
strikethrough); read here are formulas in LaTeX, tables in HTML, and the marks of DeepSeek-OCR
(`<|ref|>title<|/ref|><|det|>[[…]]<|/det|>`), which name the kind of a block or the phrase that was
asked for: kinds go and phrases stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.core.manifest import Input
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.steps.step import BuiltIn, Emit, Emits, signature

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

MAX_NESTING = 100
"""How deep quotes and lists may nest; what is deeper is left out."""

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
_TABLE = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_HTML_ROW = re.compile(r"</?(?:tr|caption)\b[^<>]*>", re.IGNORECASE)
_CELL = re.compile(r"<t[dh]\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]:?[ \t]?")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_BULLET = re.compile(r"(?:•|\[[ xX]\])[ \t]+")
"""What stands before an item and is no mark of Markdown's, or one of a list of tasks."""
_RULE = re.compile(r"={3,}|\|?(?:\s*:?-+:?\s*\|)+\s*:?-*:?\s*")
_STARS = re.compile(r"\*\*(?=\S)([^*]*?[^*\s])\*\*")
"""Emphasis that CommonMark does not see, because no space parts it from Chinese punctuation."""
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zà-öø-ÿ])")

_DISPLAY = r"\$\$([^$]+)\$\$|\\\[([^\[\]]+)\\\]"
_MATH = re.compile(
    rf"{_DISPLAY}|\\\(([^()]+(?:\([^()]*\)[^()]*)*)\\\)|\$([^\s$](?:[^$\n]*[^\s$])?)\$"
)
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
    text = markdown.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    text = _GROUNDING.sub(_ungrounded, text)
    text = _TOKEN.sub("", text)
    text = _TABLE.sub(lambda match: "\n\n" + _html_table(match[0]) + "\n\n", text)
    text = _FOOTNOTE.sub("", _COMMENT.sub("", text))
    # A formula is one piece of text, whatever its lines begin with.
    text = re.sub(_DISPLAY, lambda match: " ".join(match[0].split()), text)
    lines = text.split("\n")
    spoken, end = "", 0
    for first, last, block in _blocks(_parser().parse(text)):
        if block:
            apart = any(not line.strip(" \t>") for line in lines[end:first])
            spoken += ("\n\n" if apart else "\n") + block
            end = last
    return _BROKEN_WORD.sub("", spoken).strip()


def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # One for each text: it is made in 0.2 ms, and not for several threads at once.
    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable(["code", "html_block"])
    parser.inline.ruler.before("escape", "math", _math)
    return parser


def _blocks(tokens: Iterable[Token]) -> Iterator[tuple[int, int, str]]:
    """Yield what is read of each block: its first line, the line after its last, and its text."""
    first, last, number = 0, 0, ""
    cells: list[str] | None = None
    for token in tokens:
        if token.map:
            first, last = token.map
        text = _leaf(token)
        if token.type == "list_item_open":
            number += f"{token.info}{token.markup} " if token.info else ""
        elif token.type == "list_item_close" and number:  # an item with nothing in it
            text, last = "", first + 1
        elif token.type == "tr_open":
            cells = []
        elif token.type == "tr_close":
            text, cells = _row(cells or ()), None
        elif text is not None and cells is not None:
            cells.append(text)
            continue
        if text is not None:
            yield first, last, (number + text).rstrip()
            number = ""


def _leaf(token: Token) -> str | None:
    """Return what is read of a paragraph, a cell or a block of code; None for what holds those."""
    if token.type == "fence":
        return "\n".join(map(str.rstrip, token.content.rstrip().split("\n")))
    if token.type == "inline":
        return "\n".join(_lines(_inline(token.children or ())))
    return None


def _inline(tokens: Iterable[Token]) -> str:
    text = ""
    for token in tokens:
        if token.type.endswith("break"):
            text += "\n"
        elif token.type == "html_inline":
            text += "\n" if _BREAK.fullmatch(token.content) else ""
        elif token.type == "image":
            text += _inline(token.children or ())
        elif token.type == "code_inline":
            text += token.content.strip()
        elif token.type == "text":
            text += _STARS.sub(r"\1", token.content)
    return text


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a paragraph; a row of a table is read as one, by bars or by tabs."""
    for line in text.split("\n"):
        if "\t" in line:
            yield _row(line.split("\t"))
        elif line.startswith("|") and line.count("|") > 1 and not _RULE.fullmatch(line):
            yield _row(line.strip("|").split("|"))
        elif not _RULE.fullmatch(line):
            yield _BULLET.sub("", line, count=1) if _BULLET.match(line) else line


def _row(cells: Iterable[str]) -> str:
    """Return the cells of a row as one line, with a pause between them and an end."""
    line = ", ".join(text for cell in cells if (text := " ".join(cell.split())))
    return line if not line or line.endswith((".", "!", "?", ":", "…")) else f"{line}."


def _ungrounded(match: re.Match[str]) -> str:
    reference = (match["ref"] or "").strip()
    is_kind = reference in _KINDS or (
        "_" in reference and _BLOCK_KIND.fullmatch(reference) is not None
    )
    return "" if is_kind else reference


def _math(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 # as markdown-it calls it
    """Read a formula in words, as far as the common ones go; two prices are no formula."""
    match = _MATH.match(state.src, state.pos)
    if match is None or (match[4] is not None and not re.search(r"[\\^_{]", match[4])):
        return False
    if not silent:
        state.push("text", "", 0).content = _spoken(next(filter(None, match.groups())))
    state.pos = match.end()
    return True


def _spoken(formula: str) -> str:
    text = formula.strip()
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


def _html_table(text: str) -> str:
    """Return the rows of a table in HTML as lines, as far as they go where it was cut off."""
    rows = (_CELL.split(row) for row in _HTML_ROW.split(text))
    spoken = (_row(_TAG.sub(" ", cell) for cell in cells) for cells in rows)
    return "\n".join(line for line in spoken if line)


def _run(values: Mapping[str, Any], directory: Path, _: Cancellation) -> Emits:
    del directory
    yield Emit("text", plain_text(values["markdown"]))


STEP = BuiltIn(
    signature(
        "plain-text",
        {"markdown": Input(type="text", required=True, help="Markdown, or text with marks")},
        text="text",
    ),
    _run,
    packages=("markdown-it-py",),
)
