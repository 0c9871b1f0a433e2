"""A sync that is killed, or fails, at any step leaves no environment or a whole one."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from orchestrator.errors import Cancelled
from orchestrator.session import Session
from orchestrator.workspace import Workspace
from tests.integration.environment_world import World
from tests.machine import PRIVATE_MOUNTS, can_mount, only_where
from tests.packages import Index, make_wheel, serving


@pytest.fixture
def world(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    with serving(Index(files)) as index:
        world = World(tmp_path / "world", index, tmp_path / "cache")
        yield world
        index.closed.clear()
        world.close()


def slow_package(world, flag):
    """A package whose import takes as long as a file exists."""
    code = f"import os, time\nwhile os.path.exists({str(flag)!r}):\n    time.sleep(0.02)\n"
    world.wheel("slow", "1.0", files={"slow/__init__.py": code})


def assert_none_or_whole_and_mended(world, model="slow"):
    """What a sync that was stopped must leave, and what the next one must make of it."""
    for path in world.whole():
        assert world.mm("env", "check", path.name).code == 0
    assert_mended(world, model)


def assert_mended(world, model):
    """What a sync must make of whatever is there."""
    again = world.mm("env", "sync", model)
    assert again.code == 0, again
    assert len(world.whole()) == 1
    assert len(world.environments()) == 1
    assert world.mm("env", "check", "--full", model).code == 0


STEPS = {
    "creating": lambda world: world.environments() != [],
    "installing": lambda world: any("/files/" in path for path in world.index.arrived),
    "probing": lambda world: "import slow" in world.log(),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_at_every_step(world, tmp_path, step, number):
    flag = tmp_path / "wait"
    slow_package(world, flag)
    world.model("slow", ["slow==1.0"], probe=["slow"])
    world.forget_downloads()
    world.index.arrived.clear()
    flag.touch()
    if step != "probing":
        world.index.closed.set()
    working = world.start("env", "sync", "slow")
    working.wait_until(lambda: STEPS[step](world))
    working.signal(number)
    code = working.process.wait(60)
    flag.unlink()
    world.index.closed.clear()
    working.end()
    if number == signal.SIGINT:
        assert code == 130
        assert world.environments() == []
    assert_none_or_whole_and_mended(world)


@pytest.mark.parametrize("step", ["installing", "probing"])
def test_a_job_is_cancelled_while_its_environment_is_built(world, tmp_path, step):
    flag = tmp_path / "wait"
    slow_package(world, flag)
    world.model("slow", ["slow==1.0"], probe=["slow"])
    world.forget_downloads()
    world.index.arrived.clear()
    flag.touch()
    if step != "probing":
        world.index.closed.set()
    with Session(workspace=Workspace(world.environ(), world.root)) as mm:
        future = mm.submit("slow", text="a")
        while not STEPS[step](world):
            time.sleep(0.01)
        assert future.cancel()
        with pytest.raises(
            Cancelled, match="slow was cancelled while it was waiting for its environment"
        ):
            future.result(60)
        assert world.environments() == []
        flag.unlink()
        world.index.closed.clear()
        assert mm.run("slow", text="b")["text"] == "b"


FAKE = """
import os, signal, sys
from pathlib import Path
from orchestrator.backends import BACKENDS
from orchestrator.environments import Environments
from orchestrator.environments import build
from orchestrator.system.home import Home
from orchestrator.system.userenv import snapshot

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Dying:
    '''The uv backend, which dies at one point.'''
    name = "uv"
    real = BACKENDS["uv"]
    def __init__(self, point): self.point = point
    def create(self, interpreter, directory, tooling):
        if self.point == "before create": die()
        self.real.create(interpreter, directory, tooling)
        if self.point == "after create": die()
    def install(self, directory, request, tooling):
        self.real.install(directory, request, tooling)
        if self.point == "after install": die()
    def check(self, directory, packages):
        if self.point == "in check": die()
        return self.real.check(directory, packages)

class Told:
    '''A reporter that dies when it is told something.'''
    def __init__(self, point): self.point = point
    def note(self, text):
        if self.point == "after publish": die()
    def progress(self, key, text, done=0, total=0):
        if self.point == "before probe" and text == "probing": die()
    def finish(self, key, text=""):
        if self.point == "at the end": die()

