"""One task over many inputs: a line of JSON for each, as it is done.

The file of results is the record: whoever goes on reads from it what is done. JsonLines are written
whole and in the order in which items end; with one worker that is the order of the items.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from orchestrator.arrays import npy_bytes
from orchestrator.core.canonical import digest, digest_bytes, short
from orchestrator.core.units import format_duration
from orchestrator.errors import Cancelled, MMError
from orchestrator.home import write_atomically
from orchestrator.pipelines.in_flight import InFlightJobs, end_pool
from orchestrator.pipelines.json_lines import FAILED, OK, key_of, mark_of
from orchestrator.pipelines.step_executor import Loading, ModelUnusable, run_job
from orchestrator.results import MEDIA_TYPES, Artifact, Audio

if TYPE_CHECKING:
    from orchestrator.core.manifest import Manifest
    from orchestrator.jobs.job import Job
    from orchestrator.pipelines.json_lines import JsonLines
    from orchestrator.pipelines.step_executor import Jobs
    from orchestrator.results import Result

_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Item:
    """One input of a batch.

    Attributes:
        name: What its line calls it: a path, `doc.pdf#page=3`, or an object of inputs.
        inputs: Makes what the model is given, with files in the directory.
    """

    name: Any
    inputs: Callable[[Path], Mapping[str, Any]]

    @property
    def key(self) -> str:
        """What tells it from other items."""
        return key_of(self.name)


@dataclass
class Progress:
    """How far a batch is.

    Attributes:
        total: How many items there are; 0 while that is not known.
        skipped: How many were done before.
        done: How many ended well now.
        failed: The items that failed now, with their errors.
        warnings: The items whose results may not be what was asked for, with the reason.
    """

    total: int = 0
    skipped: int = 0
    done: int = 0
    failed: list[tuple[Item, MMError]] = field(default_factory=list)
    warnings: list[tuple[Item, str]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> int:
        """How many ended now, in whatever way."""
        return self.done + len(self.failed)

    def __str__(self) -> str:
        """Return count, rate, time left and failures in a few words."""
        seconds = max(time.monotonic() - self.began, 1e-3)
        rate = self.ended / seconds
        count = self.skipped + self.ended
        words = [f"{count} of {self.total}" if self.total else f"{count}"]
        if self.ended:
            words.append(f"{rate:.1f} a second" if rate >= 1 else f"{1 / rate:.1f} s each")
            if self.total:
                words.append(f"{format_duration(round((self.total - count) / rate))} left")
        if self.failed:
            words.append(f"{len(self.failed)} failed")
        return ", ".join(words)


@dataclass
class _Flow:
    """What goes back and forth between the threads of one batch and the one that writes."""

    lines: JsonLines
    progress: Progress
    report: Callable[[], None]
    in_flight: InFlightJobs
    ended: SimpleQueue[Ended] = field(default_factory=SimpleQueue)

    def take(self) -> None:
        """Wait for the end of an item, and write it."""
        self.ended.get().settle(self.lines, self.progress)
        self.report()

    def save(self) -> None:
        """Write what ended well on the way out; it is as good as what ended before."""
        while not self.ended.empty():
            one = self.ended.get()
            if one.line is not None and one.error is None:
                one.settle(self.lines, self.progress)


@dataclass(frozen=True)
class Batch:
    """What is to be done with every item.

    Attributes:
        job: What all jobs have in common.
        manifest: What the model declares.
        jobs: Runs them.
        scratch: Makes an empty directory for an item.
        discard: Removes such a directory.
        workers: How many items run at once.
        retries: How often a job that failed is tried again.
    """

    job: Job
    manifest: Manifest
    jobs: Jobs
    scratch: Callable[[], Path]
    discard: Callable[[Path], None]
    workers: int = 1
    retries: int = 0

    def run(
        self,
        items: Iterable[Item],
        lines: JsonLines,
        progress: Progress,
        report: Callable[[], None] = lambda: None,
    ) -> None:
        """Run every item that is not done yet, past failures.

        Args:
            items: What to run; taken as needed.
            lines: Where results go; what is done there is passed over.
            progress: Counts.
            report: Called after each line.

        Raises:
            MMError: When the model can run for no item.
            Cancelled: At an interrupt; what ended by then is written.
        """
        flow = _Flow(lines, progress, report, InFlightJobs())
        pool = ThreadPoolExecutor(self.workers, "mm-batch")
        try:
            self._feed(items, pool, flow)
        except KeyboardInterrupt:
            raise Cancelled(
                "interrupted; what is done is written", fix="go on with --resume"
            ) from None
        finally:
            flow.in_flight.stop()
            end_pool(pool, flow.in_flight)
            flow.save()

    def _feed(self, items: Iterable[Item], pool: ThreadPoolExecutor, flow: _Flow) -> None:
        loading = Loading(self.jobs, self.job, flow.in_flight)
        left = Counter(flow.lines.done)
        running = 0
        for item in items:
            mark = mark_of(item.key)
            if left[mark]:
                left[mark] -= 1
                flow.progress.skipped += 1
                continue
            # One item more than workers: its input is made, here, while they all run.
            while running > self.workers:
                flow.take()
                running -= 1
            directory = self.scratch()
            try:
                pool.submit(self._in_thread, item, directory, item.inputs(directory), loading, flow)
            except MMError as error:
                self.discard(directory)
                flow.ended.put(_failed(item, error, 0.0))
            running += 1
        for _ in range(running):
            flow.take()

    def _in_thread(
        self,
        item: Item,
        directory: Path,
        inputs: Mapping[str, Any],
        loading: Loading,
        flow: _Flow,
    ) -> None:
        try:
            flow.ended.put(self._work(item, inputs, loading, flow.in_flight, flow.lines))
        finally:
            self.discard(directory)

    def _work(
        self,
        item: Item,
        inputs: Mapping[str, Any],
        loading: Loading,
        in_flight: InFlightJobs,
        lines: JsonLines,
    ) -> Ended:
        began = time.monotonic()
        try:
            loading.ensure()
            result = run_job(self.jobs, replace(self.job, inputs=inputs), self.retries, in_flight)
            line = {
                "input": item.name,
                "status": OK,
                "outputs": self._outputs(item, result, lines),
                "error": None,
                "seconds": round(sum(result.timings.values()), 3),
                "receipt": result.receipt.get("identity"),
            }
            if result.warnings:
                line["warnings"] = list(result.warnings)
            return Ended(item, line)
        except ModelUnusable as unusable:
            return Ended(item, None, unusable.cause)
        except MMError as error:
            if in_flight.stopped and isinstance(error, Cancelled):
                return Ended(item, None, error)
            return _failed(item, error, time.monotonic() - began)
        except BaseException as fault:  # noqa: BLE001 - raised in the caller's thread
            return Ended(item, None, fault)

    def _outputs(self, item: Item, result: Result, lines: JsonLines) -> dict[str, Any]:
        """Return what a line says of the outputs; files are written beside the line's file."""
        shown: dict[str, Any] = {}
        for name, value in result.items():
            kind = self.manifest.outputs[name].type
            if not isinstance(value, (Audio, Artifact)) and kind != "array":
                shown[name] = value
                continue
            if lines.path is None:
                continue
            suffix = _suffix(value)
            data = value.read() if isinstance(value, (Audio, Artifact)) else npy_bytes(value)
            folder = lines.path.with_name(f"{lines.path.stem}.files")
            path = folder / f"{file_name(item)}.{name}{suffix}"
            write_atomically(path, data, mode=None)
            if isinstance(value, Artifact):
                self.discard(value.path.parent)
            media = MEDIA_TYPES.get(suffix, "application/octet-stream")
            shown[name] = {"path": f"{folder.name}/{path.name}", "media_type": media}
        return shown


