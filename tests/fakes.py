"""Fakes that stand for ports of the orchestrator. mypy holds them to the protocols."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.core.manifest import Input, Output, Timeouts
from orchestrator.engines.interface import EngineResult
from orchestrator.environments import BuiltEnvironment, Environments
from orchestrator.session import Session
from orchestrator.system.waiting import ENDLESS, Deadline
from orchestrator.workspace import ChosenModel, Workspace
from tests.models import DIGEST, Notes, built, model

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from orchestrator.catalog import Declared
    from orchestrator.client.supervisors import SupervisorProcess
    from orchestrator.core.languages import Wanted
    from orchestrator.engines.interface import Engine, PreparedModel
    from orchestrator.environments.build import FirstLoad
    from orchestrator.jobs.job import Job
    from orchestrator.system.machine import Memory
    from orchestrator.system.reporter import Reporter


class FakeEngine:
    """Runs a Python function instead of a worker; the function returns the job's text."""

    def __init__(self, run: Callable[[Job], str]) -> None:
        self._run = run
        self.jobs: list[Job] = []
        self.models: list[PreparedModel] = []
        self.loaded: list[Job] = []
        self.closed = 0
        self.spool: Callable[[], Path] | None = None  # where each job leaves a file

    def run(self, job: Job, model: PreparedModel) -> EngineResult:
        self.jobs.append(job)
        self.models.append(model)
        text = self._run(job)
        directories = []
        if self.spool is not None:
            directories.append(self.spool())
            (directories[0] / "file").touch()
        return EngineResult(
            {"text": text},
            {"run": 0.5},
            warnings=("cut off",),
            directories=tuple(map(str, directories)),
        )

    def load(self, job: Job, model: PreparedModel) -> None:
        self.loaded.append(job)
        self.models.append(model)

    def close(self) -> None:
        self.closed += 1


class FakeEnvironments(Environments):
    """One environment, which looks as if it were built."""

    ensured = 0
    deadline = ENDLESS

    def build(self, stopped: Callable[[], bool]) -> None:
        del stopped
        time.sleep(0.01)

    def ensure(
        self,
        declared: Declared,
        deadline: Deadline = ENDLESS,
        stopped: Callable[[], bool] = lambda: False,
        first_load: FirstLoad | None = None,
    ) -> BuiltEnvironment:
        del first_load
        self.ensured += 1
        self.deadline = deadline
        self.build(stopped)
        path = self.store.directory("echo", DIGEST)
        with self._planning:
            path = path if path.exists() else built(self.store, model="echo")
        return BuiltEnvironment(
            digest=DIGEST,
            path=path,
            python=path / "bin" / "python",
            python_version="3.12.1",
            versions={"six": "1.17"},
            lock_digest="ll",
            mine=False,
            store=self.store,
        )

    @property
    def held(self) -> bool:
        """Whether the environment is in use."""
        lock = self.store.try_unused(DIGEST)
        if lock is not None:
            lock.release()
        return lock is None


class FakeWorkspace(Workspace):
    """One model, `echo` of the task `try`, whose environment is there already."""

    def __init__(self, root: Path) -> None:
        self.notes = Notes()
        super().__init__(variables={}, cwd=root, root=root / "home", reporter=self.notes)
        declared = model(root, "echo")
        manifest = replace(
            declared.manifest,
            inputs={"text": Input(type="text", required=True), "n": Input(type="integer")},
            outputs={"text": Output(type="text", primary=True)},
            timeouts=Timeouts(load=7, run=9),
            keep_alive="3m",
        )
        self.declared = replace(declared, manifest=manifest)
        self.declared.runner.parent.mkdir(parents=True)
        self.declared.runner.write_text("# the runner\n")

    @cached_property
    def environments(self) -> FakeEnvironments:
        return FakeEnvironments(self.home, self.variables, self.reporter)

    @cached_property
    def memory(self) -> Mapping[str, int | None]:
        return {}

    def choose(
        self,
        name: str,
        model: str | None = None,
        wanted: Wanted | None = None,
        candidates: Collection[str] = (),
    ) -> ChosenModel:
        assert name in ("echo", "try")
        return ChosenModel(self.declared, "try: echo (the only one)")


class FakeSession(Session):
    """A session on a fake world and a fake engine."""

    def __init__(
        self,
        world: FakeWorkspace,
        run: Callable[[Job], str] = lambda job: str(job.inputs["text"]).upper(),
        *,
        workers: int = 1,
    ) -> None:
        self.engine = FakeEngine(run)
        super().__init__(workspace=world, engine=lambda *_: self.engine, workers=workers)


@dataclass
class FakeMemory:
    """So many bytes are free, whatever the device; None where no one knows."""

    left: int | None = None
    asked: list[str] = field(default_factory=list)

    def free(self, device: str, pool: str = "") -> int | None:
        del pool
        self.asked.append(device)
        return self.left


class FakeSupervisor:
    """Has ended already, unless a test says otherwise; counts how often it was asked to end."""

    def __init__(self) -> None:
        self.told = 0
        self.own = False
        self.ended = True

    def end(self) -> None:
        self.told += 1

    def wait(self, seconds: float) -> bool:
        return self.ended


if TYPE_CHECKING:
    _reporter: type[Reporter] = Notes
    _memory: type[Memory] = FakeMemory
    _supervisor: type[SupervisorProcess] = FakeSupervisor
    _engine: type[Engine] = FakeEngine
