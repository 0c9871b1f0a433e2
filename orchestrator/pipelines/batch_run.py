"""One task over many inputs: a line of JSON for each, as it is done.

A batch is no pipeline of one step: its file of results is the only record and the only copy of
them, and its items are made one at a time from a source whose length need not be known. It shares
with pipelines how jobs are run, retried and stopped.

Lines are written whole and in the order in which items end; with one worker that is the order of
the items.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.core.canonical import digest_bytes, short
from orchestrator.core.units import format_duration
from orchestrator.errors import Cancelled, MMError
from orchestrator.jobs.in_flight import InFlightJobs
from orchestrator.jobs.output_files import is_binary, is_sound, media_type, suffix_of
from orchestrator.pipelines.batch_sources import described_inputs, sources_of
from orchestrator.pipelines.job_runner import JobRunner, JobRunners, ModelUnusable
from orchestrator.pipelines.json_lines import FAILED, OK

if TYPE_CHECKING:
    from orchestrator.core.manifest import Manifest
    from orchestrator.jobs.job import Job
    from orchestrator.jobs.results import Result
    from orchestrator.pipelines.batch_files import BatchFiles
    from orchestrator.pipelines.batch_items import Item
    from orchestrator.pipelines.batch_sources import Sources
    from orchestrator.pipelines.job_runner import Jobs

_UNSAFE = re.compile(r"[^\w.-]+")


class Lines(Protocol):
    """Receives the line of each item; `json_lines.JsonLines` does."""

    files: BatchFiles | None

    def begin(self) -> None:
        """Prepare for lines; called before each item."""

    def write(self, line: Mapping[str, Any]) -> None:
        """Take a line."""


@dataclass
class BatchProgress:
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


@dataclass(frozen=True)
class Batch:
    """What is to be done with every item.

    Attributes:
        job: What all jobs have in common.
        manifest: What the model declares; of several, the one that no text decides for.
        jobs: Runs them.
        scratch: Makes an empty directory for an item.
        discard: Removes such a directory.
        workers: How many items run at once.
        retries: How often a job that failed is tried again.
        sound: The suffix of files of sound; empty for that of what the model gives.
        on_result: Called with a result, in the thread that ran it, while its files are there.
    """

    job: Job
    manifest: Manifest
    jobs: Jobs
    scratch: Callable[[], Path]
    discard: Callable[[Path], None]
    workers: int = 1
    retries: int = 0
    sound: str = ""
    on_result: Callable[[Item, Result], object] = lambda *_: None

    def run(
        self,
        items: Iterable[Item],
        lines: Lines,
        progress: BatchProgress,
        report: Callable[[], None] = lambda: None,
    ) -> None:
        """Run every item, past failures.

        Args:
            items: What to run; taken as needed.
            lines: Where results go.
            progress: Counts.
            report: Called after each line.

        Raises:
            MMError: When the model can run for no item.
            Cancelled: At an interrupt; what ended by then is written.
        """
        in_flight = InFlightJobs()

        def make(job: Job) -> JobRunner:
            return JobRunner(self.jobs, job, self.retries, in_flight)

        runners = JobRunners(self.jobs, self.job, make)
        run = _BatchRun(self, lines, progress, report, in_flight, runners)
        try:
            try:
                run.all(items)
            finally:
                in_flight.end()
        except KeyboardInterrupt:
            raise Cancelled(
                "interrupted; what is done is written", fix="go on with --resume"
            ) from None
        finally:
            run.save()


@dataclass(frozen=True)
class _Ended:
    """How an item ended: with a line, an error, or both where the line says that it failed."""

    item: Item
    line: dict[str, Any] | None
    error: BaseException | None = None


@dataclass(frozen=True)
class _BatchRun:
    """One run of a batch: the caller's thread makes inputs and writes, the others run jobs."""

    batch: Batch
    lines: Lines
    progress: BatchProgress
    report: Callable[[], None]
    in_flight: InFlightJobs
    runners: JobRunners
    ended: SimpleQueue[_Ended] = field(default_factory=SimpleQueue)

    def all(self, items: Iterable[Item]) -> None:
        """Run every item."""
        batch = self.batch
        running = 0
        for item in items:
            self.lines.begin()  # not before it is known that there is anything to run
            # One item more than workers: its input is made, here, while they all run.
            while running > batch.workers:
                self.write_next()
                running -= 1
            directory = batch.scratch()
            sources = sources_of(batch.manifest, item.given)
            try:
                work = partial(self.run_item, item, directory, sources, item.inputs(directory))
            except Cancelled:
                batch.discard(directory)
                raise
            except MMError as error:
                # In its turn: the items before it may still run.
                batch.discard(directory)
                work = partial(self.ended.put, _failed(item, error, 0.0))
            try:
                self.in_flight.submit("batch", batch.workers, work)
            except Cancelled:  # an item has ended the batch; its error is on its way
                batch.discard(directory)
                break
            running += 1
        for _ in range(running):
            self.write_next()

    def write_next(self) -> None:
        """Wait for the end of an item, and write it; or raise what ends the batch."""
        self.write(self.ended.get())
        self.report()

    def save(self) -> None:
        """Write what ended well on the way out; it is as good as what ended before."""
        while not self.ended.empty():
            one = self.ended.get()
            if one.error is None:
                self.write(one)

    def write(self, one: _Ended) -> None:
        """Write the line of an item and count it; or raise what ends the batch."""
        if one.line is None:
            assert one.error is not None
            raise one.error
        self.lines.write(one.line)
        if isinstance(one.error, MMError):
            self.progress.failed.append((one.item, one.error))
        else:
            self.progress.done += 1
            self.progress.warnings += ((one.item, each) for each in one.line.get("warnings", ()))

    def run_item(
        self, item: Item, directory: Path, sources: Sources, inputs: Mapping[str, Any]
    ) -> None:
        """Run one item, in a thread, and queue how it ended."""
        began = time.monotonic()
        try:
            runner = self.runners.of(inputs)
            runner.load()
            result = runner.run(inputs)
        except ModelUnusable as unusable:
            ended = _Ended(item, None, unusable.cause)
            if self.batch.job.candidates:  # other items may have other models
                ended = _failed(item, unusable.cause, time.monotonic() - began)
        except MMError as error:
            ended = _failed(item, error, time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            ended = _Ended(item, None, error)
        else:
            with result:
                ended = self.keep(item, result, sources, inputs)
        if ended.line is None:
            self.in_flight.close()  # nothing begins while the error is on its way
        self.ended.put(ended)
        self.batch.discard(directory)

    def keep(
        self, item: Item, result: Result, sources: Sources, inputs: Mapping[str, Any]
    ) -> _Ended:
        """Write the files of a result; return its line, or the error that ends the batch."""
        try:
            self.batch.on_result(item, result)
            receipt = result.receipt
            if self.lines.files is not None:
                self.lines.files.keep_producer(receipt)
            described = described_inputs(sources, inputs, receipt.get("inputs", {}))
            return _Ended(item, self.line(item, result, described))
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            return _Ended(item, None, error)

    def line(self, item: Item, result: Result, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the line of an item that ended well; `inputs` is what it says of its inputs."""
        line = {
            "input": item.name,
            "status": OK,
            "outputs": self.outputs(item, result),
            "error": None,
            "seconds": round(sum(result.timings.values()), 3),
            "receipt": result.receipt.get("identity"),
            "inputs": inputs,
        }
        return {**line, "warnings": list(result.warnings)} if result.warnings else line

    def outputs(self, item: Item, result: Result) -> dict[str, Any]:
        """Return what a line says of the outputs; files are written beside the line's file."""
        shown: dict[str, Any] = {}
        for name, value in result.items():
            if not is_binary(value):
                shown[name] = value
            elif self.lines.files is not None:
                suffix = suffix_of(value)
                if self.batch.sound and is_sound(value):
                    suffix = self.batch.sound
                path = self.lines.files.keep(f"{file_name(item)}.{name}{suffix}", value)
                shown[name] = {"path": path, "media_type": media_type(suffix)}
        return shown


def _failed(item: Item, error: MMError, seconds: float) -> _Ended:
    line = {
        "input": item.name,
        "status": FAILED,
        "outputs": {},
        "error": {
            "message": str(error),
            "exit_code": error.exit_code,
            "outcome": error.outcome,
        },
        "seconds": round(seconds, 3),
        "receipt": None,
    }
    return _Ended(item, line, error)


def file_name(item: Item) -> str:
    """Return a name for files of an item: readable, and unlike that of any other item."""
    readable = item.name if isinstance(item.name, str) else "item"
    last = _UNSAFE.sub("-", readable.rpartition("/")[2])[-60:].strip(".-")
    return f"{last or 'item'}-{short(digest_bytes(item.key.encode('utf-8')))[:8]}"
