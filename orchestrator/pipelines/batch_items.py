"""The items of a batch: files, globs, directories, pages of PDF files, lines on standard input."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.core.json_text import parse_json
from orchestrator.core.manifest import FILE_TYPES
from orchestrator.core.paths import given_path, page_in, pages_in
from orchestrator.errors import Cancelled, MMError, UsageError
from orchestrator.jobs.input_files import file_named, is_pdf, named_files, refuse_input
from orchestrator.pipelines.json_lines import input_key

if TYPE_CHECKING:
    from orchestrator.core.manifest import Manifest
    from orchestrator.steps.pdf_renderer import PdfRenderer

STANDARD_INPUT = "-"

IMAGES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".ppm", ".jp2", ".avif"}
)
SOUNDS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac"})
SUFFIXES = {"image": IMAGES | {".pdf"}, "audio": SOUNDS, "text": frozenset({".txt", ".md"})}
"""The files of a directory that are taken, by the type of the input; of others, all."""

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Item:
    """One input of a batch.

    Attributes:
        name: What its line calls it: a path, `doc.pdf#page=3`, or an object of inputs.
        inputs: Makes what the model is given, with files in the directory.
        given: What that is made from: values, and the files that are read for them.
    """

    name: Any
    inputs: Callable[[Path], Mapping[str, Any]]
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells it from other items."""
        return input_key(self.name)


def filled_input(manifest: Manifest) -> str:
    """Return the one input that each item of a batch fills.

    Raises:
        UsageError: When there is none, or more than one.
    """
    required = [name for name, declared in manifest.inputs.items() if declared.required]
    if len(required) != 1:
        what = f"the inputs {', '.join(required)} are" if required else "no input is"
        raise UsageError(
            f"a batch fills the one input that is required, and of {manifest.name} {what}",
            fix='give objects on standard input: {"name": value}',
        )
    kind = manifest.inputs[required[0]]
    if kind.list or kind.type not in (*FILE_TYPES, "text"):
        raise UsageError(f"a batch cannot fill {required[0]!r} of {manifest.name} from files")
    return required[0]


def expand(
    words: Iterable[str], cwd: Path, kind: str, pdfs: PdfRenderer, where: str = "INPUTS"
) -> list[str]:
    """Return the names of the items that the words on the command line stand for, each once.

    Args:
        words: Paths, globs (`**` for any depth), directories, `doc.pdf#page=3`, `doc.pdf#page=3-5`.
        cwd: Where relative ones begin.
        kind: The type of the input that they fill; a PDF becomes its pages where it is an image.
        pdfs: Counts them.
        where: What holds the words.

    Raises:
        UsageError: For a word that stands for nothing, or is empty.
    """
    names: dict[str, None] = {}
    for word in words:
        given_path(word, where)
        found = list(_files(word, cwd, kind))
        if not found:
            raise UsageError("nothing there fits", where=word, fix="check the path or the pattern")
        for name in found:
            names.update(dict.fromkeys(_pages(name, cwd, pdfs) if kind == "image" else [name]))
    return list(names)


def _files(word: str, cwd: Path, kind: str) -> Iterator[str]:
    path = cwd / Path(word).expanduser()
    if path.is_dir():
        wanted = SUFFIXES.get(kind)
        inside = (each for each in path.rglob("*") if each.is_file())
        for each in sorted(inside, key=lambda one: natural(str(one))):
            hidden = any(part.startswith(".") for part in each.relative_to(path).parts)
            if not hidden and (wanted is None or each.suffix.lower() in wanted):
                yield str(Path(word) / each.relative_to(path))
    elif path.exists() or pages_in(path)[1]:
        yield word
    elif glob.has_magic(word):
        pattern = str(Path(word).expanduser())
        matches = glob.glob(pattern, root_dir=cwd, recursive=True)  # noqa: PTH207 - `**` and root
        yield from sorted((each for each in matches if (cwd / each).is_file()), key=natural)
    else:
        fix = "write doc.pdf#page=3, or #page=3-5" if "#page=" in word else "check the path"
        raise UsageError("there is no such file", where=word, fix=fix)


