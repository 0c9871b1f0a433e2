"""PDF files, read in a process of their own under limits of memory and time.

What that process answers is data, and checked: a PDF may have taken it over.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from orchestrator.core.units import format_size
from orchestrator.core.worker_variables import PASSED
from orchestrator.errors import Cancelled, EnvironmentFailure, MMError, TimedOut, UsageError
from orchestrator.steps.pdf_process import OUT_OF_MEMORY
from orchestrator.system import userenv
from orchestrator.system.processes import LineProcess

if TYPE_CHECKING:
    from types import TracebackType

    from orchestrator.jobs.cancellation import Cancellation

PROGRAM = Path(__file__).with_name("pdf_process.py")

LONGEST_ANSWER = 4096
"""Bytes of an answer."""

LONGEST_TEXT = 4 << 20
"""Bytes of a page's text, its places included."""

SMALLER = "save the page as a smaller image, and name that"
"""What to do about too large a page where the dpi cannot be chosen."""

PNG = b"\x89PNG\r\n\x1a\n"
"""How a PNG file begins."""


@dataclass(frozen=True)
class Limits:
    """What a PDF may cost.

    Attributes:
        memory: Bytes of the process that reads it.
        seconds: Time for a page, or to count the pages.
        pixels: Of a page; 100 megapixels take 700 MB while they are drawn.
        pages: Of a document; each becomes an item.
    """

    memory: int = 2 << 30
    seconds: float = 60.0
    pixels: int = 100_000_000
    pages: int = 10_000


class TextLayer(msgspec.Struct, frozen=True):
    """The text that a PDF holds for a page.

    Attributes:
        images: Which part of the page images cover.
        lines: Text, left, top, right, bottom and the size of letters, in points from the top left.
    """

    images: float
    lines: list[tuple[str, float, float, float, float, float]]


class Process(Protocol):
    """The process that reads: `system.processes.LineProcess`."""

    def ask(self, line: bytes, seconds: float, most: int, stop: int | None = None) -> bytes:
        """Return the answer to a line."""

    def end(self) -> tuple[int, str]:
        """End it; return its exit status and what it wrote to standard error."""


def start(limits: Limits, program: Path = PROGRAM) -> LineProcess:
    """Start the process that reads, in our own interpreter.

    Raises:
        OSError: When it cannot be started.
    """
    settings = {
        **asdict(limits),
        "parent": os.getpid(),
        "path": [each for each in sys.path if each],
    }
    variables = {name: each for name, each in userenv.snapshot().items() if name in PASSED}
    # Without `site`: the paths that it would add are among the settings.
    command = [sys.executable, "-I", "-S", "-X", "utf8", str(program), json.dumps(settings)]
    return LineProcess(command, variables=variables)


