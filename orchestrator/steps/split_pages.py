"""Step `split-pages`: the pages of PDF files as images, one at a time; images pass as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.core.manifest import Input
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.input_files import is_pdf
from orchestrator.steps.pdf_renderer import PROGRAM, PdfRenderer
from orchestrator.steps.step import BuiltIn, Emit, Emits, Progress, growing, signature

SMALLER = "lower the dpi of the step split-pages (--set STEP.dpi=N), or save the page smaller"


def _run(values: Mapping[str, Any], directory: Path, cancellation: Cancellation) -> Emits:
    files, total = values["files"], 0
    with PdfRenderer(cancellation=cancellation) as renderer:
        if isinstance(files, list):  # else it grows, and its pages cannot be counted
            total = sum(renderer.pages(path) if is_pdf(path) else 1 for path in map(Path, files))
        pages = _pages(files, directory, renderer, values.get("dpi", 200))
        for done, page in enumerate(pages, start=1):
            if total:
                yield Progress(done, total)
            yield page


def _pages(
    files: Iterable[str], directory: Path, renderer: PdfRenderer, dpi: int
) -> Iterator[Emit]:
    for count, given in enumerate(files):
        path = Path(given)
        if not is_pdf(path):
            yield Emit("images", path, str(given))
            continue
        for number in range(1, renderer.pages(path) + 1):
            target = directory / f"{count}-{number}.png"
            renderer.render(path, number, target, dpi, SMALLER)
            yield Emit("images", target, f"{given}#page={number}")


STEP = BuiltIn(
    signature(
        "split-pages",
        {
            "files": growing(
                Input(type="file", list=True, required=True, help="PDF files and images")
            ),
            "dpi": Input(type="integer", minimum=36, maximum=600, help="Pixels per inch"),
        },
        images="[image]",
    ),
    _run,
    packages=("pypdfium2", "pillow"),
    programs=(PROGRAM,),
    named=True,
)
