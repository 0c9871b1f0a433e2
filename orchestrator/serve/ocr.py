"""`POST /v1/ocr`: documents to Markdown, page by page, as Mistral's clients ask for it."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.errors import MMError
from orchestrator.serve.answers import watched
from orchestrator.serve.bodies import answered, json_record
from orchestrator.serve.chat_records import ImageUrl
from orchestrator.serve.refused import Refused, refused
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.threads import remove_tree
from orchestrator.serve.uploads import save_data_url

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from orchestrator.catalog import Declared
    from orchestrator.serve.jobs import ServedJobs
    from orchestrator.serve.served_models import ServedModels
    from orchestrator.serve.uploaded_files import UploadedFiles
    from orchestrator.steps.pdf_renderer import PdfRenderer

DPI = 200
PDF = b"%PDF-"
MAX_URL = 4096
MAX_PAGES = 1000
"""Pages of one request."""

RANGE = re.compile(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*")


class OcrDocument(msgspec.Struct):
    """What to read: one of these."""

    type: str = ""
    image_url: str | ImageUrl | None = None
    document_url: str | None = None
    file_id: str | None = None


class OcrRequest(msgspec.Struct):
    """The body of a request; what it has beyond this is for other services."""

    document: OcrDocument
    model: str | None = "ocr"
    pages: list[int] | str | None = None


class Dimensions(msgspec.Struct):
    """The size of a page, in pixels at so many dots per inch."""

    dpi: int
    height: int
    width: int


class OcrPage(msgspec.Struct):
    """What is written on a page; pages are counted from 0."""

    index: int
    markdown: str
    dimensions: Dimensions | None
    images: list[Any] = []


class OcrUsage(msgspec.Struct):
    """How much was read."""

    pages_processed: int
    doc_size_bytes: int


class OcrAnswer(msgspec.Struct):
    """A document that was read."""

    pages: list[OcrPage]
    model: str
    usage_info: OcrUsage
    document_annotation: None = None


async def ocr(request: Request) -> Response:
    """Read a document."""
    models: ServedModels = request.app.state.models
    jobs: ServedJobs = request.app.state.jobs
    wanted = await json_record(request, OcrRequest)
    model = await models.find(wanted.model or "ocr", "ocr")
    request.app.state.lanes.check(model.name)
    directory = jobs.new_directory()
    try:
        path = await asyncio.to_thread(
            _document, wanted.document, request.app.state.files, directory
        )
        reading = _DocumentReading(jobs, model, path, directory)
        pages = await watched(request, reading.pages(wanted.pages))
    finally:
        remove_tree(directory)
    return answered(OcrAnswer(pages, model.name, OcrUsage(len(pages), reading.size)))


def _document(document: OcrDocument, files: UploadedFiles, directory: Path) -> Path:
    """Return the file of a document; no URL but a signed one of ours is followed.

    Raises:
        Refused: When it cannot be had.
    """
    if document.file_id:
        return files.get(document.file_id).path
    image = document.image_url
    url = image.url if isinstance(image, ImageUrl) else image or document.document_url
    named = url if isinstance(url, str) and len(url) < MAX_URL else ""
    if (kept := files.signed(named)) is not None:
        return kept.path
    return save_data_url(url, "document", directory)


class _DocumentReading:
    """One document, read page by page."""

    def __init__(self, jobs: ServedJobs, model: Declared, path: Path, directory: Path) -> None:
        self._jobs = jobs
        self._model = model
        self._path = path
        self._directory = directory
        self.size = path.stat().st_size

    async def pages(self, chosen: list[int] | str | None) -> list[OcrPage]:
        """Return the pages of the answer, in order.

        Raises:
            Refused: When the document, or one of its pages, cannot be read.
        """
        with self._path.open("rb") as file:
            if file.read(len(PDF)) != PDF:
                return [await self._page(0, self._path, None)]
        from orchestrator.steps.pdf_renderer import PdfRenderer

        with PdfRenderer() as renderer:
            try:
                count = await asyncio.to_thread(renderer.pages, self._path)
                numbers = page_numbers(chosen, count)
                return [await self._drawn(renderer, number) for number in numbers]
            except MMError as error:
                raise refused(error, [(str(self._path), "document")]) from error

    async def _drawn(self, renderer: PdfRenderer, number: int) -> OcrPage:
        target = self._directory / f"page-{number}.png"
        await asyncio.to_thread(partial(renderer.render, self._path, number + 1, target, DPI))
        try:
            return await self._page(number, target, DPI)
        finally:
            target.unlink(missing_ok=True)

    async def _page(self, number: int, image: Path, dpi: int | None) -> OcrPage:
        job = ServedJob(self._model, {"image": image}, self._jobs.new_directory())
        self._jobs.start(job)
        try:
            result = await job.wait()
            text = result["markdown"] if "markdown" in result else result["text"]
        finally:
            await self._jobs.cancel(job)
            self._jobs.forget(job)
        import imagesize

        width, height = imagesize.get(image)
        known = width > 0 and height > 0
        return OcrPage(number, text, Dimensions(dpi or DPI, height, width) if known else None)


def page_numbers(chosen: list[int] | str | None, count: int) -> list[int]:
    """Return the pages to read, counted from 0.

    Args:
        chosen: Numbers, or text such as "0-2,5"; None for all.
        count: How many pages there are.

    Raises:
        Refused: When one is not there, or there are too many.
    """
    if chosen is None:
        numbers = list(range(count))
    elif isinstance(chosen, list):
        numbers = chosen
    else:
        numbers = []
        for part in chosen.split(","):
            found = RANGE.fullmatch(part)
            first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
            if last < first:
                raise Refused(400, f"pages {part!r}: write [0, 1] or '0-2,5'", "malformed")
            numbers += range(first, max(first, min(last, count)) + 1)
            if len(numbers) > MAX_PAGES:  # a short text may stand for more than memory holds
                break
    for number in numbers:
        if not 0 <= number < count:
            raise Refused(400, f"there is no page {number}: it has 0 to {count - 1}", "no_page")
    if len(numbers) > MAX_PAGES:
        raise Refused(400, f"a request may ask for {MAX_PAGES} pages", "too_many_pages")
    return numbers
