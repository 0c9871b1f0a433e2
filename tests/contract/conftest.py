"""Real workers for the contract tests: under every Python there is, native and portable."""

import contextlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.client import launch
from orchestrator.client.launch import WorkerSpec
from orchestrator.client.requests import WorkerRequest
from orchestrator.client.runtime import RuntimeDirectory
from orchestrator.engines.ray.cluster import MUTE, QUIET
from orchestrator.system.userenv import during
from tests import portable
from tests.guards import ray_at_work
from tests.machine import pythons

RUNNER = Path(__file__).with_name("runner.py")


def variants(*, every):
    """The oldest and the newest Python as on this system (or `every` one); the oldest as on others.

    What depends on how a Python starts, ends, forks or prints is marked `every_python`.
    """
    versions = list(pythons())
    chosen = versions if every else dict.fromkeys((versions[0], versions[-1]))
    yield from (f"{version}-native" for version in chosen)
    if sys.platform == "linux":
        yield f"{versions[0]}-portable"


def pytest_generate_tests(metafunc):
    if "workers" in metafunc.fixturenames:
        every = metafunc.definition.get_closest_marker("every_python") is not None
        metafunc.parametrize("workers", list(variants(every=every)), indirect=True)


@dataclass
class Workers:
    """Starts workers and ends them all."""

    runtime: RuntimeDirectory
    logs: Path
    spec: WorkerSpec
    root: Path

    def __post_init__(self):
        self.started = []

    def start(self, *, load=True, kept=False, keep_alive=-1, **changes):
        """Start a worker of this variant, with its model loaded unless `load` is false."""
        spec = replace(self.spec, **changes)
        worker = launch.spawn(spec, self.runtime, self.logs, kept=kept)
        launch.greet(worker)
        self.started.append(worker)
        if load:
            worker.load(self.load_call(spec, keep_alive))
        return worker

    def connect(self, worker):
        """Return another client's connection to `worker`."""
        other = type(worker)(worker.record, self.runtime, worker.record.foreign())
        launch.connect(other)
        self.started.append(other)
        return other

    def load_call(self, spec=None, keep_alive=-1):
        params = {
            **(spec or self.spec).load_parameters(),
            "inputs": {"what": "text", "n": "number", "array": "array", "path": "file"},
            "outputs": {"text": "text", "array": "array", "file": "file", "json": "json"},
            "primary": "text",
        }
        if keep_alive >= 0:
            params["keep_alive"] = keep_alive
        return WorkerRequest(params, 60)

    def call(self, what, *, seconds=60.0, parts=(), terms=None, **inputs):
        """Return the request that runs one job."""
        directory = str(self.root / "job")
        params = {"inputs": {"what": what, **inputs}, "directory": directory, **(terms or {})}
        return WorkerRequest(params, seconds, list(parts), directory)

    def run(self, worker, what, **keys):
        """Run one job and return the text that it gives."""
        return worker.run(self.call(what, **keys)).body["result"]["outputs"]["text"]


@pytest.fixture(scope="session")
def portable_package(tmp_path_factory):
    """The worker's package as it is where the system offers nothing."""
    return portable.worker_package(tmp_path_factory.mktemp("portable") / "worker")


@pytest.fixture
def workers(request, portable_package, tmp_path):
    version, _, kind = request.param.partition("-")
    # Not pytest's own directory: the path of a socket may have 104 bytes.
    run = Path(tempfile.mkdtemp(prefix="mm-"))
    spec = WorkerSpec(
        model="m",
        python=pythons()[version],
        environment="e" * 64,
        variables={"PATH": os.defpath, "HOME": str(tmp_path)},
        runner={str(RUNNER): RUNNER.read_text(encoding="utf-8")},
    )
    with contextlib.ExitStack() as stack:
        if kind == "portable":
            spec = replace(spec, package=portable_package)
            stack.enter_context(portable.taken_away())
        workers = Workers(RuntimeDirectory(run), tmp_path / "logs", spec, tmp_path)
        yield workers
        for worker in workers.started:
            worker.stop()
    shutil.rmtree(run)


@pytest.fixture(scope="module")
def ray_of_this_machine():
    """A Ray cluster of one node of four cores and a GPU, which need not be there."""
    with during({**QUIET, **MUTE}):
        import ray
    with during(QUIET), ray_at_work():
        ray.init(
            address="local",
            num_cpus=4,
            num_gpus=1,
            object_store_memory=100_000_000,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    yield
    with ray_at_work():
        ray.shutdown()
