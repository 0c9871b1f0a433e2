"""What of a book is spoken: passages, chapters, pauses, notes, languages."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.book.content import Book, Element
from orchestrator.book.passages import MOST, Rules, first_texts, plan
from orchestrator.core.languages import language_of
from orchestrator.steps.plain_text import plain_text

BOOK = Book(
    "The Sea",
    "A. B.",
    "en",
    (
        Element("paragraph", "A *first* word[^1] here.", page=1),
        Element("footnote", "A note.", mark="1", page=1),
        Element("heading", "Chapter 1", 1, page=2),
        Element("paragraph", "It was.[^2] And so.", page=2),
        Element("footnote", "Another.", mark="2", page=2),
        Element("caption", "Table 1. Ships", page=2),
        Element("table", "| a | b |\n| --- | --- |\n| 1 | 2 |", page=2),
        Element("heading", "A part", 2, page=3),
        Element("paragraph", "港口的管理员。", page=3),
        Element("heading", "Chapter 2", 1, page=4),
        Element("list", "one", mark="1.", page=4),
        Element("list", "two", mark="-", page=4),
    ),
)


def spoken(**rules):
    made, texts = plan(BOOK, Rules(**rules), plain_text)
    assert len(made.passages) == len(texts)
    return made, texts


def test_chapters_begin_at_headings_of_the_first_level_that_repeats():
    made, texts = spoken()
    assert [(each.title, texts[each.first]) for each in made.chapters] == [
        ("The Sea", "A first word here."),
        ("Chapter 1", "Chapter 1"),
        ("Chapter 2", "Chapter 2"),
    ]
    assert texts[1:] == [
        "Chapter 1", "It was. And so.", "Table 1. Ships", "A part", "港口的管理员。", "Chapter 2",
        "1. one", "two",
    ]  # fmt: skip
    assert [each.chapter for each in made.passages] == [0, 1, 1, 1, 1, 1, 2, 2, 2]


def test_pauses_follow_the_structure():
    made, _ = spoken()
    pauses = [each.pause for each in made.passages]
    text_before_chapter, chapter, paragraph, _, heading = pauses[:5]
    assert text_before_chapter > chapter > heading > paragraph > pauses[7]


def test_languages_follow_the_script():
    made, _ = spoken()
    assert [each.language for each in made.passages][4:6] == ["en", "zh"]
    assert language_of("Guten Tag", "de-AT") == "de-AT"
    assert language_of("你好", "de") == "zh"
    assert language_of("John", "zh") == "en"
    assert language_of("1893", "zh") == "zh"


@pytest.mark.parametrize(
    ("notes", "texts"),
    [
        ("inline", ["A first word here.", "A note.", "Chapter 1", "It was. And so.", "Another."]),
        (
            "end",
            ["A first word here.", "A note.", "Chapter 1", "It was. And so.", "Table 1. Ships"],
        ),
        ("skip", ["A first word here.", "Chapter 1", "It was. And so."]),
    ],
)
def test_notes_are_spoken_where_they_are_wanted(notes, texts):
    assert spoken(footnotes=notes)[1][: len(texts)] == texts


def test_notes_at_the_end_close_their_chapter():
    made, texts = spoken(footnotes="end")
    assert texts[made.chapters[2].first - 1] == "Another."


def test_tables_are_read_row_by_row_or_left_out():
    assert "a, b.\n1, 2." in spoken(tables=True)[1]
    assert not any("1, 2" in text for text in spoken()[1])


def test_chapters_may_be_pages_or_listed():
    made, texts = spoken(chapters="pages")
    assert [each.title for each in made.chapters] == ["1", "2", "3", "4"]
    made, texts = spoken(chapters="1 Before\n3 After all")
    assert [(each.title, texts[each.first]) for each in made.chapters] == [
        ("Before", "A first word here."),
        ("After all", "A part"),
    ]


@pytest.mark.parametrize(
    ("chapters", "why"),
    [
        ("x", "'x' is no page and title"),
        ("\n", "it names no chapter"),
        ("2 A\n2 B", "'2 B': a chapter of this page stands above"),
    ],
)
def test_a_list_that_names_no_chapters_is_refused(chapters, why):
    with pytest.raises(ValueError, match=why):
        spoken(chapters=chapters)


def test_long_paragraphs_are_several_passages():
    book = Book(elements=(Element("paragraph", "It was a day. " * 100),))
    made, texts = plan(book, Rules(), plain_text)
    assert max(map(len, texts)) <= MOST
    assert made.passages[0].pause < made.passages[-1].pause
    assert " ".join(texts).split() == ("It was a day. " * 100).split()


def test_lines_run_on_but_for_those_that_end_on_purpose():
    book = Book(
        elements=(Element("paragraph", "he went\non\\\nand on"), Element("paragraph", "没有\n人"))
    )
    assert plan(book, Rules(), plain_text)[1] == ["he went on", "and on", "没有人"]


def test_a_mark_without_a_note_is_not_spoken():
    book = Book(elements=(Element("paragraph", "It was.³ Of 5 m² then."),))
    assert plan(book, Rules(), plain_text)[1] == ["It was. Of 5 m² then."]


ELEMENTS = st.one_of(
    st.builds(
        Element,
        st.sampled_from(["paragraph", "heading", "table"]),
        st.sampled_from(["One.", "Two.[^1]", "Three.[^2] And.[^1]", "*"]),
        st.integers(1, 2),
        page=st.integers(1, 3),
    ),
    st.builds(
        Element,
        st.just("footnote"),
        st.sampled_from(["A", "B"]),
        mark=st.sampled_from(["1", "2"]),
        page=st.integers(1, 3),
    ),
)


@given(
    st.lists(ELEMENTS, max_size=12),
    st.builds(
        Rules,
        st.sampled_from(["skip", "end", "inline"]),
        st.booleans(),
        st.sampled_from(["auto", "pages", "2 Two"]),
    ),
)
@example(
    [
        Element("paragraph", "Two.[^1]", page=1),
        Element("footnote", "A", mark="1", page=2),
        Element("paragraph", "One.", page=2),
        Element("paragraph", "Two.[^1]", page=2),
        Element("footnote", "B", mark="1", page=2),
    ],
    Rules("inline", chapters="pages"),
)
def test_the_first_texts_are_those_of_the_plan(elements, rules):
    _, texts = plan(Book(elements=tuple(elements)), rules, plain_text)
    first = [text for _, text in first_texts(elements, rules, plain_text)]
    assert first == texts[: len(first)]
    if rules.footnotes == "skip":
        assert first == texts


def test_a_note_behind_its_reference_is_among_the_first_texts():
    first = [text for _, text in first_texts(BOOK.elements, Rules("inline"), plain_text)]
    assert first == spoken(footnotes="inline")[1]