point = sys.argv[1]
BACKENDS["dying"] = Dying(point)
sys.argv = ["mm", "env", "sync", "slow"]
from orchestrator.workspace import Workspace
place = Workspace(variables=snapshot(), cwd=Path.cwd())
environments = Environments(place.home, place.variables, Told(point), "dying")
environments.sync([place.catalog.model("slow")])
"""


@pytest.mark.parametrize(
    "point",
    ["before create", "after create", "after install", "in check", "before probe",
     "after publish", "at the end"],
)  # fmt: skip
def test_dead_between_steps(world, tmp_path, point):
    slow_package(world, tmp_path / "never")
    world.model("slow", ["slow==1.0"], probe=["slow"])
    died = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FAKE), point],
        env=world.environ(),
        cwd=world.root,
        capture_output=True,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died
    published = point in ("after publish", "at the end")
    assert len(world.whole()) == (1 if published else 0)
    assert_none_or_whole_and_mended(world)


def test_ten_syncs_at_once_build_once(world):
    world.wheel("alpha", "1.0", padding=100_000)
    world.model("one", ["alpha==1.0"], probe=["alpha"])
    world.forget_downloads()
    world.index.asked.clear()
    working = [world.start("env", "sync", "one") for _ in range(10)]
    codes = [one.end() for one in working]
    assert codes == [0] * 10
    built = [one for one in working if any("built the environment" in line for line in one.lines)]
    assert len(built) == 1
    assert len([path for path in world.index.asked if path.endswith(".whl")]) == 1
    assert len(world.environments()) == 1


def test_a_tool_that_outlives_a_killed_mm_keeps_others_out(world):
    world.wheel("alpha", "1.0")
    world.model("one", ["alpha==1.0"])
    world.forget_downloads()
    world.index.arrived.clear()
    world.index.closed.set()
    first = world.start("env", "sync", "one")
    first.wait_until(lambda: STEPS["installing"](world))
    first.signal(signal.SIGKILL)
    first.process.wait(60)
    second = world.start("env", "sync", "one")
    second.wait_until(lambda: second.said("waiting for another mm"))
    assert world.whole() == []
    world.index.closed.clear()
    first.end()
    assert second.end() == 0
    assert len(world.whole()) == 1
    assert world.mm("env", "check", "--full").code == 0


def test_a_broken_download_is_no_environment(world):
    wheel = world.wheel("alpha", "1.0", padding=200_000)
    world.model("one", ["alpha==1.0"])
    world.forget_downloads()
    world.index.broken = {wheel.name}
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert world.environments() == []
    assert "alpha" in ended.err
    world.index.broken = set()
    assert_none_or_whole_and_mended(world, "one")


def test_an_index_that_goes_down_half_way(world):
    world.wheel("alpha", "1.0")
    world.wheel("beta", "1.0")
    world.model("one", ["alpha==1.0", "beta==1.0"])
    world.forget_downloads()
    world.index.asked.clear()
    world.index.down_after = 3
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert "503" in ended.err
    assert "the package index could not be reached" in ended.sentence
    assert "run again: mm env sync one" in ended.sentence
    assert world.environments() == []
    world.index.down_after = None
    assert_none_or_whole_and_mended(world, "one")


def test_an_index_that_is_down_says_nothing_about_a_lock(world):
    world.wheel("alpha", "1.0")
    world.model("one", ["alpha==1.0"])
    world.forget_downloads()
    world.index.asked.clear()
    world.index.down_after = 0
    ended = world.mm("env", "lock", "--check", "one")
    assert ended.code == 3
    assert "503" in ended.err
    assert "no wheel" not in ended.out
    assert "the package index could not be reached" in ended.sentence
    world.index.down_after = None
    assert world.mm("env", "lock", "--check", "one").code == 0


def test_a_wheel_with_a_wrong_hash(world):
    wheel = world.wheel("alpha", "1.0")
    world.model("one", ["alpha==1.0"])
    world.forget_downloads()
    world.index.tampered = {wheel.name}
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert "hash" in ended.sentence
    assert "Hash mismatch" in ended.err
    assert world.environments() == []


def test_a_wheel_that_is_gone_is_told_in_the_installers_words(world):
    wheel = world.wheel("alpha", "1.0")
    world.wheel("alpha", "1.1")
    world.model("one", ["alpha==1.0"])
    world.forget_downloads()
    wheel.unlink()
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert "alpha==1.0" in ended.err
    assert "a wheel cannot be found" in ended.sentence
    assert "mm env lock --check one" in ended.sentence
    checked = world.mm("env", "lock", "--check", "one")
    assert checked.code == 3
    assert checked.out.splitlines()[1].split(maxsplit=2) == [
        "one",
        "alpha",
        "1.0      every platform",
    ]


FULL = """
set -e
mount -t tmpfs -o size=32m tmpfs "$MM_HOME"
head -c 30M /dev/zero > "$MM_HOME"/other
set +e
{mm} env sync one; echo "code $?"
ls -d "$MM_HOME"/envs/*/mm-environment.json
rm "$MM_HOME"/other
{mm} env sync one; echo "code $?"
{mm} env check --full; echo "code $?"
"""


@only_where(can_mount())
def test_a_full_disk(world):
    world.wheel("alpha", "1.0", padding=8_000_000)
    world.model("one", ["alpha==1.0"])
    world.home.mkdir(exist_ok=True)
    mm = f"{sys.executable} -m orchestrator"
    ended = subprocess.run(
        [*PRIVATE_MOUNTS, "sh", "-c", FULL.format(mm=mm)],
        env=world.environ(),
        cwd=world.root,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in ended.stdout.splitlines() if line.startswith(("code", "/"))]
    assert said == ["code 3", "code 0", "code 0"], ended
    assert "the disk is full" in ended.stderr
    assert "No space left on device" in ended.stderr


@pytest.mark.parametrize("length", [0, 10, 150])
def test_a_marker_cut_short(world, length):
    world.wheel("alpha", "1.0")
    world.model("one", ["alpha==1.0"])
    assert world.mm("env", "sync", "one").code == 0
    (path,) = world.environments()
    marker = path / "mm-environment.json"
    marker.write_bytes(marker.read_bytes()[:length])
    checked = world.mm("env", "check")
    assert checked.code == 3
    assert "its marker mm-environment.json is damaged" in checked.out
    assert_mended(world, "one")


def test_a_file_that_is_gone_or_changed(world):
    world.wheel("alpha", "1.0")
    world.model("one", ["alpha==1.0"])
    assert world.mm("env", "sync", "one").code == 0
    (path,) = world.environments()
    (module,) = path.glob("lib/*/site-packages/alpha/__init__.py")
    text = module.read_bytes()
    module.unlink()
    module.write_bytes(text.replace(b"1.0", b"2.0"))
    assert world.mm("env", "check").code == 0  # the same length: only reading it tells
    checked = world.mm("env", "check", "--full")
    assert checked.code == 3
    assert f"{module} was changed" in checked.out
    assert_mended(world, "one")
    module.unlink()
    checked = world.mm("env", "check")
    assert checked.code == 3
    assert f"{module} is missing" in checked.out
    assert "mm env sync" in checked.sentence
    assert_mended(world, "one")


