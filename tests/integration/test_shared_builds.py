"""Jobs of one process that wait for builds: shared, side by side, and cancelled one by one."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.environments import Environments
from orchestrator.environments.shared_builds import BUILDS
from orchestrator.errors import Cancelled, UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.job import Job
from orchestrator.session import Session
from orchestrator.workspace import Workspace
from tests.integration.environment_world import World
from tests.models import Notes
from tests.packages import Index, serving

SOON = 60.0


@pytest.fixture
def world(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    with serving(Index(files)) as index:
        made = World(tmp_path / "world", index, tmp_path / "cache")
        made.variables["PIP_CACHE_DIR"] = str(tmp_path / "pip")
        made.flag = tmp_path / "wait"
        code = f"import os, time\nwhile os.path.exists({str(made.flag)!r}):\n    time.sleep(0.02)\n"
        made.wheel("slow", "1.0", files={"slow/__init__.py": code})
        made.wheel("other", "1.0")
        made.model("slow", ["slow==1.0"], probe=["slow"])
        made.model("other", ["other==1.0"])
        made.forget_downloads()
        made.index.arrived.clear()
        made.workspace = Workspace(
            variables={**os.environ, **made.variables}, cwd=made.root, reporter=Notes()
        )
        made.threads = ThreadPoolExecutor()
        yield made
        index.closed.clear()
        made.flag.unlink(missing_ok=True)
        made.threads.shutdown()
        made.close()


def until(condition):
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def downloads(world, name):
    return any(f"/files/{name}-" in path for path in world.index.arrived)


STEPS = {
    "creating": lambda world: world.environments() != [],
    "installing": lambda world: downloads(world, "slow"),
    "probing": lambda world: "import slow" in world.log(),
}


def tools_left(world):
    """Return the processes that work on the environments of this world."""
    shown = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
    return [line for line in shown.stdout.splitlines() if str(world.home) in line]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("backend", ["uv", "virtualenv"])
def test_a_build_that_the_only_job_left_is_ended_whole(world, backend, step):
    place = world.workspace
    environments = Environments(place.home, place.variables, place.reporter, backend)
    slow, stop = place.catalog.model("slow"), threading.Event()
    (world.flag.touch if step == "probing" else world.index.closed.set)()
    job = world.threads.submit(environments.ensure, slow, stopped=stop.is_set)
    until(lambda: STEPS[step](world))
    stop.set()
    with pytest.raises(Cancelled, match="slow was cancelled while it was waiting for its env"):
        job.result()
    assert world.environments() == []
    assert tools_left(world) == []
    world.index.closed.clear()
    world.flag.unlink(missing_ok=True)
    assert environments.ensure(slow).path == world.whole()[0]


def test_a_job_that_is_cancelled_leaves_the_build_to_the_other(world):
    with (
        Session(workspace=world.workspace) as session,
        contextlib.closing(Cancellation()) as cancellation,
    ):
        world.index.closed.set()
        first = world.threads.submit(session.load, Job("slow", cancellation=cancellation))
        until(lambda: downloads(world, "slow"))
        with pytest.raises(UsageError):  # after which the session reads everything anew
            session.run("no-such-model")
        second = world.threads.submit(session.execute, Job("slow", {"text": "a"}))
        until(lambda: [build.callers for build in BUILDS._running.values()] == [2])
        cancellation.request()
        with pytest.raises(Cancelled):
            first.result()
        assert world.whole() == []
        world.index.closed.clear()
        assert second.result()["text"] == "a"
    assert len([note for note in world.workspace.reporter.notes if "built the env" in note]) == 1
    assert len([path for path in world.index.asked if path.endswith(".whl")]) == 1


def test_a_job_alone_that_is_cancelled_during_its_build_can_be_run_again(world):
    with (
        Session(workspace=world.workspace) as session,
        contextlib.closing(Cancellation()) as cancellation,
    ):
        world.flag.touch()
        job = Job("slow", {"text": "a"}, cancellation=cancellation)
        first = world.threads.submit(session.execute, job)
        until(lambda: STEPS["probing"](world))
        cancellation.request()
        with pytest.raises(Cancelled):
            first.result()
        assert world.environments() == []
        world.flag.unlink()
        assert session.run("slow", text="a")["text"] == "a"


def test_models_of_different_environments_are_built_at_the_same_time(world):
    with Session(workspace=world.workspace) as session:
        world.index.closed.set()
        jobs = [
            world.threads.submit(session.execute, Job(name, {"text": name}))
            for name in ("slow", "other")
        ]
        until(lambda: downloads(world, "slow") and downloads(world, "other"))
        world.index.closed.clear()
        assert [job.result()["text"] for job in jobs] == ["slow", "other"]


def test_ctrl_c_ends_a_run_that_builds_and_its_build(world):
    world.index.closed.set()
    running = world.start("run", "slow", "--text", "a")
    running.wait_until(lambda: downloads(world, "slow"))
    running.signal(signal.SIGINT)
    assert running.end() == 130
    assert world.environments() == []
    assert tools_left(world) == []
