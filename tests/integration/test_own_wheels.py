"""`mm env wheel`: packages that are on no index, from a directory, a commit and a file."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from orchestrator.core.lockfile import parse_lock
from tests.integration.environment_world import World
from tests.packages import Index, make_builder, make_wheel, serving, sha256, source_files

RUNNER = """\
import own

def load(context):
    return own.__version__

def run(model, job, *, text):
    return {"text": f"{text} {model}"}
"""
SLOW = """\
import pathlib, time

def build_wheel(directory, config_settings=None, metadata_directory=None):
    (pathlib.Path(directory) / "own-1.0-py3-none-any.whl").write_bytes(b"half")
    print("half written", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    files = tmp_path_factory.mktemp("files")
    make_wheel(files, "alpha", "1.0")
    make_builder(files)
    make_wheel(files, "slow", "1.0", files={"slow/__init__.py": SLOW})
    with serving(Index(files)) as running:
        yield running


@pytest.fixture
def world(tmp_path, index):
    world = World(tmp_path / "wörld, of tests", index, tmp_path / "cache")
    with tempfile.TemporaryDirectory(prefix="mm-run-") as run:
        world.variables["MM_RUNTIME_DIR"] = str(Path(run) / "r")
        world.variables["MM_KEEP_ALIVE"] = "0"
        world.model("one", ["alpha==1.0"], runner=RUNNER)
        ask_for(world, "own==1.0")
        yield world
    world.close()


@pytest.fixture
def package(tmp_path):
    return write_package(tmp_path / "my package")


def write_package(folder, more="", requires=("builder",)):
    folder.mkdir(exist_ok=True)
    for name, text in source_files("own", "1.0", requires=requires, more=more).items():
        (folder / name).write_text(text)
    return folder


def ask_for(world, dependency):
    manifest = world.manifests / "one.yaml"
    manifest.write_text(manifest.read_text().replace("- alpha==1.0", f"- alpha\n  - {dependency}"))


def wheels(world):
    folder = world.root / "envs" / "one" / "wheels"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def lock_file(world):
    return world.root / "envs" / "one" / "requirements.lock"


def git(folder, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("backend", ["uv", "virtualenv"])
def test_a_model_uses_a_package_from_a_directory(world, package, backend):
    added = world.mm("env", "wheel", package)
    assert added.code == 0, added
    (wheel,) = wheels(world)
    assert added.out.strip() == str(wheel)
    assert added.sentence.endswith(f"{wheel.name}: written; run: mm env lock one")
    assert sorted(path.name for path in package.iterdir()) == ["PKG-INFO", "pyproject.toml"]

    locked = world.mm("env", "lock", "one")
    assert locked.code == 0, locked
    lock = parse_lock(lock_file(world).read_text())
    assert lock.wheels == {wheel.name: sha256(wheel)}
    assert f"sha256:{sha256(wheel)}" in {pin.name: pin for pin in lock.pins}["own"].hashes[0]
    assert "file://" not in lock_file(world).read_text()
    assert '"own"' in (lock_file(world).parent / "sizes.json").read_text()
    checked = world.mm("env", "lock", "--check", "one")
    assert checked.code == 0, checked
    assert "unchanged" in world.mm("env", "lock", "one").err

    shutil.rmtree(package)
    world.forget_downloads()
    synced = world.mm("env", "sync", "one", "--backend", backend)
    assert synced.code == 0, synced
    assert world.mm("run", "one", "--text", "it is").out == "it is 1.0\n"


def test_what_was_built_installs_without_a_network(world, package):
    assert world.mm("env", "wheel", package).code == 0
    manifest = world.manifests / "one.yaml"
    manifest.write_text(manifest.read_text().replace("- alpha\n", ""))
    assert world.mm("env", "lock", "one").code == 0
    world.forget_downloads()
    for backend in ("uv", "virtualenv"):
        ended = world.mm("env", "sync", "one", "--offline", "--backend", backend)
        assert ended.code == 0, ended
        assert world.mm("env", "remove", "one").code == 0


def test_the_same_content_changes_nothing_and_other_content_is_noticed(world, package):
    world.mm("env", "wheel", package)
    world.mm("env", "lock", "one")
    (wheel,) = wheels(world)
    before = wheel.read_bytes()
    again = world.mm("env", "wheel", package)
    assert again.sentence.endswith(f"{wheel.name}: unchanged")
    assert wheel.read_bytes() == before

    write_package(package, more="Summary: Another one\n")
    changed = world.mm("env", "wheel", package, "one")
    assert changed.sentence.endswith(f"{wheel.name}: changed; run: mm env lock one")
    refused = world.mm("env", "sync", "one")
    assert refused.code == 3
    assert f"{wheel.name} is not the file that was locked" in refused.sentence
    assert "mm env lock one" in refused.sentence
    found = world.mm("manifest", "check", world.manifests / "one.yaml")
    assert found.code == 2
    assert "is not the file that was locked" in found.out
    assert world.mm("env", "lock", "one").code == 0
    assert world.mm("env", "sync", "one").code == 0
    assert world.mm("manifest", "check", world.manifests / "one.yaml").code == 0


@pytest.mark.parametrize("backend", ["uv", "virtualenv"])
def test_a_wheel_that_is_gone_is_named(world, package, backend):
    world.mm("env", "wheel", package)
    world.mm("env", "lock", "one")
    (wheel,) = wheels(world)
    wheel.unlink()
    ended = world.mm("env", "sync", "one", "--backend", backend)
    assert ended.code == 3
    assert f"the lock names {wheel.name}, which is not there" in ended.sentence
    assert world.mm("manifest", "check", world.manifests / "one.yaml").code == 2
    checked = world.mm("env", "lock", "--check", "one")
    assert checked.code == 3
    assert wheel.name in checked.out


def test_a_wheel_that_an_index_has_too_need_not_be_there(world, package, index):
    world.mm("env", "wheel", package)
    world.mm("env", "lock", "one")
    (wheel,) = wheels(world)
    published = index.files / wheel.name
    wheel.rename(published)
    try:
        ended = world.mm("env", "sync", "one")
        assert ended.code == 0, ended
    finally:
        published.unlink()


def test_a_commit_is_built_and_nothing_that_moves(world, tmp_path):
    repository = tmp_path / "repository"
    (repository / "parts").mkdir(parents=True)
    write_package(repository / "parts" / "own")
    git(repository, "init", "--quiet", "--initial-branch", "main")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "First")
    commit = git(repository, "rev-parse", "HEAD")
    url = f"git+file://{repository}"
    moving = world.mm("env", "wheel", f"{url}@main")
    assert moving.code == 2
    assert "'main' may come to mean another commit; write the full commit" in moving.sentence

    write_package(repository / "parts" / "own", more="Summary: A later one\n")
    git(repository, "commit", "--quiet", "--all", "--amend", "-m", "Later")
    ended = world.mm("env", "wheel", f"{url}@{commit}#subdirectory=parts/own")
    assert ended.code == 0, ended
    assert world.mm("env", "lock", "one").code == 0
    assert "A later one" not in (wheels(world)[0]).read_bytes().decode("latin-1")
    assert world.mm("run", "one", "--text", "it is").out == "it is 1.0\n"

    absent = world.mm("env", "wheel", f"{url}@{'0' * 40}")
    assert absent.code == 3
    assert "commit 000000000000" in absent.sentence
    assert "0" * 40 in absent.err  # git's own words

    bare = world.mm("env", "wheel", f"{url}@{commit}", variables={"PATH": str(tmp_path)})
    assert bare.code == 3
    assert bare.sentence.startswith("mm: git, which fetches file://")
    assert bare.err.count("\n") == 1


def test_a_wheel_limits_the_platforms_to_those_of_its_tags(world, tmp_path):
    wheel = make_wheel(tmp_path, "own", "1.0", tag="py3-none-linux_x86_64")
    assert world.mm("env", "wheel", wheel).code == 0
    refused = world.mm("env", "lock", "one")
    assert refused.code == 3
    assert "write platforms: [linux-x86_64]" in refused.sentence
    manifest = world.manifests / "one.yaml"
    text = re.sub(r"platforms:\n(?: *- .*\n)+", "platforms: [linux-x86_64]\n", manifest.read_text())
    manifest.write_text(text)
    assert world.mm("env", "lock", "one").code == 0
    assert world.mm("env", "lock", "--check", "one").code == 0


def test_a_version_that_only_the_folder_has_may_be_local(world, tmp_path):
    wheel = make_wheel(tmp_path, "own", "1.0+mine")
    added = world.mm("env", "wheel", wheel)
    assert added.sentence.endswith("; run: mm env lock one")
    assert world.mm("env", "lock", "one").code == 0
    assert "own==1.0+mine" in lock_file(world).read_text()
    assert world.mm("run", "one", "--text", "it is").out == "it is 1.0+mine\n"


def test_a_lock_of_ones_own_takes_them_too(world, package):
    world.mm("env", "wheel", package)
    made = world.mm("env", "lock", "--mine", "one")
    assert made.code == 0, made
    assert world.mm("run", "one", "--text", "it is").out == "it is 1.0\n"


def test_what_the_machine_has_stays_out_of_the_lock(world, package, tmp_path):
    machine = tmp_path / "machine"
    machine.mkdir()
    make_wheel(machine, "alpha", "2.0")
    world.mm("env", "wheel", package)
    locked = world.mm("env", "lock", "one", variables={"UV_FIND_LINKS": str(machine)})
    assert locked.code == 0, locked
    assert "alpha==1.0" in lock_file(world).read_text()
    assert "own==1.0" in lock_file(world).read_text()


def test_a_build_that_fails_is_shown_in_its_own_words(world, package):
    (package / "PKG-INFO").unlink()
    ended = world.mm("env", "wheel", package)
    assert ended.code == 3
    assert "FileNotFoundError" in ended.err
    assert "PKG-INFO" in ended.err
    assert "could not be built; correct it, then run: mm env wheel " in ended.sentence
    assert wheels(world) == []


def test_of_several_models_one_is_named(world, package):
    world.model("two", ["alpha==1.0"])
    ended = world.mm("env", "wheel", package)
    assert ended.code == 2
    assert "there are several models: one, two; name the model" in ended.sentence
    added = world.mm("env", "wheel", package, "two")
    assert "write own==1.0 into the dependencies in manifests/two.yaml, then run" in added.sentence


def test_a_killed_build_leaves_no_wheel(world, tmp_path):
    package = write_package(tmp_path / "slow package", requires=("slow",))
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["slow"]\nbuild-backend = "slow"\n'
    )
    working = world.start("env", "wheel", package)
    log = world.home / "logs" / "wheel-one.log"
    working.wait_until(lambda: log.is_file() and "half written" in log.read_text())
    os.killpg(working.process.pid, signal.SIGKILL)
    working.process.wait()
    assert wheels(world) == []


@pytest.mark.parametrize(
    ("requirement", "sentence"),
    [
        ("nowhere", "no directory, no wheel and no git+https://"),
        (".", "no pyproject.toml in it"),
        ("x.whl", "not a wheel"),
    ],
    ids=["nothing", "no package", "no archive"],
)
def test_anything_else_is_refused_in_a_sentence(world, requirement, sentence):
    (world.root / "x.whl").touch()
    ended = world.mm("env", "wheel", requirement)
    assert ended.code == 2
    assert sentence in ended.sentence
