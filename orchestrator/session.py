"""The Python API: a session whose workers live as long as it does."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, wraps
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from msgspec import to_builtins
from msgspec.structs import replace

from orchestrator.core.devices import AUTO
from orchestrator.core.languages import LANGUAGE, language_input
from orchestrator.core.manifest import FILE_TYPES
from orchestrator.core.paths import given_path, working_directory
from orchestrator.core.refusals import refusals
from orchestrator.core.value_checks import check_inputs
from orchestrator.engines import local_engine
from orchestrator.engines.messages import decode_output
from orchestrator.engines.preparing import LocalPreparer
from orchestrator.errors import Cancelled, Crashed, MMError, UsageError
from orchestrator.jobs.calling_thread import CallingThread
from orchestrator.jobs.input_files import describe_inputs, resolve_files
from orchestrator.jobs.job import Event, Job
from orchestrator.jobs.receipts import receipt
from orchestrator.jobs.results import Result
from orchestrator.jobs.retries import with_retries
from orchestrator.session_models import SessionModels
from orchestrator.system.finishing import to_the_end
from orchestrator.system.notebook_reporter import NotebookReporter, notebook_reporter
from orchestrator.system.reporter import Reporter, Silent
from orchestrator.system.scratch import Scratch
from orchestrator.system.userenv import snapshot
from orchestrator.workspace import Workspace

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from orchestrator.catalog import Catalog, Declared
    from orchestrator.engines import EngineFactory
    from orchestrator.engines.interface import Engine
    from orchestrator.engines.preparing import Preparer
    from orchestrator.jobs.in_flight import InFlightJobs, JobFuture


ENGINES = ("local", "ray")

_END = object()
"""Comes after the last chunk of a stream."""


P = ParamSpec("P")
T = TypeVar("T")


def _addressing(
    method: Callable[Concatenate[Session, P], T],
) -> Callable[Concatenate[Session, P], T]:
    """Have the errors of a method address the program that has made the session."""

    @wraps(method)
    def call(self: Session, /, *args: P.args, **keywords: P.kwargs) -> T:
        try:
            return method(self, *args, **keywords)
        except MMError as error:
            if self._program:
                error.address_program()
            raise

    return call


class Session:
    """Runs models; use it as a context manager. Threads may share one.

    Args:
        manifests: Directories of manifests, before every other.
        home: A directory to use instead of `MM_HOME`.
        engine: Where jobs run: "local", "ray", or what makes an engine.
        workers: How many workers of one model may live at once.
        address: The Ray cluster: "HOST:PORT" of its head, "auto" for the one that this machine is
            in, "local" for one that is started here and ends with the session. By default the one
            that this machine is in, else a local one.
        model_dirs: Directories on the cluster's nodes that hold the files of models, by model.
        reporter: Receives notes and progress of environments that are built. In a notebook they are
            shown by default, with the progress of jobs.
        workspace: What the session stands on, made already; replaces `manifests` and `home`.

    Raises:
        UsageError: For an engine that does not exist.
    """

    def __init__(
        self,
        manifests: Iterable[str | Path] = (),
        home: str | Path | None = None,
        engine: str | EngineFactory = "local",
        *,
        workers: int = 1,
        address: str | None = None,
        model_dirs: Mapping[str, str | Path] | None = None,
        reporter: Reporter | None = None,
        workspace: Workspace | None = None,
    ) -> None:
        if isinstance(engine, str) and engine not in ENGINES:
            raise UsageError(f"there is no engine {engine!r}", fix=f"choose {' or '.join(ENGINES)}")
        if engine != "ray" and (address is not None or model_dirs):
            raise UsageError("an address and directories on nodes are for the engine ray alone")
        _check_workers(workers)
        self.workspace = workspace or Workspace(
            variables=snapshot(),
            cwd=working_directory(),
            manifests=tuple(given_path(path, "manifests") for path in manifests),
            root=given_path(home, "home") if home is not None else None,
            reporter=reporter or notebook_reporter() or Silent(),
            warn=reporter.note if reporter else _warn,
        )
        self._scratch = Scratch(self.workspace.home)
        self._engine: Engine
        self._preparer: Preparer
        try:
            if engine == "ray":
                from orchestrator.engines.ray import ray_engine

                self._engine, self._preparer = ray_engine(
                    self.workspace, self._scratch, workers, address, model_dirs or {}
                )
            else:
                make = local_engine if isinstance(engine, str) else engine
                self._engine = make(self.workspace, self._scratch, workers)
                self._preparer = LocalPreparer(self.workspace)
        except BaseException:
            self._scratch.close()
            raise
        self._workers = workers
        self._lock = threading.RLock()  # a signal handler may submit a job
        self._thread = CallingThread()
        self._in_flight: InFlightJobs | None = None
        self._program = workspace is None  # a command words its own errors
        self._models = SessionModels(self.workspace, self._preparer, self._engine)
        self._closed = False
        self._forked = False
        _sessions.add(self)

    def __enter__(self) -> Session:  # noqa: PYI034 - Self is typing's from 3.11 on
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(cancel=error is not None)

    def close(self, *, cancel: bool = False) -> None:
        """End the workers and remove the jobs' directories, artifacts included.

        Jobs that are queued are cancelled; those that have begun end first. An interrupt cancels
        them, another one ends them at once, and everything is closed before it is raised.

        Args:
            cancel: Whether to cancel what has begun as well, instead of waiting.

        Raises:
            UsageError: In the middle of a job, which would have to end first.
        """
        if self._closed or self._forked:
            return
        self._thread.check_may_wait()
        with self._lock:
            self._closed = True
            jobs = self._in_flight
        # Each is closed whatever another one raises.
        steps = [self._engine.close, self._scratch.close, self._preparer.close]
        with contextlib.ExitStack() as stack:
            for step in reversed(steps):
                stack.callback(to_the_end, step)
            if jobs is not None:
                stack.callback(jobs.end)
                jobs.close()
                if not cancel:
                    jobs.wait()

    def cancel_all(self) -> None:
        """Cancel every job that was submitted and has not ended; no more begin.

        Asked again, those that have begun end at once.
        """
        self._jobs().stop()

    def run(
        self,
        name: str,
        /,
        *,
        model: str | None = None,
        device: str = AUTO,
        dtype: str = AUTO,
        timeout: float | None = None,
        wait: bool = False,
        **inputs: Any,
    ) -> Result:
        """Run the task or model `name` on `inputs` and return its outputs.

        A missing environment is built first.

        Args:
            name: A task ("ocr") or a model ("rapidocr").
            model: The model that is to stand for the task.
            device: "auto", "cpu", "cuda", "cuda:1", "mps" or "mlx".
            dtype: "auto", "float32", "bfloat16", "float16", "8bit" or "4bit".
            timeout: Seconds that the run may take.
            wait: Whether to wait for memory that busy workers hold, instead of refusing the job.
            **inputs: The manifest's inputs: values, and paths for images, files and audio.

        Raises:
            MMError: One of its subclasses says how the job ended.
        """
        return self.execute(Job(name, inputs, model, device, dtype, timeout, wait=wait))

    def submit(self, name: str, /, **keywords: Any) -> JobFuture[Result]:
        """Queue `run(name, **keywords)` and return its future at once.

        The jobs of a model begin in the order in which they were submitted, as many at once as
        the session has workers. The future's `cancel` works until the job has ended.
        """
        return self.start(job_of(name, keywords))

    def start(self, job: Job) -> JobFuture[Result]:
        """Queue a job with every option there is; `submit` is the short form."""
        return self._queue(job, self._run)

    def _queue(self, job: Job, run: Callable[[Job], T]) -> JobFuture[T]:
        self._check_usable(job)
        jobs = self._jobs()

        def work() -> T:
            with jobs.cancellation() as cancellation, self._thread:
                job.on_event(Event("started", {}, []))
                return run(replace(job, cancellation=cancellation))

        # Which model a task stands for is found out in the thread.
        lane = f"{job.name} {job.model or ''} {job.device} {job.dtype}"
        return jobs.submit(lane, max(self._workers, job.workers), work)

    def _jobs(self) -> InFlightJobs:
        with self._lock:
            if self._in_flight is None:
                # Only here: a command needs none, and it brings `logging` with it.
                from orchestrator.jobs.in_flight import InFlightJobs

                self._in_flight = InFlightJobs(self._thread)
            return self._in_flight

    def map(
        self,
        name: str,
        items: Iterable[Mapping[str, Any]],
        /,
        *,
        workers: int | None = None,
        **keywords: Any,
    ) -> Iterator[Result]:
        """Run `name` on each item, a mapping of inputs, and yield the results in order.

        At most twice as many items as there are workers are taken ahead of the results. A caller
        that stops iterating cancels those.

        Args:
            name: A task or a model.
            items: The inputs that differ from item to item.
            workers: How many workers may live at once; by default as many as the session says.
            **keywords: As for `run`, for every item.

        Raises:
            MMError: The first error of an item, when its turn comes.
        """
        waiting: deque[JobFuture[Result]] = deque()
        try:
            for job in self.jobs_of(name, items, workers, keywords):
                waiting.append(self.start(job))
                if len(waiting) >= 2 * job.workers:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:
            for future in waiting:
                abandon(future)

    def stream(self, name: str, /, *, output: str | None = None, **keywords: Any) -> Iterator[Any]:
        """Run `name` and yield the chunks of one output as they come.

        A runner that streams nothing gives its whole output as the only chunk. A caller that stops
        iterating cancels the job. Chunks that the caller has not taken are kept in memory: the job
        does not wait for its caller.

        Args:
            name: A task or a model.
            output: The output to listen to; the primary one by default.
            **keywords: As for `run`.

        Raises:
            MMError: As for `run`, after the chunks that came before.
        """
        self._thread.check_may_wait()
        arrived: SimpleQueue[Any] = SimpleQueue()
        future = self.start_stream(job_of(name, keywords), output, arrived.put)
        future.add_done_callback(lambda _: arrived.put(_END))
        try:
            while (chunk := arrived.get()) is not _END:
                yield chunk
            future.result()
        finally:
            to_the_end(future.cancel_and_wait)

    def start_stream(
        self, job: Job, output: str | None, on_chunk: Callable[[Any], None]
    ) -> JobFuture[None]:
        """Queue a job, and pass on the chunks of one output as `stream` does.

        Args:
            job: The job.
            output: The output's name; the primary one by default.
            on_chunk: Called with each chunk, in the thread that runs the job.
        """

        def run(job: Job) -> None:
            declared = self._choose(job)
            wanted = output or declared.manifest.primary_output
            if wanted not in declared.manifest.outputs:
                raise UsageError(f"{declared.manifest.name} has no output {wanted!r}")
            streamed = False

            def on_event(event: Event) -> None:
                nonlocal streamed
                if event.kind == "chunk" and event.params.get("output") == wanted:
                    streamed = True
                    on_chunk(self.chunk(declared, event))

            result = self._run(replace(job, on_event=on_event))
            if not streamed and wanted in result:
                on_chunk(result[wanted])
            if declared.manifest.outputs[wanted].type not in FILE_TYPES:
                result.discard()  # no one gets its files

        return self._queue(job, run)

    def jobs_of(
        self,
        name: str,
        items: Iterable[Mapping[str, Any]],
        workers: int | None,
        keywords: Mapping[str, Any],
    ) -> Iterator[Job]:
        """Yield the jobs of `map`."""
        count = self._workers if workers is None else workers
        _check_workers(count)
        for item in items:
            _check_item(item)
            yield replace(job_of(name, {**keywords, **item}), workers=count)

    def spool(self) -> Path:
        """Return a directory for files that are made for a job; it goes with the session."""
        return self._scratch.new_job()

    def chunk(self, declared: Declared, event: Event) -> Any:
        """Return what a job has streamed, as a user gets it.

        Raises:
            OutputError: When the worker sent what the manifest does not allow.
        """
        name, value = str(event.params.get("output")), event.params.get("value")
        directory = str(self._scratch.path)
        return decode_output(declared.manifest, name, value, event.buffers, directory)

    def tasks(self) -> dict[str, list[str]]:
        """Return the models of each task, the preferred ones first."""
        catalog = self._catalog()
        return {task: [each.name for each in models] for task, models in catalog.tasks.items()}

    def models(self) -> dict[str, dict[str, Any]]:
        """Return the task, the summary, the devices and the file of each model, by its name."""
        return {
            name: {
                "task": one.manifest.task,
                "summary": one.manifest.summary,
                "devices": list(one.manifest.devices),
                "manifest": str(one.file),
            }
            for name, one in self._catalog().models.items()
        }

    @_addressing
    def inputs(self, name: str, /) -> dict[str, dict[str, Any]]:
        """Return what `run(name, ...)` takes: the type of each input, whether it is required, help.

        Where there are any, also the default, choices and limits.

        Args:
            name: A task or a model.

        Raises:
            MMError: As `run`, for a name that stands for nothing.
        """
        self.workspace.refresh()
        declared = self.workspace.choose(name).declared.manifest.inputs
        return {
            each: {key: value for key, value in to_builtins(one).items() if value not in (None, ())}
            for each, one in declared.items()
        }

    def _catalog(self) -> Catalog:
        self.workspace.refresh()
        return self.workspace.catalog

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        engine = type(self._engine).__name__
        return (
            f"<Session: {engine} in {self.workspace.home.root}, {self._workers} worker(s){state}>"
        )

    def execute(self, job: Job) -> Result:
        """Run one job with every option there is; `run` is the short form."""
        self._check_usable(job)
        with self._thread:
            return self._run(job)

    def _check_usable(self, job: Job) -> None:
        if self._forked:
            # Two processes on one connection would read each other's answers.
            raise UsageError(
                "this session belongs to the process that forked this one",
                fix="make a session of its own here",
            )
        if self._closed:
            raise Cancelled(f"{job.name} was cancelled: its session has ended")

    @_addressing
    @refusals()
    def _run(self, job: Job) -> Result:
        declared = self._choose(job)
        manifest = declared.manifest
        spoken = language_input(manifest, job.language) if job.language else ""
        values = check_inputs(manifest, ({LANGUAGE: spoken} if spoken else {}) | dict(job.inputs))
        if manifest.takes_paths:
            values = resolve_files(manifest, values)
        job = replace(job, inputs=values)
        model, seconds = self._models.prepare(declared, job)
        described: Mapping[str, Any] = values
        if manifest.takes_paths:
            # Where a job runs elsewhere, the node that reads the files says what they were.
            described = describe_inputs(manifest, values) if self._preparer.reads_files else {}
        with self._shown(job) as shown:
            run = partial(self._engine.run, shown, model)
            completed = with_retries(run, job.retries, (Crashed,), self._note_retry)
        timings = {"environment": seconds, **completed.timings}

        def make_receipt() -> dict[str, Any]:
            producer = completed.produced_by or model.produced_by()
            given = completed.inputs or described
            return receipt(producer, given, timings, completed.warnings)

        return Result(
            completed.outputs,
            manifest.name,
            manifest.primary_output,
            make_receipt,
            timings,
            completed.warnings,
            partial(self._discard, completed.directories),
        )

    @contextlib.contextmanager
    def _shown(self, job: Job) -> Iterator[Job]:
        """Yield the job; in a notebook, one whose progress is a bar."""
        reporter = self.workspace.reporter
        if not isinstance(reporter, NotebookReporter):
            yield job
            return
        with reporter.following(job.name, job.on_event) as on_event:
            yield replace(job, on_event=on_event)

    @_addressing
    @refusals()
    def load(self, job: Job) -> None:
        """Build the environment and load a worker for `job`, before its first job needs one.

        Raises:
            MMError: As `execute`, for what goes wrong before a job begins.
        """
        self._check_usable(job)
        with self._thread:
            model, _ = self._models.prepare(self._choose(job), job)
            self._engine.load(job, model)

    @_addressing
    @refusals()
    def produced_by(self, job: Job) -> Mapping[str, Any]:
        """Return the part of a receipt that jobs such as `job` have in common.

        A missing environment is built first, because it is part of the answer.
        """
        self._check_usable(job)
        with self._thread:
            declared, job = self._choose(job), replace(job, inputs={})
            model, _ = self._models.prepare(declared, job, runs=False)
            return model.produced_by()

    def model_for(self, job: Job) -> str:
        """Return the model that runs `job`: of a task, the one for the language of its inputs.

        Raises:
            MMError: When none does.
        """
        return self._choose(job).name

    def is_built(self, name: str) -> bool:
        """Return whether the environment of the model `name` is there."""
        return self.workspace.environments.ready(self._choose(Job(name))) is not None

    def discard(self, directory: Path) -> None:
        """Remove a directory that `spool` made, or that of a job, before the session ends."""
        self._scratch.discard(str(directory))

    def _discard(self, directories: Iterable[str]) -> None:
        for directory in directories:
            self._scratch.discard(directory)

    def _note_retry(self, error: MMError, left: int) -> None:
        self.workspace.reporter.note(f"{error.what}; trying again ({left} left)")

    @_addressing
    def _choose(self, job: Job) -> Declared:
        return self._models.choose(job)


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()
"""All of this process."""


def _forked() -> None:
    for session in list(_sessions):
        session._forked = True  # noqa: SLF001 - it is this module's


os.register_at_fork(after_in_child=_forked)


def _warn(text: str) -> None:
    # The level of the caller depends on what has read the manifests; the text names the file.
    warnings.warn(text, stacklevel=2)


def _check_workers(asked: int) -> None:
    if not isinstance(asked, int) or asked < 1:
        raise UsageError(f"{asked!r} workers", fix="give at least 1")


def _check_item(item: object) -> None:
    if not isinstance(item, Mapping):
        kind = type(item).__name__
        raise UsageError(
            f"an item of `map` is a mapping of inputs, not {kind}",
            fix='give each as {"text": "..."}, by the names of the inputs',
        )


def _first(waiting: deque[JobFuture[T]]) -> T:
    result = waiting[0].result()
    waiting.popleft()  # not before: an interrupt leaves it to be cancelled
    return result


def abandon(future: JobFuture[Any]) -> None:
    """Cancel a job whose result no one will take, and remove the files of what it returns."""
    future.cancel()
    future.add_done_callback(_discard_result)


def _discard_result(future: Future[Any]) -> None:
    if not future.cancelled() and future.exception() is None:
        result = future.result()
        if isinstance(result, Result):
            result.discard()


def job_of(name: str, keywords: Mapping[str, Any]) -> Job:
    """Return the job of `run(name, **keywords)`: some keywords are options, the others inputs."""
    inputs = dict(keywords)
    options = ("model", "device", "dtype", "timeout", "wait")
    chosen = {name: inputs.pop(name) for name in options if name in inputs}
    return Job(name, inputs, **chosen)
