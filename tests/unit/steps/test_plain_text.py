"""Markdown and models' marks become what a person reads aloud; nothing that is read is lost."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.steps.plain_text import plain_text

REF, DET = "<|ref|>{}<|/ref|>", "<|det|>[[12, 34, 567, 890]]<|/det|>"


@pytest.mark.parametrize(
    ("markdown", "spoken"),
    [
        ("# A *big* heading #", "A big heading"),
        ("**bold**, _slanted_, ***both*** and ~~no~~ text", "bold, slanted, both and no text"),
        ("snake_case_name and 2 * 3 * 4 = 24", "snake_case_name and 2 * 3 * 4 = 24"),
        ("See [the page](https://example.org/a_(b) \"Title\") or <https://example.org>",
         "See the page or https://example.org"),
        ("![A gull](gull.png)", "A gull"),
        ("![](gull.png)\n\nText", "Text"),
        ("> quoted\n> more", "quoted\nmore"),
        ("- one\n* two\n+ three\n- [x] four\n1. five", "one\ntwo\nthree\nfour\n1. five"),
        ("above\n\n---\n\nbelow\n***", "above\n\nbelow"),
        ("```python\nx = a_b * 2\n```", "x = a_b * 2"),
        ("the `code_*` here", "the code_* here"),
        ("a note[^1]\n\n[^1]: below", "a note\n\nbelow"),
        ("AT&amp;T &lt;3 \\*not bold\\*", "AT&T <3 *not bold*"),
        ("exam-\nple and well-known", "example and well-known"),
        ("line one<br>line two<!-- hidden -->", "line one\nline two"),
        ("$x^2$ and $\\frac{a}{b}$ and \\(y_1 \\le 3\\)",
         "x squared and a over b and y 1 ≤ 3"),
        ("It costs $5, or $6 each", "It costs $5, or $6 each"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("这是**重点。**然后", "这是重点。然后"),
        ("1. a\n   - b\n\n   c\n10. d\n11.\n\ne", "1. a\nb\n\nc\n10. d\n11.\n\ne"),
        ("    not *code*", "not code"),
        ("`$x_1$` costs $5,$6", "$x_1$ costs $5,$6"),
        ("$$\na\n- b\n= c_1\n$$", "a - b = c 1"),
        ("<div>\n\n*a*\n</div>", "a"),
        ("• one\n• two", "one\ntwo"),
        ("", ""),
    ],
)  # fmt: skip
def test_markdown(markdown, spoken):
    assert plain_text(markdown) == spoken


def test_a_table_is_read_row_by_row():
    table = "| Time | Height |\n|:----|----:|\n| 06:12 | **4.1 m** |\n| noon | low tide. |"
    assert plain_text(table) == "Time, Height.\n06:12, 4.1 m.\nnoon, low tide."


@pytest.mark.parametrize("table", ["|a|b|\n|1|2|", "| a | b |\n|---|\n| 1 | 2 |"])
def test_a_table_without_a_head_that_fits_is_read_row_by_row(table):
    assert plain_text(table) == "a, b.\n1, 2."


def test_cells_apart_by_tabs_are_read_as_a_row():
    text = "Tides\n\tTime\tHeight\nhigh\t06:12\t4.1 m\nlow\t\t0.3 m\nThat is all."
    assert plain_text(text) == (
        "Tides\nTime, Height.\nhigh, 06:12, 4.1 m.\nlow, 0.3 m.\nThat is all."
    )


def test_a_table_in_html_is_read_row_by_row():
    table = (
        "before<table><caption>Tides</caption><tr><th>Time</th><th>Height</th></tr>"
        "<tr><td>06:12</td><td>4 &amp; 5<br>m</td></tr></table>after"
    )
    assert plain_text(table) == "before\n\nTides.\nTime, Height.\n06:12, 4 & 5 m.\n\nafter"


def test_signs_in_a_table_in_html_are_no_tags():
    table = "<table><tr><td>p < 0.05 and n > 3<td>&lt;b&gt; **x**</tr>so</table>"
    assert plain_text(table) == "p < 0.05 and n > 3, <b> x.\nso."


def test_a_table_that_was_cut_off_is_read_as_far_as_it_goes():
    assert plain_text("<table><tr><td>one</td><td>two") == "one, two."


def test_the_marks_of_deepseek_ocr_go_and_the_phrases_stay():
    page = (
        f"{REF.format('title')}{DET}\n# Tides\n\n{REF.format('text')}{DET}\nThe sea rises.\n\n"
        f"{REF.format('image_caption')}{DET}\n<center>A gull</center>\n"
        f"The {REF.format('lighthouse keeper')}{DET} waves.<｜end▁of▁sentence｜>"  # noqa: RUF001
    )
    assert plain_text(page) == "Tides\n\nThe sea rises.\n\nA gull\nThe lighthouse keeper waves."


@given(st.lists(st.sampled_from(["Tide", "sea", "a", "4.1", "m,", "!", "ü", "海"]), min_size=1))
def test_plain_words_stay_as_they_are(words):
    text = " ".join(words)
    assert plain_text(text) == text


PIECES = st.sampled_from(
    ["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "[[1,2]]", "title", "word", "<table>", "<tr>",
     "<td>", "</table>", "**", "_", "`", "```", "\n", "|", "|---|", "$", "\\(", "\\)", "[", "](",
     ")", "![", "#", "> ", "- ", "&amp;", "<", ">", "\\", "\0", " "]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("".join) | st.text())
@example("<table>" * 50)
def test_anything_is_read_without_an_error_and_without_whole_marks(text):
    spoken = plain_text(text)
    assert not re.search(r"<\|ref\|>[^<]*<\|/ref\|>", spoken)
    assert spoken == spoken.strip()


@pytest.mark.parametrize(
    "piece",
    ["<|ref|>a", "<|det|>[[", "**a", "`", "$a_", "[a](", "<!--", "| - ", "<table><td>", "\\("],
)
def test_a_model_that_repeats_itself_does_no_harm(piece):
    # Quadratic work on this much text would take minutes, and pytest would seem to hang.
    assert plain_text(piece * 20_000) is not None
