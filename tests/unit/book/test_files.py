"""Files of text, EPUB, selections of pages, and which text layers are sound."""
# ruff: noqa: RUF001 - Chinese marks are full width

import re
import zipfile

import pytest

from orchestrator.book import epub_reader, text_layer
from orchestrator.book.page_ranges import selected, selection
from orchestrator.book.text_files import book_of_text, decoded

CHINESE = "第一章 大海\n\n　　他在港口的时候，没有人来过。\n　　这是一个很长的故事，我们慢慢说。\n"


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5hkscs", "utf-16"])
def test_the_encoding_of_a_text_is_found(encoding):
    text = CHINESE
    if encoding == "big5hkscs":
        text = text.translate(str.maketrans("这个时没来过长们说", "這個時沒來過長們說"))
    text = (
        text.translate(str.maketrans("时没来过长们说", "時沒來過長們說"))
        if encoding == "big5hkscs"
        else text
    )
    assert decoded(text.encode(encoding)) == (text, encoding)


@pytest.mark.parametrize("data", [b"a\0b", b"\x81\x20\xff\xff"])
def test_what_is_no_text_is_refused(data):
    with pytest.raises(ValueError, match=r"no text|no encoding"):
        decoded(data)


def test_plain_text_has_paragraphs_and_headings():
    book = book_of_text(CHINESE)
    assert [(each.kind, each.text) for each in book.elements] == [
        ("heading", "第一章 大海"),
        ("paragraph", "他在港口的时候，没有人来过。\n这是一个很长的故事，我们慢慢说。"),
    ]
    book = book_of_text("Chapter 1. The Sea\nIt was * a day\nand ended.\n\nNext.\n")
    assert [(each.kind, each.text) for each in book.elements] == [
        ("heading", "Chapter 1. The Sea"),
        ("paragraph", "It was \\* a day\nand ended."),
        ("paragraph", "Next."),
    ]


def test_plain_text_keeps_the_lines_of_verse():
    verse = "He comes along,\nA light in hand,\nThat is not strong,\nTo see the land."
    prose = "He came along the wall, and\nhad a light. When he saw\nthe land, he said\nno word."
    poem = "江水连天绿，\n孤帆带雨归。\n渔人歌一曲，\n惊起白鸥飞。"
    book = book_of_text("\n\n".join((verse, prose, poem)))
    assert [each.text for each in book.elements] == [
        verse.replace("\n", "\\\n"), prose, poem.replace("\n", "\\\n")
    ]  # fmt: skip


CONTAINER = """<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"""
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>The Sea</dc:title><dc:creator>A. B.</dc:creator>
<dc:language>en</dc:language></metadata>
<manifest><item id="c" href="cover.png" media-type="image/png" properties="cover-image"/>
<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="a" href="a%20b.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="n"/><itemref idref="a"/></spine></package>"""
XHTML = """<?xml version="1.0"?><html xmlns:epub="http://www.idpf.org/2007/ops"><head><title>x</title>
<style>p {}</style></head><body><h1>Chapter&nbsp;1<br/>The Sea</h1>
<p>It was <em>a</em> day&#8230;<a epub:type="noteref" href="#n1">1</a> and
 <span>more</span>.</p><ol><li>one</li><li><p>two</p></li></ol>
<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
<pre>if x:
  y</pre><aside epub:type="footnote" id="n1"><p>A note.</p></aside></body></html>"""


def make_epub(path, **files):
    members = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": PACKAGE,
        "OEBPS/a b.xhtml": XHTML,
        "OEBPS/nav.xhtml": "<html><body><p>not read</p></body></html>",
        "OEBPS/cover.png": b"\x89PNG",
        **files,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_an_epub_is_a_book(tmp_path):
    book, cover, suffix = epub_reader.read_epub(make_epub(tmp_path / "a.epub"))
    assert (book.title, book.author, book.language, cover, suffix) == (
        "The Sea", "A. B.", "en", b"\x89PNG", ".png",
    )  # fmt: skip
    assert [(each.kind, each.text, each.mark) for each in book.elements] == [
        ("heading", "Chapter 1 The Sea", ""),
        ("paragraph", "It was a day…[^1] and more.", ""),
        ("list", "one", "1."),
        ("list", "two", "2."),
        ("table", "| a | b |\n| --- | --- |\n| 1 | 2 |", ""),
        ("code", "if x:\n  y", ""),
        ("footnote", "A note.", "1"),
    ]