def _pages(name: str, cwd: Path, pdfs: PdfRenderer) -> list[str]:
    path, first, last = pages_in(cwd / Path(name).expanduser())
    if first is not None and first != last:
        count, name = pdfs.pages(path), name.rpartition("#page=")[0]
        last = last or count
        if not first <= last <= count:
            what = f"there are no pages {first} to {last}; the last one is {count}"
            raise UsageError(what, where=str(path))
        return [f"{name}#page={number}" for number in range(first, last + 1)]
    try:
        if first is None and path.is_file() and is_pdf(path):
            return [f"{name}#page={number}" for number in range(1, pdfs.pages(path) + 1)]
    except Cancelled:
        raise
    except (OSError, MMError):
        pass  # its item says what is wrong with it
    return [name]


def natural(text: str) -> list[tuple[bool, int, str]]:
    """Return what sorts `page2` before `page10`."""
    return [
        (False, int(part), "") if part.isdecimal() else (True, 0, part)
        for part in _DIGITS.split(text)
        if part
    ]


def item_of(
    name: str,
    cwd: Path,
    manifest: Manifest,
    more: Mapping[str, Any],
    pdfs: PdfRenderer,
    filled: str = "",
) -> Item:
    """Return the item of a file, or of a page of a PDF.

    Args:
        name: The file, with `#page=N` for a page.
        cwd: Where a relative one begins.
        manifest: The model's.
        more: Inputs that all items have in common.
        pdfs: Draws pages.
        filled: The input that the file fills, where others are required as well.
    """
    filled = filled or filled_input(manifest)
    read = _readers(manifest.inputs[filled].type, pdfs)
    path = cwd / Path(name).expanduser()
    given = {**more, filled: path}
    return Item(name, lambda directory: {**given, filled: read(path, directory)}, given)


def _readers(kind: str, pdfs: PdfRenderer) -> Callable[[Path, Path], Any]:
    readers: dict[str, Callable[[Path, Path], Any]]
    readers = {"text": lambda path, _: read_text(path), "image": partial(_image, pdfs)}
    return readers.get(kind, lambda path, _: path)


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UsageError: When it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", where=str(path)) from error


def _image(pdfs: PdfRenderer, path: Path, directory: Path) -> Path:
    file, page = page_in(path)
    if page is None:
        if not (path.is_file() and is_pdf(path)):
            return path
        pdfs.pages(path)  # it could not be split before, and says now why
        page = 1
    if not file.is_file():
        raise UsageError("there is no such file", where=str(file))
    target = directory / f"page-{page}.png"
    pdfs.render(file, page, target)
    return target


def listed(
    lines: Iterable[str],
    cwd: Path,
    manifest: Manifest,
    more: Mapping[str, Any],
    out: Path,
    pdfs: PdfRenderer,
) -> Iterator[Item]:
    """Yield the items of JSON lines: a text is a path, an object has inputs by name.

    Args:
        lines: The lines.
        cwd: Where relative paths begin.
        manifest: The model's.
        more: Inputs that all items have in common.
        out: The file of results, which no line may name.
        pdfs: Counts and draws the pages of PDF files.

    Raises:
        UsageError: For a line that is neither, or names an empty path or `out`.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"standard input:{number}"
        try:
            found = parse_json(line)
        except ValueError as error:
            fix = 'write a path in quotes, or an object: {"image": "x.png"}'
            raise UsageError(f"is not JSON ({error})", where=where, fix=fix) from error
        if isinstance(found, str):
            kind = manifest.inputs[filled_input(manifest)].type
            names = expand([found], cwd, kind, pdfs, where)
            refuse_input(out, (file_named(name, cwd) for name in names))
            for name in names:
                yield item_of(name, cwd, manifest, more, pdfs)
        elif isinstance(found, dict):
            refuse_input(out, named_files(manifest, found, cwd))
            given = {**more, **found}
            yield Item(found, partial(_inputs, manifest, cwd, given, pdfs), given)
        else:
            raise UsageError("is neither a path nor an object", where=where)


def _inputs(
    manifest: Manifest, cwd: Path, given: Mapping[str, Any], pdfs: PdfRenderer, directory: Path
) -> dict[str, Any]:
    """Return the inputs of an object; paths in it may name a page of a PDF."""
    values = dict(given)
    for name, declared in manifest.inputs.items():
        if declared.type in FILE_TYPES and isinstance(values.get(name), str):
            path = cwd / given_path(values[name], f"input {name!r}").expanduser()
            image = declared.type == "image"
            values[name] = _image(pdfs, path, directory) if image else path
    return values
