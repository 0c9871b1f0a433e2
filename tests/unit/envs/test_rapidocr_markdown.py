"""A page is gathered into blocks, and written as Markdown."""

import pytest
from markdown_it import MarkdownIt

from tests.unit.envs.runners import load_runner
from tests.unit.envs.test_rapidocr_tables import arranged, goods, line

markdown = load_runner("rapidocr").markdown

PROSE = "and on the next line it goes on until the"
"""41 letters: as wide as 410 pixels."""


def prose(y, *texts, x=0, step=28, **more):
    """Return lines below each other."""
    return [line(x, y + step * i, text, **more) for i, text in enumerate(texts)]


def written(lines, **options):
    return arranged(lines, **options)["markdown"]


def roles(lines):
    """Return the role of each block."""
    found = {box["block"]: box["role"] for box in arranged(lines)["boxes"]}
    assert list(found) == list(range(len(found)))
    return list(found.values())


def test_lines_of_a_paragraph_are_joined_by_their_script():
    assert written(prose(0, PROSE, "end of it.")) == f"{PROSE} end of it."
    chinese = prose(0, "港口的管理员把每一次潮水都记", "在一本旧账簿里。", width=280)
    chinese[1]["polygon"] = line(0, 28, "", width=160)["polygon"]
    assert written(chinese) == "港口的管理员把每一次潮水都记在一本旧账簿里。"


def test_a_word_broken_at_the_end_of_a_line_is_left_to_later_stages():
    assert written(prose(0, "and on the next line it goes on un-", "til the end.")) == (
        "and on the next line it goes on un-\ntil the end."
    )


@pytest.mark.parametrize(
    "second",
    [
        prose(70, PROSE, "end."),  # white above
        prose(56, "  Indented", PROSE, "end.", x=0),
        prose(56, PROSE, "end."),  # the line above is short and ends a sentence
    ],
)
def test_a_paragraph_begins_after_white_an_indent_or_a_short_last_line(second):
    if second[0]["text"].startswith(" "):
        second[0] = line(24, 56, PROSE[:38])
    text = written([*prose(0, PROSE, "and the end."), *second])
    assert len(text.split("\n\n")) == 2


def test_lines_that_end_on_purpose_stay_lines():
    address = prose(0, "Ada Byron", "4 Quay Road", "Ashford")
    assert written(address) == "Ada Byron\\\n4 Quay Road\\\nAshford"
    verse = prose(0, "床前明月光", "疑是地上霜", "举头望明月", width=100)
    assert written(verse) == "床前明月光\\\n疑是地上霜\\\n举头望明月"


def test_a_paragraph_runs_on_in_the_next_column():
    left = prose(0, *[PROSE] * 5)
    right = prose(0, *[PROSE] * 4, "end.", x=500)
    assert "\n\n" not in written([*left, *right])


def test_headings_are_known_by_their_size_and_their_bold_strokes():
    lines = [line(0, 0, "The harbour", height=44), line(0, 60, "A ledger", height=33)]
    lines += [line(0, 110, "Three bells", height=20, stroke=3.5)]
    lines += prose(138, PROSE, PROSE, "end.", stroke=2.0)
    for heading, stroke in zip(lines, (4.4, 3.3), strict=False):
        heading["stroke"] = stroke
    assert written(lines) == (
        f"# The harbour\n\n## A ledger\n\n### Three bells\n\n{PROSE} {PROSE} end."
    )
    assert roles(lines) == ["heading"] * 3 + ["paragraph"]


@pytest.mark.parametrize("title", ["Chapter 3", "CHAPTER IV. The pier", "第十二章 港口"])
def test_a_chapter_is_a_heading_in_letters_of_any_size(title):
    assert roles([*prose(0, title), *prose(60, PROSE, "end.")])[0] == "heading"


def test_a_large_sentence_and_a_number_are_no_headings():
    large = [line(0, 0, "It is late.", height=30), line(0, 60, "12.50", height=30)]
    assert roles([*large, *prose(130, PROSE, PROSE, "end.")])[:2] == ["paragraph"] * 2


def test_lists_keep_their_items_and_numbers():
    points = prose(
        0, "• Pack the tools and the oil and all that", "and the lamp", "• Sign the form"
    )
    points[1] = line(20, 28, "and the lamp")
    numbers = prose(120, "1. Rope", "2. Tar")
    assert written([*points, *numbers]) == (
        "- Pack the tools and the oil and all that and the lamp\n- Sign the form\n1. Rope\n2. Tar"
    )
    assert set(roles([*points, *numbers])) == {"list"}


def test_a_lone_number_begins_no_list():
    assert roles(prose(0, "A. Byron has written this and lives in the", "house on the pier.")) == [
        "paragraph"
    ]


def test_captions_and_page_numbers_have_roles_of_their_own():
    lines = [*prose(0, PROSE, PROSE, "end."), line(0, 200, "Figure 2. The pier, seen from above")]
    lines += [*prose(300, PROSE, PROSE, "end."), line(200, 420, "- 12 -")]
    assert roles(lines) == ["paragraph", "caption", "paragraph", "page-number"]


def test_a_caption_stays_in_its_column_below_a_picture():
    left = [*prose(0, *[PROSE] * 5), line(0, 300, "Figure 2. The pier, drawn")]
    right = prose(0, *[PROSE] * 7, x=500)
    texts = [box["text"] for box in arranged([*left, *right])["boxes"]]
    assert texts.index("Figure 2. The pier, drawn") == 5


def test_a_table_has_a_head_only_where_the_page_has_one():
    rows = [("Article", "Number", "Sum|net"), ("Rope", "40", "1.85"), ("Tar", "5", "22.00")]
    assert written(goods(rows)).split("\n") == [
        "| Article | Number | Sum\\|net |", "| --- | --- | --- |",
        "| Rope | 40 | 1.85 |", "| Tar | 5 | 22.00 |",
    ]  # fmt: skip
    assert written(goods(rows[1:])).split("\n")[:2] == ["|  |  |  |", "| --- | --- | --- |"]


@pytest.mark.parametrize(
    "text",
    [
        "# no heading", "> no quote", "- no item", "1. no item", "1984", "+ no item",
        "a *b* `c` _d_ snake_case", "a < b <c> &amp; R&D", "[a](b) [1]: c", "~~gone~~ a~b",
        "C:\\dir\\", "===", "3 - 2 = 1", "a | b",
    ],
)  # fmt: skip
def test_what_is_written_reads_as_what_was_printed(text):
    tokens = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .parse(markdown.prose([text], [False]))
    )
    assert [t.type for t in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert all(t.type in ("text", "text_special") for t in tokens[1].children)
    assert "".join(t.content for t in tokens[1].children) == text


def test_nothing_is_nothing():
    assert written([]) == ""