ENCRYPTED = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
 xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData><e:EncryptionMethod Algorithm="{}"/>
<e:CipherData><e:CipherReference URI="OEBPS/a%20b.xhtml"/></e:CipherData>
</e:EncryptedData></encryption>"""
LOCK = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
BOMB = '<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><package>&b;</package>'
OUTSIDE = '<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]><package>&a;</package>'


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"META-INF/encryption.xml": ENCRYPTED.format(LOCK)}, r"locked \(DRM\)"),
        ({"OEBPS/book.opf": BOMB}, "entities of its own"),
        ({"OEBPS/book.opf": OUTSIDE}, "entities of its own"),
        ({"OEBPS/book.opf": "<package"}, "no EPUB that can be read"),
        ({"META-INF/container.xml": "<container/>"}, "it names no package"),
        ({"OEBPS/book.opf": PACKAGE.replace("a%20b", "gone")}, "lacks its file OEBPS/gone.xhtml"),
        ({"OEBPS/book.opf": PACKAGE.replace("a%20b.xhtml", "../../../x")}, "lacks its file"),
    ],
)  # fmt: skip
def test_an_epub_that_cannot_be_read_is_refused(tmp_path, files, sentence):
    with pytest.raises(epub_reader.Refused, match=sentence):
        epub_reader.read_epub(make_epub(tmp_path / "a.epub", **files))


def test_what_is_no_archive_or_too_large_is_refused(tmp_path):
    (tmp_path / "a.epub").write_bytes(b"no archive")
    with pytest.raises(epub_reader.Refused, match="no EPUB"):
        epub_reader.read_epub(tmp_path / "a.epub")
    large = {"META-INF/container.xml": CONTAINER + " " * epub_reader.LARGEST}
    with pytest.raises(epub_reader.Refused, match="too large"):
        epub_reader.read_epub(make_epub(tmp_path / "b.epub", **large))


def test_fonts_that_are_made_unusable_are_no_lock(tmp_path):
    encrypted = ENCRYPTED.format(epub_reader.FONTS[0])
    path = make_epub(tmp_path / "a.epub", **{"META-INF/encryption.xml": encrypted})
    assert epub_reader.read_epub(path).book.title == "The Sea"


def test_pages_are_selected():
    ranges = selection("2-4, 7,9-")
    assert [page for page in range(1, 12) if selected(page, ranges)] == [2, 3, 4, 7, 9, 10, 11]
    assert selected(5, selection(""))
    for wrong in ("0", "4-2", "x", "1-2-3"):
        with pytest.raises(ValueError, match="is no range of pages"):
            selection(wrong)


PROSE = ["The harbour master keeps a ledger of every tide since the spring of his first year."] * 4


@pytest.mark.parametrize(
    ("lines", "images", "why"),
    [
        (PROSE, 0.0, ""),
        (PROSE, 0.95, ""),
        (["没有人要求看它，他也从来不主动念给别人听。"], 0.0, ""),
        ([], 0.0, "no text"),
        (["12"], 0.0, "no text"),
        (["Page of a scan"], 0.95, "few letters"),
        (["\ufffd" * 40 + "abc " * 30], 0.0, "stand for nothing"),
        (["\ue001\ue002 bcdf " * 30], 0.0, "stand for nothing"),
        (["xkcd bcdfg hjkl7m qwrt " * 10], 0.0, "words that are none"),
        (["T h e h a r b o u r m a s t e r k e e p s"] * 3, 0.0, "letter by letter|that are none"),
    ],
)
def test_a_text_layer_is_used_where_it_is_sound(lines, images, why):
    found = text_layer.problem(lines, images)
    assert re.search(why, found)
    assert bool(found) == bool(why)
