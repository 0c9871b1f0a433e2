"""`mm run` over several files and the pages of PDF files: a batch whose results come in order."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.cli import outputs
from orchestrator.cli.item_report import ItemReport
from orchestrator.cli.job_display import print_log
from orchestrator.cli.terminal import write_result
from orchestrator.core.paths import page_in
from orchestrator.core.units import counted
from orchestrator.errors import Cancelled, ItemsFailed, MMError, UsageError
from orchestrator.jobs.input_files import file_named, refuse_input
from orchestrator.jobs.output_files import BINARY_TYPES
from orchestrator.pipelines.batch_items import expand, item_of
from orchestrator.pipelines.batch_run import Batch, Progress
from orchestrator.system.home import json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchestrator.cli.context import Context
    from orchestrator.core.manifest import Manifest
    from orchestrator.jobs.job import Job
    from orchestrator.jobs.results import Result
    from orchestrator.pipelines.batch_files import BatchFiles
    from orchestrator.pipelines.batch_items import Item
    from orchestrator.session import Session
    from orchestrator.steps.pdf_renderer import PdfRenderer

BREAK = "\f"
"""Between the texts of two files or pages; also where one of them failed, so that pages count."""


@dataclass
class Files:
    """The files of one `mm run`.

    Attributes:
        manifest: The model's.
        filled: The input that they fill.
        words: What names them.
        more: The other inputs.
        cwd: Where relative paths begin.
        pdfs: Counts and draws the pages of PDF files.
        shown: The only word as results name it.
        text_layer: Whether the text that is in a PDF is taken instead of reading the page.
    """

    manifest: Manifest
    filled: str
    words: Sequence[str]
    more: Mapping[str, Any]
    cwd: Path
    pdfs: PdfRenderer
    shown: str = ""
    text_layer: bool = False
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find the files and count the pages."""
        kind = self.manifest.inputs[self.filled].type
        self.names = expand(self.words, self.cwd, kind, self.pdfs, "FILES")

    def keep_apart(self, places: Iterable[str | None]) -> None:
        """Check that nothing is written over one of the files.

        Raises:
            UsageError: When it would be.
        """
        for place in places:
            if place is not None and place != outputs.STANDARD_OUTPUT:
                refuse_input(self.cwd / place, (file_named(each, self.cwd) for each in self.names))

    def item(self, name: str) -> Item:
        """Return what is run on a file or a page."""
        found = item_of(name, self.cwd, self.manifest, self.more, self.pdfs, self.filled)
        shown = self.shown and self.shown + name.removeprefix(self.words[0])
        return replace(found, name=shown or name)

    def items(self, results: Results, scratch: Path) -> Iterator[Item]:
        """Yield what has to be run; the text that is in files goes to the results at once."""
        for name in self.names:
            item = self.item(name)
            text = self._text(name, scratch / "text.txt")
            results.expect(item, {self.manifest.primary_output: text} if text else None)
            if not text:
                yield item

    def _text(self, name: str, target: Path) -> str:
        file, page = page_in(self.cwd / Path(name).expanduser())
        try:
            return self.pdfs.text(file, page, target) if page and self.text_layer else ""
        except Cancelled:
            raise
        except MMError:
            return ""  # drawing it says what is wrong with it


def check_several(manifest: Manifest, places: Mapping[str, str], options: dict[str, Any]) -> None:
    """Check that what was asked for can be had of several files.

    Raises:
        UsageError: When it cannot.
    """
    batch = f"run: mm batch {manifest.name} FILES -o OUT.jsonl"
    binary = [name for name in places if manifest.outputs[name].type in BINARY_TYPES]
    if binary:
        raise UsageError(
            f"the {binary[0]!r} of several files does not fit into one place", fix=batch
        )
    if options["receipt"]:
        raise UsageError("--receipt is for one file or page", fix="add --json, which has them all")


@dataclass
class _Slot:
    """The place of one item among the results."""

    item: Item
    model: str | None
    outputs: Mapping[str, Any] | None = None
    receipt: Any = None
    line: Mapping[str, Any] | None = None


