"""A book as a Markdown file: written and parsed again without loss."""

from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.book.book_file import parsed, written
from orchestrator.book.content import Book, Element, escaped

LETTERS = st.characters(exclude_categories=["C", "Z"]) | st.just(" ")
LINE = st.text(LETTERS, min_size=1, max_size=40).map(lambda text: " ".join(text.split()))
LINE = LINE.filter(bool)
LINES = st.lists(LINE, min_size=2, max_size=4).map("\n".join)


def elements():
    words = LINE.map(escaped)
    return st.lists(
        st.builds(Element, st.just("heading"), words, st.integers(1, 6))
        | st.builds(Element, st.just("paragraph"), words)
        | st.builds(Element, st.just("paragraph"), LINES.map(escaped))
        | st.builds(Element, st.just("list"), words, mark=st.sampled_from(["-", "3.", "12)"]))
        | st.builds(Element, st.just("code"), LINE)
        | st.builds(Element, st.just("footnote"), words, mark=st.sampled_from(["1", "22"])),
        max_size=6,
    )  # fmt: skip


@given(elements())
@example([Element("paragraph", escaped("1. not an item"))])
@example([Element("paragraph", escaped("0\n>0"))])
@example([Element("paragraph", escaped("a\n- b\n[^1]: c"))])
@example([Element("paragraph", escaped("==="), page=1), Element("paragraph", "b", page=2)])
@example([Element("heading", escaped("C #"), 1)])
@example([Element("paragraph", escaped("<!-- page 3 -->"))])
@example([Element("paragraph", escaped("https://a.b/x_y_z*"))])
def test_a_book_is_the_same_when_it_is_parsed_again(found):
    book = Book('A "title": of\\it', "某某", "zh-Hans", tuple(found))
    assert parsed(written(book)) == book


def test_tables_captions_and_formulas_are_the_same_as_well():
    found = (
        Element("table", "| a | b |\n| --- | --- |\n| 1 | 2 |", page=4),
        Element("caption", "Table 1. Ships", page=4),
        Element("formula", "x^2 + y^2", page=5),
        Element("paragraph", "words[^1] more[^2]", page=5),
        Element("footnote", "word", mark="1", page=5),
        Element("footnote", "see there", mark="2", page=5),
    )
    assert parsed(written(Book(elements=found))).elements == found


def test_markdown_of_others_is_a_book():
    text = (
        "\ufeffTitle\r\n=====\r\ntext\r\ngoes on\r\n\r\n> quoted\r\n\r\n"
        "* a\r\n  * b\r\n\r\n***\r\n\r\n[^x]: note"
    )
    assert [(each.kind, each.text, each.level, each.mark) for each in parsed(text).elements] == [
        ("heading", "Title", 1, ""),
        ("paragraph", "text\ngoes on", 0, ""),
        ("paragraph", "quoted", 0, ""),
        ("list", "a", 0, "-"),
        ("list", "b", 0, "-"),
        ("footnote", "note", 0, "x"),
    ]


def test_front_matter_may_be_written_by_hand():
    book = parsed("---\ntitle: The Sea\nauthor: 'A. B.'\nyear: 1893\n---\nIt was.\n")
    assert (book.title, book.author, book.elements[0].text) == ("The Sea", "A. B.", "It was.")
