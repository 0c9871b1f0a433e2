"""Verse keeps its lines; prose, dialogue and lists do not become verse."""
# ruff: noqa: RUF001 - Chinese marks are full width

import pytest

from orchestrator.book.boxes import page_of_boxes
from orchestrator.book.layout import Block, Line, Page
from tests.books.whole import elements_of

PROSE = (
    "The verses gathered here were made over a period of some",
    "twenty years, most of them on the night ferry, and not a",
    "few on the backs of tickets which no one came to collect.",
)
STANZA = ("He comes along the harbour wall,", "A ladder in his hand, and light",
          "That shivers, for the flame is small,", "Before the coming of the night.")  # fmt: skip
CI = ("昨夜江头风急，", "舟上有人吹笛。", "问我几时归，", "笑指柳边新绿。")
WU = ("江水连天绿，", "孤帆带雨归。", "渔人歌一曲，", "惊起白鸥飞。")


def block(texts, row, left=100, *, role="paragraph", step=36):
    """Return a block, its lines at a row of their own; spaces before a text are an indent."""
    lines = []
    for k, text in enumerate(texts):
        words = text.strip()
        wide = sum(26 if letter > "\u2e80" else 12 for letter in words)
        x = left + 12.0 * (len(text) - len(words))
        lines.append(
            Line(words, x, row * 36.0 + k * step, x + wide, row * 36.0 + k * step + 28, 24)
        )
    return Block(role, tuple(lines))


def texts(*pages):
    return [each.text for each in elements_of([Page(k, each) for k, each in enumerate(pages, 1)])]


@pytest.mark.parametrize("verse", [STANZA, CI, WU], ids=["english", "ci", "five"])
def test_a_stanza_is_a_paragraph_of_lines(verse):
    assert texts((block(verse, 0, 200),)) == ["\\\n".join(verse)]


def test_stanzas_are_parted_and_prose_around_them_runs_on():
    page = (block(PROSE, 0), block(STANZA, 4, 200), block(STANZA[::-1], 9, 200), block(PROSE, 14))
    assert texts(page) == [
        " ".join(PROSE), "\\\n".join(STANZA), "\\\n".join(STANZA[::-1]), " ".join(PROSE)
    ]  # fmt: skip


def test_a_stanza_goes_on_on_the_next_page():
    first, rest = (block(PROSE, 0), block(STANZA[:2], 20, 200)), (block(STANZA[2:], 0, 200),)
    assert texts(first, rest)[1:] == ["\\\n".join(STANZA)]


def test_a_line_that_was_too_long_goes_on_below():
    lines = (*STANZA[:2], "That shivers, for the flame is very", "          small,", STANZA[3])
    assert "\\\nThat shivers, for the flame is very small,\\\n" in texts((block(lines, 0, 200),))[0]


def test_the_names_of_a_play_belong_to_its_lines():
    page = (block(["ANNE"], 0, 200, role="heading"), block(STANZA, 1, 200))
    assert texts(page) == ["\\\n".join(("ANNE", *STANZA))]
    apart = (block(["ANNE"], 0, 200, role="heading"), block(STANZA, 3, 200))
    assert texts(apart) == ["ANNE", "\\\n".join(STANZA)]


@pytest.mark.parametrize(
    "blocks",
    [
        [PROSE],
        [["“Well.”"], ["“You told me half past six.”"], ["“I did not.”"], ["“And he?”"]],
        [["He did."], ["She did not."], ["They all did."], ["Then it was over."]],
        [["(1) The keeper"], ["(2) The owner"], ["(3) The pilot"], ["(4) The clerk"]],
        [["人的欲望没有止境，而时间和资金总是", "有限的。经济学家把这种情形称为稀", "缺。"]],
    ],
    ids=["prose", "dialogue", "sentences", "items", "chinese"],
)
def test_what_is_no_verse_has_no_lines(blocks):
    page = tuple(block(lines, 2 * row) for row, lines in enumerate(blocks))
    assert not any("\\\n" in text for text in texts(page))


def box(text, top, left, right, high, block, role="paragraph"):
    polygon = [[left, top], [right, top], [right, top + high], [left, top + high]]
    return {"text": text, "polygon": polygon, "block": block, "role": role}


def test_a_letter_as_high_as_two_lines_begins_the_first():
    boxes = [
        box("o one kept late hours, and so it was", 0, 170, 700, 32, 0),
        box("N", 0, 117, 165, 70, 1, "heading"),
        box("through an empty street that they", 36, 170, 690, 32, 1, "heading"),
        box("were led.", 72, 117, 250, 32, 2),
    ]
    blocks = page_of_boxes(1, boxes, "").blocks
    assert elements_of([Page(1, blocks)])[0].text == (
        "No one kept late hours, and so it was through an empty street that they were led."
    )