class Results:
    """Writes results in the order of the items, each as soon as those before it are written.

    Text goes out with a page break between items, anything else as a line of JSON. For a file it is
    gathered: text as it would go out, anything else as one list.

    Args:
        context: Writes JSON objects.
        manifest: The model's.
        places: Where outputs go.
        as_json: Whether a JSON object for each item goes to standard output.

    Attributes:
        chunks: What goes to files, in order: pairs of an output's name and its value for an item.
        progress: Counts; those that need no job count as done before.
        written: How many results went out.
    """

    files: BatchFiles | None = None

    def __init__(
        self, context: Context, manifest: Manifest, places: Mapping[str, str], *, as_json: bool
    ) -> None:
        self.chunks: list[tuple[str, Any]] = []
        self.progress = Progress()
        self.written = 0
        self._context = context
        self._manifest = manifest
        self._places = places
        self._as_json = as_json
        self._slots: dict[str, _Slot] = {}

    @property
    def prints(self) -> bool:
        """Whether results go to standard output."""
        return self._as_json or outputs.STANDARD_OUTPUT in self._places.values()

    def expect(self, item: Item, found: Mapping[str, Any] | None) -> None:
        """Give the next item its place; `found` has its outputs where no job is needed for them."""
        self._slots[item.key] = _Slot(item, None if found else self._manifest.name, found)
        self.progress.skipped += found is not None
        self._flush()

    def begin(self) -> None:
        """Prepare for nothing."""

    def on_result(self, item: Item, result: Result) -> None:
        """Note what a job returned; its line follows."""
        slot = self._slots[item.key]
        slot.receipt, slot.outputs = result.receipt, dict(result)

    def write(self, line: Mapping[str, Any]) -> None:
        """Take how an item ended."""
        self._slots[line["input"]].line = line
        self._flush()

    def save(self) -> None:
        """Write the files."""
        for name, place in self._places.items():
            if place != outputs.STANDARD_OUTPUT:
                values = [value for key, value in self.chunks if key == name]
                outputs.write_file(place, "".join(values) if self._is_text(name) else values)

    def _flush(self) -> None:
        for key, slot in list(self._slots.items()):
            if slot.model and slot.line is None:
                break
            del self._slots[key]
            for name, place in self._places.items():
                self._put(name, (slot.outputs or {}).get(name), place)
            if self._as_json:
                self._print_object(slot)
            self.written += 1

    def _put(self, name: str, value: Any, place: str) -> None:
        if self._is_text(name):
            text = "" if value is None else value if value.endswith("\n") else f"{value}\n"
            value = f"{BREAK if self.written else ''}{text}"
        if place != outputs.STANDARD_OUTPUT:
            self.chunks.append((name, value))
        else:
            write_result(value if isinstance(value, str) else json_line(value) + b"\n")

    def _is_text(self, name: str) -> bool:
        return self._manifest.outputs[name].type == "text"

    def _print_object(self, slot: _Slot) -> None:
        error = slot.line["error"] if slot.line else None
        values = {name: outputs.described(one, None) for name, one in (slot.outputs or {}).items()}
        self._context.out_json(
            {
                "input": slot.item.name,
                "model": slot.model,
                "outcome": error["outcome"] if error else "done",
                "outputs": values,
                "error": error and {key: error[key] for key in ("message", "exit_code")},
                "receipt": slot.receipt,
            }
        )


def run_several(
    context: Context,
    session: Session,
    files: Files,
    job: Job,
    results: Results,
    keep: Callable[[list[tuple[str, Any]]], None],
) -> None:
    """Run a job for each file and page, past failures, and write the results in order.

    Args:
        context: The command's.
        session: Runs the jobs.
        files: The files.
        job: What the jobs have in common.
        results: Where results go.
        keep: Keeps what was made for files when the run ends before its time.

    Raises:
        ItemsFailed: When some of them failed; of a single one, its own error.
        Cancelled: At an interrupt; what was done by then is written.
        MMError: When the model can run for no item.
    """
    name = files.manifest.name
    log = partial(print_log, context.reporter, name)
    batch = Batch(
        job=msgspec.structs.replace(job, inputs={}, on_event=log, models={}),
        manifest=files.manifest,
        jobs=session,
        scratch=session.spool,
        discard=session.discard,
        on_result=results.on_result,
    )
    progress, total = results.progress, counted(len(files.names), "item")
    progress.total = len(files.names)
    # A bar and text would mix on a terminal.
    report = ItemReport(context, name, progress, bar=not (results.prints and sys.stdout.isatty()))
    try:
        try:
            batch.run(files.items(results, session.spool()), results, progress, report)
        finally:
            context.reporter.finish(name)
        if progress.skipped:
            context.say(f"the text of {progress.skipped} of {total} is that in the file")
        results.save()
    except BaseException as error:
        keep(results.chunks)
        context.json_printed = False  # those of single items do not say that all has ended
        if isinstance(error, Cancelled):
            raise Cancelled(f"interrupted; {results.written} of {total} done") from None
        raise
    if progress.failed:
        if len(files.names) == 1:
            raise progress.failed[0][1]
        raise ItemsFailed(f"{len(progress.failed)} of {total} failed")