@dataclass(frozen=True)
class Ended:
    """How an item ended.

    Attributes:
        item: The item.
        line: What is written of it; None where the whole batch ends with the error.
        error: What went wrong.
    """

    item: Item
    line: dict[str, Any] | None
    error: BaseException | None = None

    def settle(self, lines: JsonLines, progress: Progress) -> None:
        """Write the line and count it; or raise what ends the batch."""
        if self.line is None:
            assert self.error is not None
            raise self.error
        lines.write(self.line)
        if isinstance(self.error, MMError):
            progress.failed.append((self.item, self.error))
        else:
            progress.done += 1
            progress.warnings += ((self.item, each) for each in self.line.get("warnings", ()))


def _failed(item: Item, error: MMError, seconds: float) -> Ended:
    told = {"message": str(error), "exit_code": error.exit_code, "outcome": error.outcome}
    line = {"input": item.name, "status": FAILED, "outputs": {}, "error": told}
    return Ended(item, {**line, "seconds": round(seconds, 3), "receipt": None}, error)


def file_name(item: Item) -> str:
    """Return a name for files of an item: readable, and unlike that of any other item."""
    readable = item.name if isinstance(item.name, str) else "item"
    last = _UNSAFE.sub("-", readable.rpartition("/")[2])[-60:].strip(".-")
    return f"{last or 'item'}-{short(digest_bytes(item.key.encode('utf-8')))[:8]}"


def identity_of(jobs: Jobs, job: Job) -> str:
    """Return the receipts' identity that results would have now."""
    return digest(dict(jobs.produced_by(job)))


def _suffix(value: Any) -> str:
    if isinstance(value, Audio):
        return ".wav"
    return value.path.suffix.lower() if isinstance(value, Artifact) else ".npy"
