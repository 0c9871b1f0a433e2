"""Books in PDF files: the text that they hold is taken page by page, where it is sound."""

import contextlib

import pytest
from PIL import Image

from orchestrator.book.pages import Readings
from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.steps import Emit, builtin
from tests.books.layouts import BOOKS
from tests.books.score import error, headings, spoken
from tests.books.typeset import Run, Sheet, pdf, typeset
from tests.books.whole import book_of
from tests.pdf_files import locked, many_pages
from tests.unit.steps.test_book import emitted


@pytest.mark.parametrize("name", ["columns", "english", "gaps", "pocket"])
def test_the_text_that_a_pdf_holds_is_a_book(tmp_path, name):
    truth, layout = BOOKS[name]
    pdf(tmp_path / "a.pdf", typeset(truth, layout), layout)
    made = emitted("book-pages", tmp_path / "work", files=[tmp_path / "a.pdf"])
    assert "images" not in made
    book = book_of(made["document"], Readings())
    assert headings(book) == headings(truth)
    # Tables are no more than lines in a PDF.
    heard, right = (spoken(one, footnotes="inline", tables=True) for one in (book, truth))
    assert error(heard, right) <= 0.01
    with Image.open(made["cover"][0]) as cover:
        assert cover.size[0] > 500


def test_a_page_without_sound_text_is_drawn(tmp_path):
    _, layout = BOOKS["english"]
    words = "The harbour master keeps a ledger of every tide since the spring of his first year."
    broken = "\u2022xq7 zzkw\u2022 bcdf7 qqpl\u2022 " * 10
    sheets = [Sheet(n, [Run(text, 100, 200, 26)]) for n, text in enumerate((words, broken), 1)]
    pdf(tmp_path / "a.pdf", sheets, layout)
    made = emitted("book-pages", tmp_path / "work", files=[tmp_path / "a.pdf"])
    assert [part["from"] for part in made["document"]] == ["name", "layer", "image"]
    assert len(made["images"]) == 1
    assert "the text of page 2 has" in made[""][0]
    made = emitted(
        "book-pages", tmp_path / "all", files=[tmp_path / "a.pdf"], text_layer="ignore", pages="1"
    )
    assert (len(made["images"]), "" in made) == (1, False)


def test_the_last_of_two_thousand_pages_are_found(tmp_path):
    _, layout = BOOKS["english"]
    sheets = [Sheet(n, [Run(f"Words of page {n}.", 100, 200, 26)]) for n in range(1, 2001)]
    pdf(tmp_path / "a.pdf", sheets, layout)
    made = emitted("book-pages", tmp_path / "work", files=[tmp_path / "a.pdf"], pages="1,1999-")
    assert [part["page"] for part in made["document"][1:]] == [1, 1999, 2000]


def test_a_locked_pdf_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="is locked with a password") as caught:
        emitted("book-pages", tmp_path / "work", files=[locked(tmp_path / "a.pdf")])
    assert caught.value.fix == "save a copy without a password"


def test_a_broken_page_is_named_with_what_to_do(tmp_path):
    with pytest.raises(UsageError) as caught:
        emitted("book-pages", tmp_path / "work", files=[many_pages(tmp_path / "a.pdf", 3)])
    assert str(caught.value).startswith(f"{tmp_path}/a.pdf#page=2: ")
    assert caught.value.fix == "leave the page out: --pages 1,3-"


def test_a_page_whose_picture_is_damaged_is_said_to_be_blank(tmp_path):
    first, *others = [Image.linear_gradient("L").resize((400, 400)) for _ in range(3)]
    first.save(tmp_path / "a.pdf", save_all=True, append_images=others)
    data = (tmp_path / "a.pdf").read_bytes()
    start = data.index(b"\xff\xd8", data.index(b"\xff\xd8") + 2)  # of the second picture
    (tmp_path / "a.pdf").write_bytes(data[:start] + bytes(600) + data[start + 600 :])
    (tmp_path / "work").mkdir()
    with contextlib.closing(Cancellation()) as cancellation:
        values = {"files": [tmp_path / "a.pdf"]}
        said = []
        for each in builtin("book-pages").run(values, tmp_path / "work", cancellation):
            if isinstance(each, Emit) and each.output == "images":
                each.value.unlink()  # as a run takes what it is given
            elif isinstance(each, Emit) and not each.output:
                said.append(each.value)
    assert said == [f"{tmp_path}/a.pdf: blank, or with a damaged picture: page 2"]
