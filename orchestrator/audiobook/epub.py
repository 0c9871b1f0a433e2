"""A book as EPUB 3 with media overlays: each passage is marked while it is spoken."""

from __future__ import annotations

import hashlib
import re
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from orchestrator.audiobook.audio_files import BookFile, Cover
from orchestrator.audiobook.book import SpokenBook
from orchestrator.audiobook.book_plan import Part

ACTIVE = "-epub-media-overlay-active"
CSS = f".{ACTIVE} {{ background: #ffe9a8; color: #000; }}\n"
XML = '<?xml version="1.0" encoding="utf-8"?>\n'
XHTML = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
PAGE = "application/xhtml+xml"
CONTAINER = (
    f'{XML}<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/>'
    "</rootfiles></container>"
)
NO_TIME = "1980-01-01T00:00:00Z"
"""When a book was changed: it must say, and the same book has the same bytes each time."""

_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class EpubWriter:
    """What goes into the file.

    Attributes:
        book: The passages and their sounds.
        texts: What is spoken, by passage.
        title: Of the book.
        author: Of the book; may be empty.
        sound: How the sound of each chapter is written.
        cover: Its image.
    """

    book: SpokenBook
    texts: Sequence[str | None]
    title: str
    author: str
    sound: BookFile
    cover: Cover | None = None

    def write(self, target: Path, directory: Path) -> Iterator[int]:
        """Write the file, and yield the index behind each passage.

        The sounds are made in `directory` before, one chapter at a time.
        """
        parts = list(enumerate(self.book.parts, start=1))
        with zipfile.ZipFile(target, "w") as archive:
            _add(archive, "mimetype", "application/epub+zip", zipfile.ZIP_STORED)
            _add(archive, "META-INF/container.xml", CONTAINER)
            _add(archive, "book/package.opf", self._package(parts))
            _add(archive, "book/contents.xhtml", self._contents(parts))
            _add(archive, "book/book.css", CSS)
            if self.cover is not None:
                _add(archive, "book/cover.jpg", self.cover.data, zipfile.ZIP_STORED)
            for number, part in parts:
                name = f"chapter-{number}"
                _add(archive, f"book/{name}.xhtml", self._text(part))
                _add(archive, f"book/{name}.smil", self._overlay(part, name))
                sound = directory / f"{name}.{self.sound.format}"
                yield from self.sound.write(sound, self.book, part.first, part.end, ())
                entry = zipfile.ZipInfo(f"book/{sound.name}")
                with sound.open("rb") as source, archive.open(entry, "w", force_zip64=True) as to:
                    while block := source.read(1 << 20):
                        to.write(block)
                sound.unlink()

    def _package(self, parts: Sequence[tuple[int, Part]]) -> str:
        items = [_item("css", "book.css", "text/css"), _item("nav", "contents.xhtml", PAGE, "nav")]
        if self.cover is not None:
            items.append(_item("cover", "cover.jpg", "image/jpeg", "cover-image"))
        times = [f'<meta property="media:duration">{self._seconds(parts):.3f}s</meta>']
        spine = []
        for number, part in parts:
            name, overlay = f"chapter-{number}", f"o{number}"
            items.append(_item(f"c{number}", f"{name}.xhtml", PAGE, overlay=overlay))
            items.append(_item(overlay, f"{name}.smil", "application/smil+xml"))
            items.append(_item(f"a{number}", f"{name}.mp3", "audio/mpeg"))
            seconds = self._seconds([(number, part)])
            refined = f'property="media:duration" refines="#{overlay}"'
            times.append(f"<meta {refined}>{seconds:.3f}s</meta>")
            spine.append(f'<itemref idref="c{number}"/>')
        creator = f"<dc:creator>{_xml(self.author)}</dc:creator>" if self.author else ""
        return (
            f'{XML}<package xmlns="http://www.idpf.org/2007/opf" version="3.0"'
            ' unique-identifier="id">'
            '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f'<dc:identifier id="id">{self._identifier()}</dc:identifier>'
            f"<dc:title>{_xml(self.title)}</dc:title>{creator}"
            f"<dc:language>{_xml(self.book.plan.language or 'und')}</dc:language>"
            f'<meta property="dcterms:modified">{NO_TIME}</meta>'
            f'<meta property="media:active-class">{ACTIVE}</meta>'
            f"{''.join(times)}</metadata>"
            f"<manifest>{''.join(items)}</manifest><spine>{''.join(spine)}</spine></package>"
        )

    def _contents(self, parts: Sequence[tuple[int, Part]]) -> str:
        links = "".join(
            f'<li><a href="chapter-{number}.xhtml">{_xml(self._name(part))}</a></li>'
            for number, part in parts
        )
        return self._page(self.title, f'<nav epub:type="toc"><ol>{links}</ol></nav>')

    def _text(self, part: Part) -> str:
        lines = []
        for index in range(part.first, part.end):
            passage, text = self.book.plan.passages[index], self.texts[index] or ""
            tag = "h2" if passage.kind == "heading" and text else "p"
            language = _language(passage.language)
            lines.append(f'<{tag} id="p{index}"{language}>{_xml(text)}</{tag}>')
        body = "\n".join(lines)
        return self._page(self._name(part), f'<section epub:type="chapter">\n{body}\n</section>')

    def _overlay(self, part: Part, name: str) -> str:
        lines = [
            f'<par id="s{index}"><text src="{name}.xhtml#p{index}"/><audio src="{name}.mp3"'
            f' clipBegin="{begin:.3f}s" clipEnd="{end:.3f}s"/></par>'
            for index, begin, end in self._clips(part)
        ]
        body = "\n".join(lines)
        root = '<smil xmlns="http://www.w3.org/ns/SMIL" version="3.0">'
        return f"{XML}{root}<body>\n{body}\n</body></smil>"

    def _clips(self, part: Part) -> Iterator[tuple[int, float, float]]:
        """Yield the passages of a chapter that are spoken, each with its pause, in seconds."""
        for index in range(part.first, part.end):
            if self.book.sounds[index] is not None:
                begin, end = (self.book.start(each, part.first) for each in (index, index + 1))
                yield index, begin / self.book.rate, end / self.book.rate

    def _seconds(self, parts: Sequence[tuple[int, Part]]) -> float:
        return sum(end - begin for _, part in parts for _, begin, end in self._clips(part))

    def _page(self, title: str, body: str) -> str:
        return (
            f"{XML}<!DOCTYPE html>\n<html {XHTML}{_language(self.book.plan.language)}>"
            f"<head><title>{_xml(title)}</title>"
            '<link rel="stylesheet" type="text/css" href="book.css"/></head>'
            f"<body>{body}</body></html>"
        )

    def _name(self, part: Part) -> str:
        return part.title or self.title

    def _identifier(self) -> str:
        written = "\n".join([self.title, self.author, *(text or "" for text in self.texts)])
        digest = hashlib.sha256(written.encode("utf-8", "replace")).digest()
        return f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}"


def _add(
    archive: zipfile.ZipFile, name: str, data: str | bytes, how: int = zipfile.ZIP_DEFLATED
) -> None:
    archive.writestr(zipfile.ZipInfo(name), data, how)


def _item(name: str, file: str, kind: str, properties: str = "", overlay: str = "") -> str:
    """Return an entry of the list of files."""
    more = f' properties="{properties}"' if properties else ""
    more += f' media-overlay="{overlay}"' if overlay else ""
    return f'<item id="{name}" href="{file}" media-type="{kind}"{more}/>'


def _language(tag: str | None) -> str:
    return f' lang="{_xml(tag)}" xml:lang="{_xml(tag)}"' if tag else ""


def _xml(text: str) -> str:
    return escape(_NO_XML.sub("", text))
