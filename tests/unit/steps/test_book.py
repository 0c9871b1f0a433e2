"""The steps `book-pages` and `book-text`: what files become, and what is refused."""

import contextlib

import pytest
from PIL import Image

from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.steps import Emit, builtin
from tests.unit.book.test_files import ENCRYPTED, LOCK, make_epub


def every(name, directory, **values):
    directory.mkdir(exist_ok=True)
    with contextlib.closing(Cancellation()) as cancellation:
        made = list(builtin(name).run(values, directory, cancellation))
    return [each for each in made if isinstance(each, Emit)]


def emitted(name, directory, **values):
    made = every(name, directory, **values)
    return {name: [each.value for each in made if each.output == name] for name, *_ in made}


NAME = {"from": "name", "text": "x"}


def pages_of(tmp_path, *files, **values):
    return emitted("book-pages", tmp_path / "work", files=files, **values)


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in (1, 2, 3)]
    for path in paths:
        Image.new("L", (8, 8)).save(path)
    return paths


def test_images_pass_as_they_are_and_the_first_is_the_cover(tmp_path, images):
    made = pages_of(tmp_path, *images, pages="2-")
    assert (made["images"], made["cover"]) == (images[1:], [images[1]])
    assert [part["page"] for part in made["document"][1:]] == [2, 3]
    made = pages_of(tmp_path, *images, cover=images[2])
    assert made["cover"] == [images[2]]


def test_an_epub_brings_its_text_and_cover(tmp_path):
    made = pages_of(tmp_path, make_epub(tmp_path / "a.epub"))
    assert made["cover"][0].read_bytes() == b"\x89PNG"
    text = emitted("book-text", tmp_path / "more", document=made["document"])
    assert text["passages"][:2] == ["Chapter 1 The Sea", "It was a day… and more."]
    assert text["plan"][0]["author"] == "A. B."


def test_the_encoding_of_a_text_is_said(tmp_path):
    (tmp_path / "a.txt").write_bytes("没有人来过。".encode("gb18030"))
    made = pages_of(tmp_path, tmp_path / "a.txt")
    assert made[""] == [f"{tmp_path}/a.txt: read as gb18030"]


def test_a_listed_chapter_without_a_page_is_said(tmp_path):
    document = [NAME, *({"from": "image", "page": page} for page in (1, 2))]
    texts = {"texts": ["First page.", "Second page."], "document": document}
    made = emitted("book-text", tmp_path / "work", **texts, chapters="1 A\n3 C *d*\n4 E")
    assert made[""] == ["chapters left out, as no page is theirs: 3 C *d*, 4 E"]
    made = emitted("book-text", tmp_path / "more", **texts, chapters="1 A *b*\n2 B")
    assert "" not in made


def test_a_book_that_is_corrected_is_taken_as_it_is(tmp_path):
    (tmp_path / "b.md").write_text("---\ntitle: T\n---\n# A\n\nText.\n")
    made = pages_of(tmp_path, tmp_path / "b.md")
    text = emitted("book-text", tmp_path / "more", document=made["document"], author="B")
    assert text["markdown"] == ['---\ntitle: "T"\nauthor: "B"\n---\n\n# A\n\nText.\n']
    again = emitted(
        "book-text",
        tmp_path / "again",
        document=[NAME, {"from": "markdown", "text": text["markdown"][0]}],
    )
    assert again == text


@pytest.mark.parametrize(
    ("says", "given", "expected"),
    [
        ("", {}, ["", ""]),  # the letters decide
        ("en_GB", {}, ["en-GB", ""]),
        ("German!", {}, ["", ""]),
        ("en", {"language": "ger"}, ["de", ""]),
        ("en", {"language": "zh"}, ["", "zh"]),
    ],
)
def test_a_passage_has_the_language_of_the_book_where_it_is_written_in_its_letters(
    tmp_path, says, given, expected
):
    text = f"---\nlanguage: {says}\n---\nOf the sea.\n\n海上的早晨。\n"
    document = [{"from": "name", "text": "x"}, {"from": "markdown", "text": text}]
    made = every("book-text", tmp_path / "work", document=document, **given)
    assert [each.language for each in made if each.output == "passages"] == expected


@pytest.mark.parametrize(
    ("name", "data", "values", "sentence"),
    [
        ("a.txt", b"a\0b", {}, "holds zero bytes"),
        ("a.epub", b"x", {}, "is no EPUB"),
        ("a.txt", b"text", {"pages": "4-2"}, "no range of pages"),
        ("a.png", b"x", {"pages": "7"}, "none of the pages is there"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(tmp_path, name, data, values, sentence):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=sentence):
        pages_of(tmp_path, tmp_path / name, **values)


def test_a_locked_epub_is_refused_with_what_to_do(tmp_path):
    lock = ENCRYPTED.format(LOCK)
    path = make_epub(tmp_path / "a.epub", **{"META-INF/encryption.xml": lock})
    with pytest.raises(UsageError, match="DRM") as caught:
        pages_of(tmp_path, path)
    assert caught.value.fix == "take a copy without a lock"


def test_a_book_without_text_is_refused(tmp_path):
    document = [NAME, {"from": "image", "page": 1}]
    with pytest.raises(UsageError, match="no text was found"):
        emitted("book-text", tmp_path / "work", document=document, texts=[""], boxes=[[]])


def test_chapters_that_are_none_are_refused(tmp_path):
    document = [NAME, {"from": "text", "text": "Words."}]
    with pytest.raises(UsageError, match="no page and title"):
        emitted("book-text", tmp_path / "work", document=document, chapters="one two")
