"""An engine as seen through `AsyncSession`: the contract of engines is that of sessions as well."""

import asyncio
import threading
from functools import cached_property

from msgspec.structs import replace

from orchestrator.async_session import AsyncSession
from orchestrator.engines.interface import EngineResult
from orchestrator.workspace import ChosenModel
from tests.fakes import FakeWorkspace

AGAIN = 0.05
"""Seconds between two cancellations of a task: two at once are one to asyncio."""


class OneEngine:
    """An engine that gets jobs from a session, and their models from the test."""

    def __init__(self, engine, models):
        self.engine = engine
        self.models = models

    def run(self, job, model):
        self.last = self.engine.run(job, self.models[int(job.name)])
        return self.last

    def load(self, job, model):
        self.engine.load(job, self.models[int(job.name)])

    def close(self):
        self.engine.close()


class Models(FakeWorkspace):
    """Models by number, whose environments are there."""

    def __init__(self, root, models):
        super().__init__(root)
        self.models = models

    def choose(self, name, model=None, wanted=None, candidates=()):
        return ChosenModel(replace(self.declared, manifest=self.models[int(name)].manifest))


class Loop:
    """An event loop in a thread of its own."""

    @cached_property
    def loop(self):
        loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=loop.run_forever)
        self.thread.start()
        return loop

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class SessionEngine:
    """Runs each job as a task of an `AsyncSession`; what asks the job to stop cancels the task.

    Args:
        root: The home of the session is in it.
        make: Makes the engine beneath from the session's scratch directory.
    """

    def __init__(self, root, make):
        self.models = []
        self.loop = Loop()

        def engine(workspace, scratch, workers):
            self.scratch = scratch
            self.engine = OneEngine(make(scratch), self.models)
            return self.engine

        self.session = AsyncSession(workspace=Models(root, self.models), engine=engine)
        self.loop.call(self.session.__aenter__())
        self.closed = False

    def run(self, job, model):
        outcome = self.loop.call(self._outcome(self._named(job, model)))
        if isinstance(outcome, BaseException):
            raise outcome
        directories = self.engine.last.directories
        return EngineResult(
            dict(outcome), outcome.timings, warnings=outcome.warnings, directories=directories
        )

    def load(self, job, model):
        self.session._session.load(self._named(job, model))

    def close(self):
        if not self.closed:
            self.closed = True
            self.loop.call(self.session.close(cancel=True))
            self.loop.close()

    def _named(self, job, model):
        if model not in self.models:
            self.models.append(model)
        return replace(job, name=str(self.models.index(model)))

    async def _outcome(self, job):
        loop, task, asks = asyncio.get_running_loop(), asyncio.current_task(), job.cancellation

        def cancel():
            for n in range(asks.drain()):
                loop.call_later(n * AGAIN, task.cancel)

        if asks is not None:
            loop.add_reader(asks, cancel)
        try:
            return await self.session.execute(replace(job, cancellation=None))
        except asyncio.CancelledError as error:
            return error.__cause__
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the test
            return error
        finally:
            if asks is not None:
                loop.remove_reader(asks)