class PdfRenderer:
    """Counts and draws pages, and returns their text; a context manager, for one thread.

    Its process starts when it is first needed, serves any number of documents, and is started
    again after a document has ended it.

    Args:
        limits: What a PDF may cost.
        start: Starts the process.
        cancellation: What ends a page that is being drawn.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        start: Callable[[Limits], Process] = start,
        cancellation: Cancellation | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._stop = cancellation.fileno() if cancellation else None
        self._start = start
        self._process: Process | None = None

    def __enter__(self) -> PdfRenderer:  # noqa: PYI034 - Self is typing's from Python 3.11 on
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> tuple[int, str]:
        """End the process, if there is one; return its exit status and its standard error."""
        process, self._process = self._process, None
        return process.end() if process is not None else (0, "")

    def pages(self, path: Path) -> int:
        """Return how many pages a PDF has.

        Raises:
            UsageError: When it cannot be read, or needs more than the limits allow.
            TimedOut: When that takes too long.
        """
        where, limit = str(path), self._limits.pages
        pages = self._ask({}, path, where).get("pages")
        if not isinstance(pages, int) or pages < 1:
            raise self._unfit(where)
        if pages > limit:
            raise UsageError(f"has {pages} pages, and {limit} are the most", where=where)
        return pages

    def render(
        self, path: Path, page: int, target: Path, dpi: int = 200, smaller: str = SMALLER
    ) -> None:
        """Draw a page of a PDF, annotations included, on white, and write it to `target` as PNG.

        Args:
            path: The PDF.
            page: Its number, counted from 1.
            target: The PNG file.
            dpi: Pixels per inch.
            smaller: What to do about a page that has too many pixels.

        Raises:
            UsageError: When it cannot be read, has no such page, or needs more than the limits
                allow.
            TimedOut: When that takes too long.
        """
        where = f"{path}#page={page}"
        request = {"page": page, "dpi": dpi, "target": str(target.absolute()), "smaller": smaller}
        self._ask(request, path, where)
        if not _begins_as_png(target):
            raise self._unfit(where)

    def text(self, path: Path, page: int, target: Path) -> str:
        """Return the text that is in the file for a page; empty where there is none.

        Args:
            path: The PDF.
            page: Its number, counted from 1.
            target: A file for the text on its way.

        Raises:
            UsageError, TimedOut: As `render`.
        """
        try:
            found = self._written(path, page, target).decode()
        except ValueError:
            raise self._unfit(f"{path}#page={page}") from None
        lines = (
            "".join(each for each in line if each.isprintable() or each == "\t").rstrip()
            for line in found.splitlines()
        )
        return "\n".join(lines).strip("\n")

    def lines(self, path: Path, page: int, target: Path) -> TextLayer:
        """Return the text that is in the file for a page, line by line with its places.

        Args:
            path: The PDF.
            page: Its number, counted from 1.
            target: A file for the text on its way.

        Raises:
            UsageError, TimedOut: As `render`.
        """
        data = self._written(path, page, target, places=True)
        try:
            return msgspec.json.decode(data, type=TextLayer)
        except msgspec.MsgspecError:
            raise self._unfit(f"{path}#page={page}") from None

    def _written(self, path: Path, page: int, target: Path, *, places: bool = False) -> bytes:
        """Have the text of a page written, and return it."""
        where = f"{path}#page={page}"
        request = {"page": page, "target": str(target.absolute()), "places": places}
        self._ask(request, path, where)
        try:
            if target.stat().st_size > LONGEST_TEXT:
                size = format_size(LONGEST_TEXT, binary=True)
                raise UsageError(f"holds more than {size} of text", where=where)
            return target.read_bytes()
        except OSError:
            raise self._unfit(where) from None

    def _ask(self, request: dict[str, Any], path: Path, where: str) -> dict[str, Any]:
        """Return the answer to a request about `path`, unless it is a refusal."""
        limits = self._limits
        line = json.dumps({"document": str(path.absolute()), **request}) + "\n"
        try:
            self._process = self._process or self._start(limits)
            answer = json.loads(
                self._process.ask(line.encode(), limits.seconds, LONGEST_ANSWER, self._stop)
            )
        except EOFError:
            raise self._ended(where) from None
        except InterruptedError:
            self.close()
            raise Cancelled("interrupted", where=where) from None
        except TimeoutError:
            self.close()
            raise TimedOut(f"takes more than {limits.seconds:g} seconds", where=where) from None
        except OSError as error:
            what = f"PDF files cannot be read: no process can be started ({error.strerror})"
            raise EnvironmentFailure(what) from error
        except (ValueError, RecursionError):
            raise self._unfit(where) from None
        except BaseException:
            self.close()  # its answer may still come
            raise
        if not isinstance(answer, dict):
            raise self._unfit(where)
        if "refused" in answer:
            fix = answer.get("fix")
            raise UsageError(_words(answer["refused"]), where=where, fix=_words(fix) if fix else "")
        return answer

    def _ended(self, where: str) -> MMError:
        """Return the error of a page at which the process ended."""
        status, said = self.close()
        if status == OUT_OF_MEMORY:
            memory = format_size(self._limits.memory, binary=True)
            return UsageError(f"needs more than {memory} of memory", where=where)
        if status == -signal.SIGINT:
            return Cancelled("interrupted", where=where)
        if status < 0:
            name = signal.Signals(-status).name
            return UsageError(f"cannot be read (it ended its process: {name})", where=where)
        what = f"cannot be read: its process ended with exit status {status}"
        return EnvironmentFailure(what, where=where, detail=said)

    def _unfit(self, where: str) -> UsageError:
        """Return the error of an answer that is none."""
        self.close()
        return UsageError(
            "cannot be read (its process gave no answer that makes sense)", where=where
        )


def _begins_as_png(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(PNG)) == PNG
    except OSError:
        return False


def _words(text: object) -> str:
    """Return a part of a refusal, if it can be shown on a terminal."""
    fit = isinstance(text, str) and text.isprintable()
    return str(text)[:300] if fit else "cannot be read"
