"""EPUB files: the book that they hold, and their cover. Nothing is read beyond fixed sizes.

An EPUB is a ZIP archive of XHTML. Entities of its own, which can grow without end or name files,
are refused; nothing outside of the archive is ever opened.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

from orchestrator.book.content import Book, Element
from orchestrator.book.xhtml import elements_of_xhtml

MOST_FILES = 10_000
LARGEST = 16 << 20
"""Bytes of a file in the archive that is read."""
MOST_TEXT = 128 << 20
"""Bytes of all of them."""

FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""How fonts are made unusable elsewhere, which is no lock on the text."""

_REFERENCE = re.compile(r"\[\^([^\]\s]+)\]")
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


class UnreadableEpub(ValueError):
    """What is wrong with an EPUB, as a clause."""


class Epub(NamedTuple):
    """What an EPUB holds: the book, and its cover with the suffix of the file."""

    book: Book
    cover: bytes
    suffix: str


class _Item(NamedTuple):
    path: str
    media: str
    properties: str


def read_epub(path: Path) -> Epub:
    """Return what an EPUB holds.

    Raises:
        Refused: When it is none, is locked (DRM), or is larger than the limits.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reader(archive).read()
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        EOFError,
        OSError,
        zlib.error,
    ) as error:
        raise UnreadableEpub(f"is no EPUB that can be read ({error})") from error
    except RuntimeError as error:  # as zipfile says it
        raise UnreadableEpub("is locked with a password") from error
    except (ET.ParseError, UnicodeError) as error:
        raise UnreadableEpub(f"is no EPUB that can be read ({error})") from error


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = {info.filename for info in archive.infolist()}
        self._left = MOST_TEXT
        if len(self._names) > MOST_FILES:
            raise UnreadableEpub(f"holds {len(self._names)} files, and {MOST_FILES} are the most")

    def read(self) -> Epub:
        container = self._xml("META-INF/container.xml")
        root = next((each.get("full-path", "") for each in _all(container, "rootfile")), "")
        if not root:
            raise UnreadableEpub("is no EPUB that can be read (it names no package)")
        package = self._xml(root)
        items = {
            each.get("id", ""): _Item(
                _beside(root, each.get("href", "")),
                each.get("media-type", ""),
                each.get("properties", ""),
            )
            for each in _all(package, "item")
        }
        spine = [
            items[each.get("idref", "")]
            for each in _all(package, "itemref")
            if each.get("idref") in items and each.get("linear") != "no"
        ]
        self._refuse_locked({item.path for item in spine})
        elements: list[Element] = []
        for item in spine:
            if "nav" not in item.properties.split() and "html" in item.media:
                elements += elements_of_xhtml(
                    self._text(item.path), quote(posixpath.basename(item.path))
                )
        fields = {
            name: next(
                (text for each in _all(package, tag) if (text := (each.text or "").strip())), ""
            )
            for name, tag in (("title", "title"), ("author", "creator"), ("language", "language"))
        }
        cover, suffix = self._cover(package, items)
        return Epub(Book(**fields, elements=tuple(_numbered(elements))), cover, suffix)

    def _refuse_locked(self, paths: set[str]) -> None:
        if "META-INF/encryption.xml" not in self._names:
            return
        for each in _all(self._xml("META-INF/encryption.xml"), "EncryptedData"):
            method = next((m.get("Algorithm", "") for m in _all(each, "EncryptionMethod")), "")
            if method not in FONTS and any(
                unquote(reference.get("URI", "")) in paths
                for reference in _all(each, "CipherReference")
            ):
                raise UnreadableEpub("is locked (DRM)")

    def _cover(self, package: ET.Element, items: dict[str, _Item]) -> tuple[bytes, str]:
        named = [
            each.get("content", "") for each in _all(package, "meta") if each.get("name") == "cover"
        ]
        found = [item for item in items.values() if "cover-image" in item.properties.split()]
        found += [items[name] for name in named if name in items]
        for item in found:
            suffix = posixpath.splitext(item.path)[1].lower()
            if suffix in IMAGES and item.path in self._names:
                return self._bytes(item.path), suffix
        return b"", ""

    def _bytes(self, name: str) -> bytes:
        if name not in self._names:
            raise UnreadableEpub(f"lacks its file {name}")
        with self._archive.open(name) as stream:
            data = stream.read(LARGEST + 1)
        self._left -= len(data)
        if len(data) > LARGEST or self._left < 0:
            raise UnreadableEpub(
                f"is too large: {LARGEST >> 20} MiB are the most of a file in it, "
                f"and {MOST_TEXT >> 20} MiB of all"
            )
        return data

    def _xml(self, name: str) -> ET.Element:
        data = self._bytes(name)
        if b"<!ENTITY" in data or b"<\0!\0E\0N\0T" in data:
            raise UnreadableEpub(f"declares entities of its own in {name}")
        return ET.fromstring(data)  # noqa: S314 - it has no entities but those of XML

    def _text(self, name: str) -> str:
        data = self._bytes(name)
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16", "replace")
        return data.decode("utf-8-sig", "replace")


def _all(element: ET.Element, tag: str) -> Iterator[ET.Element]:
    """Yield the elements of a name, in whatever namespace."""
    return (each for each in element.iter() if each.tag.rpartition("}")[2] == tag)


def _beside(file: str, href: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), unquote(href)))


def _numbered(elements: list[Element]) -> Iterator[Element]:
    """Yield elements with notes numbered through; a reference to what is no note goes."""
    import msgspec

    marks = [each.mark for each in elements if each.kind == "footnote"]
    numbers = {mark: str(number) for number, mark in enumerate(dict.fromkeys(marks), start=1)}
    for each in elements:
        text = _REFERENCE.sub(
            lambda match: f"[^{numbers[match[1]]}]" if match[1] in numbers else "", each.text
        )
        mark = numbers.get(each.mark, each.mark) if each.kind == "footnote" else each.mark
        yield msgspec.structs.replace(each, text=text, mark=mark)
