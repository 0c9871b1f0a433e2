"""The load of a new environment's first worker, which stands for the probes."""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

from orchestrator.engines import kept_engine
from orchestrator.errors import Cancelled, EnvironmentFailure, JobFailed
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.job import Job
from orchestrator.session import Session
from orchestrator.system.flock import try_lock
from orchestrator.workspace import Workspace
from tests.integration.environment_world import World
from tests.packages import Index, serving

RUNNER = """\
import os, time
{imports}

def check(job, *, text):
    if text == "bad":
        job.reject("no bad words")

def load(context):
    open({loading!r}, "w").close()
    while os.path.exists({flag!r}):
        time.sleep(0.02)
    {then}

def run(model, job, *, text):
    return {{"text": text}}
"""


class Loads(World):
    """A world with the packages alpha and beta, which note each time that they are imported."""

    def __init__(self, root, index, cache):
        super().__init__(root, index, cache)
        self.flag, self.loading = self.root / "wait", self.root / "loading"
        self.broken = self.root / "broken"
        for name in ("alpha", "beta"):
            code = (
                f"import os\nopen({str(self.root / name)!r}, 'a').write('1')\n"
                f"if os.path.exists({str(self.broken)!r} + __name__): raise ImportError('no libGL')"
            )
            self.wheel(name, "1.0", files={f"{name}/__init__.py": code})
        self.declare()

    def declare(self, imports="import alpha", then="pass"):
        """Declare the model `one`, whose runner imports only alpha unless asked otherwise."""
        paths = {"loading": str(self.loading), "flag": str(self.flag)}
        runner = RUNNER.format(imports=imports, then=then, **paths)
        dependencies = ["alpha==1.0", "beta==1.0"]
        self.model("one", dependencies, probe=["alpha", "beta"], runner=runner)

    def break_package(self, name):
        self.broken.with_name(self.broken.name + name).touch()

    def imports(self, name):
        """Return how often a package was imported."""
        path = self.root / name
        return len(path.read_text()) if path.exists() else 0

    def probes(self):
        (path,) = self.whole()
        return json.loads((path / "mm-environment.json").read_text())["probes"]

    def processes(self):
        shown = subprocess.run(
            ["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True
        )
        return [line for line in shown.stdout.splitlines() if str(self.home / "envs") in line]

    def signal_workers(self, number):
        """Send a signal to every process of an environment."""
        for line in self.processes():
            os.kill(int(line.split()[0]), number)


@pytest.fixture
def world(tmp_path):
    (tmp_path / "files").mkdir()
    with serving(Index(tmp_path / "files")) as index:
        made = Loads(tmp_path / "world", index, tmp_path / "cache")
        yield made
        made.flag.unlink(missing_ok=True)
        made.mm("stop", "--all")
        made.close()


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


@pytest.mark.parametrize("command", [["run", "one", "--text", "a"], ["load", "one"]], ids=" ".join)
def test_what_the_first_worker_imports_is_not_probed_again(world, command):
    ended = world.mm(*command)
    assert ended.code == 0, ended
    assert world.probes() == ["alpha", "beta"]
    assert (world.imports("alpha"), world.imports("beta")) == (1, 1)
    assert "import beta" in world.log()
    assert world.mm("run", "one", "--text", "a").out == "a\n"
    assert (world.imports("alpha"), world.imports("beta")) == (1, 1)
    assert world.processes()  # of the worker that lives on, which does not hold the build lock
    (lock,) = (world.home / "locks").glob("build-*")
    held = try_lock(lock)
    assert held is not None
    held.release()


def test_a_session_loads_once(world):
    workspace = Workspace(variables=world.environ(), cwd=world.root)
    with Session(workspace=workspace) as session:
        session.produced_by(Job("one"))
        assert session.run("one", text="a")["text"] == "a"
    assert world.probes() == ["alpha", "beta"]
    assert (world.imports("alpha"), world.imports("beta")) == (1, 1)


@pytest.mark.parametrize(
    "command", [["env", "sync", "one"], ["run", "one", "--text", "a", "--keep-alive", "0"]],
    ids=lambda command: command[0],
)  # fmt: skip
def test_without_a_worker_that_stays_every_probe_is_run(world, command):
    ended = world.mm(*command)
    assert ended.code == 0, ended
    assert world.probes() == ["alpha", "beta"]
    assert "import alpha\nimport beta" in world.log()


def test_the_probes_that_another_model_needs_are_its_first_load(world):
    world.declare(imports="import alpha, beta")
    world.model("two", ["alpha==1.0", "beta==1.0"], probe=["alpha"])
    assert world.mm("env", "sync", "two").code == 0
    assert world.probes() == ["alpha"]
    assert world.mm("run", "one", "--text", "a").code == 0
    assert world.probes() == ["alpha", "beta"]
    assert world.imports("beta") == 1


@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_an_import_that_fails_is_a_failed_probe(world, name):
    world.break_package(name)
    ended = world.mm("run", "one", "--text", "a")
    assert ended.code == 3, ended
    assert "ImportError: no libGL" in ended.err
    assert "the environment of one could not be built (probing)" in ended.sentence
    assert world.environments() == []
    assert world.processes() == []


def test_an_import_that_a_runner_does_without_is_probed(world):
    world.declare(imports="try:\n    import alpha\nexcept ImportError:\n    pass")
    world.break_package("alpha")
    assert "probing" in world.mm("run", "one", "--text", "a").sentence
    assert world.environments() == []


def test_what_a_runner_puts_in_place_of_a_module_is_no_import(world):
    stub = "import sys, types\nsys.modules['alpha'] = types.ModuleType('alpha')"
    world.declare(imports=stub)
    world.break_package("alpha")
    assert "probing" in world.mm("run", "one", "--text", "a").sentence
    assert world.environments() == []


@pytest.mark.parametrize(("text", "code", "words"), [("a", 1, "too few"), ("bad", 2, "no bad w")])
def test_a_load_that_fails_by_itself_leaves_a_probed_environment(world, text, code, words):
    world.declare(then="raise ValueError('too few')")
    ended = world.mm("run", "one", "--text", text)
    assert ended.code == code, ended
    assert words in ended.err
    assert world.probes() == ["alpha", "beta"]


def test_what_jobs_have_in_common_is_known_though_the_model_does_not_load(world):
    world.declare(then="raise ValueError('too few')")
    with Session(workspace=Workspace(variables=world.environ(), cwd=world.root)) as session:
        assert session.produced_by(Job("one"))["model"] == "one"
        with pytest.raises(JobFailed, match="too few"):
            session.run("one", text="a")
    assert world.probes() == ["alpha", "beta"]


def test_a_first_load_that_crashes_is_tried_again_as_the_job_says(world):
    once = "os.path.exists('{0}') or (open('{0}', 'w'), os.kill(os.getpid(), 9))"
    world.declare(then=once.format(world.root / "crashed"))
    with Session(workspace=Workspace(variables=world.environ(), cwd=world.root)) as session:
        assert session.execute(Job("one", {"text": "a"}, retries=1))["text"] == "a"
    assert world.probes() == ["alpha", "beta"]


def test_a_killed_first_load_leaves_nothing_that_counts(world):
    world.flag.touch()
    killed = world.start("run", "one", "--text", "a")
    killed.wait_until(world.loading.exists)
    killed.signal(signal.SIGKILL)
    killed.process.wait(60)
    world.flag.unlink()
    ended = world.mm("run", "one", "--text", "a")
    assert ended.out == "a\n", ended
    assert "built the environment" in ended.err
    assert world.probes() == ["alpha", "beta"]


def test_a_worker_that_outlives_a_killed_first_load_keeps_others_out(world):
    world.flag.touch()
    killed = world.start("run", "one", "--text", "a")
    killed.wait_until(world.loading.exists)
    world.signal_workers(signal.SIGSTOP)
    killed.signal(signal.SIGKILL)
    killed.process.wait(60)
    world.flag.unlink()
    second = world.start("run", "one", "--text", "a")
    try:
        second.wait_until(lambda: second.said("waiting for another mm"))
        assert world.whole() == []
    finally:
        world.signal_workers(signal.SIGCONT)
    assert second.end() == 0
    assert world.probes() == ["alpha", "beta"]


def test_a_worker_whose_environment_fails_a_probe_is_ended(world):
    world.break_package("beta")
    with Session(workspace=Workspace(world.environ(), world.root), engine=kept_engine) as session:
        with pytest.raises(EnvironmentFailure, match="probing"):
            session.run("one", text="a")
        assert world.processes() == []


def test_ctrl_c_ends_the_first_load(world):
    world.flag.touch()
    stopped = world.start("run", "one", "--text", "a")
    stopped.wait_until(world.loading.exists)
    assert world.whole() == []
    stopped.signal(signal.SIGINT)
    assert stopped.end() == 130
    assert world.environments() == []
    assert world.processes() == []
    assert "import" not in world.log()
    world.flag.unlink()
    assert world.mm("run", "one", "--text", "a").out == "a\n"


def test_two_runs_at_once_build_and_load_once(world):
    world.flag.touch()
    working = [world.start("run", "one", "--text", "a") for _ in range(2)]
    until(lambda: any(each.said("waiting for another mm") for each in working))
    until(world.loading.exists)
    world.flag.unlink()
    assert [each.end() for each in working] == [0, 0]
    assert sum(each.said("built the environment") for each in working) == 1
    assert (world.imports("alpha"), world.imports("beta")) == (1, 1)


def test_a_job_that_is_cancelled_leaves_the_first_load_to_the_other(world):
    from concurrent.futures import ThreadPoolExecutor

    from orchestrator.environments.shared_builds import BUILDS

    world.flag.touch()
    workspace = Workspace(variables=world.environ(), cwd=world.root)
    with (
        ThreadPoolExecutor() as threads,
        Session(workspace=workspace) as session,
        contextlib.closing(Cancellation()) as cancellation,
    ):
        inputs = {"text": "a"}
        first = threads.submit(session.execute, Job("one", inputs, cancellation=cancellation))
        until(world.loading.exists)
        second = threads.submit(session.execute, Job("one", inputs))
        until(lambda: [build.callers for build in BUILDS._running.values()] == [2])
        cancellation.request()
        with pytest.raises(Cancelled):
            first.result()
        os.unlink(world.flag)
        assert second.result()["text"] == "a"
    assert world.imports("alpha") == 1