def test_a_write_in_place_is_found_and_comes_from_the_cache_until_that_is_cleaned(world):
    world.wheel("alpha", "1.0")
    world.model("one", ["alpha==1.0"])
    assert world.mm("env", "sync", "one").code == 0
    (path,) = world.environments()
    (module,) = path.glob("lib/*/site-packages/alpha/__init__.py")
    module.write_bytes(module.read_bytes().replace(b"1.0", b"6.6"))
    checked = world.mm("env", "check", "--full")
    assert checked.code == 3
    assert f"{module} was changed" in checked.out
    assert "uv cache clean" in checked.sentence
    world.forget_downloads()
    assert_mended(world, "one")


def test_an_interpreter_that_moved(world):
    world.wheel("alpha", "1.0")
    world.model("one", ["alpha==1.0"])
    assert world.mm("env", "sync", "one").code == 0
    (path,) = world.environments()
    (path / "bin" / "python").unlink()
    (path / "bin" / "python").symlink_to("/nowhere/bin/python3")
    checked = world.mm("env", "check")
    assert checked.code == 3
    assert "its interpreter is gone: /nowhere/bin/python3" in checked.out
    assert_mended(world, "one")


def test_an_environment_that_was_moved(world):
    world.wheel("alpha", "1.0")
    world.model("one", ["alpha==1.0"])
    assert world.mm("env", "sync", "one").code == 0
    (path,) = world.environments()
    path.rename(path.with_name(path.name.replace("one", "two")))
    checked = world.mm("env", "check")
    assert f"it was moved: it was built in {path}" in checked.out
    assert_mended(world, "one")


def test_a_probe_that_fails_is_no_environment(world):
    world.wheel("alpha", "1.0", files={"alpha/__init__.py": "raise ImportError('no libGL')\n"})
    world.model("one", ["alpha==1.0"], probe=["alpha"])
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert "ImportError: no libGL" in ended.err
    assert "probing" in ended.sentence
    assert world.environments() == []


def test_another_models_probe_runs_in_the_shared_environment_once(world):
    world.wheel("alpha", "1.0", files={"alpha/extra.py": ""})
    world.model("one", ["alpha==1.0"], probe=["alpha"])
    world.model("two", ["alpha==1.0"], probe=["alpha.extra"])
    assert world.mm("env", "sync", "one").code == 0
    assert "two: would be probed" in world.mm("env", "sync", "two", "--dry-run").out
    assert world.mm("env", "sync", "two").code == 0
    assert "one, two: is ready" in world.mm("env", "sync", "one", "two", "--dry-run").out
    assert len(world.environments()) == 1


def test_one_that_fails_does_not_stop_the_others(world):
    good = world.wheel("alpha", "1.0")
    bad = make_wheel(world.index.files, "beta", "1.0")
    world.model("one", ["alpha==1.0"])
    world.model("two", ["beta==1.0"])
    world.forget_downloads()
    world.index.tampered = {bad.name}
    ended = world.mm("env", "sync", "one", "two")
    assert ended.code == 3
    assert "the environment of two could not be built" in ended.sentence
    assert [path.name.split("-")[0] for path in world.whole()] == ["one"]
    assert good.exists()
