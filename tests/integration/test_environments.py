"""The commands of `mm env`, against a package index on loopback and packages made here."""

import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from orchestrator import Session
from orchestrator.backends.indexes import read_settings
from orchestrator.backends.resolver import Resolver
from orchestrator.core.identity import Interpreter
from orchestrator.core.lockfile import parse_lock, render_lock
from orchestrator.environments.disk import uncached
from orchestrator.environments.targets import Target
from orchestrator.system.reporter import Silent
from tests.integration.conftest import drop_privileges
from tests.integration.environment_world import World
from tests.models import model
from tests.packages import Index, make_builder, make_source, make_wheel, serving, sha256


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    files = tmp_path_factory.mktemp("files")
    make_wheel(files, "alpha", "1.0", requires=["beta"])
    make_wheel(files, "beta", "1.0", padding=300_000)
    make_wheel(files, "beta", "2.0")
    make_wheel(files, "delta", "1.0", requires=["beta<2"])
    make_wheel(files, "gamma", "1.0", requires=["beta>=2"])
    make_builder(files)
    make_source(files, "crafted", "1.0")
    with serving(Index(files)) as running:
        yield running


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def world(tmp_path, index, cache):
    world = World(tmp_path / "wörld of tests", index, cache)
    # A socket's path may have 104 bytes.
    with tempfile.TemporaryDirectory(prefix="mm-run-") as run:
        world.variables["MM_RUNTIME_DIR"] = str(Path(run) / "r")
        yield world
    world.close()


def lock_names(path):
    lines = path.read_text().splitlines()
    return [line.split(" ")[0] for line in lines if "==" in line and not line.startswith("#")]


# locks


def test_a_lock_names_no_index_no_url_and_no_path(world):
    lock = world.model("one", ["alpha==1.0"], resolve=True)
    text = lock.read_text()
    assert lock_names(lock) == ["alpha==1.0", "beta==2.0"]
    assert "127.0.0.1" not in text
    assert str(world.root) not in text
    again = world.mm("env", "lock", "one")
    assert "unchanged" in again.err
    assert lock.read_text() == text


def test_versions_stay_until_they_are_asked_to_move(world):
    lock = world.model("one", ["alpha==1.0", "beta<2"], resolve=True)
    manifest = world.manifests / "one.yaml"
    manifest.write_text(manifest.read_text().replace("beta<2", "beta<3"))
    assert world.mm("env", "lock", "one").code == 0
    assert lock_names(lock) == ["alpha==1.0", "beta==1.0"]
    assert world.mm("env", "lock", "one", "--upgrade-package", "beta").code == 0
    assert lock_names(lock) == ["alpha==1.0", "beta==2.0"]


def test_what_does_not_resolve_is_told_in_the_resolvers_words(world):
    world.model("one", ["alpha==1.0"])
    manifest = world.manifests / "one.yaml"
    manifest.write_text(manifest.read_text().replace("- alpha==1.0", "- delta\n  - gamma"))
    ended = world.mm("env", "lock", "one")
    assert ended.code == 3
    assert "delta" in ended.err
    assert "gamma" in ended.err
    assert "unsatisfiable" in ended.err
    assert "correct its manifest, then run: mm env lock one" in ended.sentence


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("sha256:", "sha256:0", 1).replace("0" * 2, "0", 1),
        lambda text: text[: text.rindex("beta==")],
        lambda text: text + f"gamma==1.0 --hash=sha256:{'0' * 64}\n",
    ],
    ids=["hash wrong", "line missing", "package added"],
)
def test_a_lock_edited_by_hand_stops_a_sync(world, edit):
    lock = world.model("one", ["alpha==1.0", "beta==1.0"])
    lock.write_text(edit(lock.read_text()))
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert str(lock) in ended.sentence
    assert "run: mm env lock one" in ended.sentence
    assert world.environments() == []


def test_a_changed_manifest_stops_a_sync(world):
    world.model("one", ["alpha==1.0"])
    manifest = world.manifests / "one.yaml"
    manifest.write_text(manifest.read_text().replace("alpha==1.0", "alpha<2"))
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert "the lock no longer fits its manifest; run: mm env lock one" in ended.sentence
    checked = world.mm("env", "lock", "--check", "one")
    assert checked.code == 3
    assert "no longer fits" in checked.out


def test_a_package_that_may_be_built_is_locked_with_its_build_requirements(world):
    lock = world.model("one", ["crafted==1.0"], build=["crafted"], probe=["crafted"], resolve=True)
    build = lock.with_name("build.lock")
    assert lock_names(build) == ["builder==1.0"]
    assert world.mm("env", "lock", "--check", "one").code == 0
    assert world.mm("env", "sync", "one").code == 0
    assert world.mm("env", "check", "one").code == 0
    build.write_text(build.read_text().replace("builder==1.0", "builder==1.1"))
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert "build requirements was edited" in ended.sentence


def test_nothing_is_built_that_the_manifest_does_not_name(world):
    world.model("one", ["crafted==1.0"])
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert "crafted" in ended.err
    assert world.environments() == []


# wheels everywhere


LINUX = "cp310-abi3-manylinux_2_28_x86_64"


def declare(world, *dependencies, **environment):
    """Declare a model whose lock does not fit it, and return the path of the lock."""
    lock = world.model("one", [], **environment)
    manifest = world.manifests / "one.yaml"
    text = manifest.read_text().replace("dependencies: []", f"dependencies: {[*dependencies]}")
    manifest.write_text(text)
    return lock


def test_a_lock_is_made_for_the_pythons_of_the_manifest_alone(world):
    world.wheel("bounded", "1.0", requires=["absent>=1; python_version >= '3.13'"])
    lock = world.model("one", ["bounded"], python=">=3.11,<3.13", resolve=True)
    assert lock_names(lock) == ["bounded==1.0"]


def test_a_version_that_lacks_wheels_somewhere_gives_way_to_one_that_has_them(world):
    for name in ("ahead", "further"):
        world.wheel(name, "1.0")
        world.wheel(name, "2.0", tag="cp310-abi3-macosx_14_0_arm64")
        world.wheel(name, "2.0", tag=LINUX)
        world.wheel(name, "3.0", tag=LINUX)
        make_source(world.index.files, name, "3.0")
    world.wheel("newer-mac", "1.0", tag="py3-none-macosx_14_0_arm64")
    world.wheel("newer-mac", "1.1", tag="py3-none-macosx_15_0_arm64")
    lock = declare(world, "ahead", "further", "newer-mac; sys_platform == 'darwin'")
    ended = world.mm("env", "lock", "one")
    assert ended.code == 0, ended
    assert lock_names(lock) == ["ahead==1.0", "further==1.0", "newer-mac==1.0"]
    assert "ahead 3.0 has no wheel for linux-aarch64, macos-arm64; locked 1.0" in ended.err
    assert world.mm("env", "lock", "--check", "one").code == 0


@pytest.mark.parametrize("source", [False, True], ids=["wheels alone", "source as well"])
def test_a_pin_without_all_wheels_is_refused_with_the_line_to_write(world, source):
    name = "sourced" if source else "pinned"
    world.wheel(name, "1.0")
    world.wheel(name, "2.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    world.wheel(name, "2.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    if source:
        make_source(world.index.files, name, "2.0")
    lock = declare(world, f"{name}==2.0")
    before = lock.read_text()
    ended = world.mm("env", "lock", "one")
    assert ended.code == 3
    assert f"{name} 2.0 has no wheel for" in ended.sentence
    assert 'python: ">=3.11,<3.13" and platforms: [linux-x86_64]' in ended.sentence
    assert lock.read_text() == before
    declare(world, f"{name}==2.0", python=">=3.11,<3.13", platforms=["linux-x86_64"])
    assert world.mm("env", "lock", "one").code == 0


def test_packages_that_come_as_source_alone_are_named_together_and_not_built(world):
    make_source(world.index.files, "bare", "1.0", requires=["none-that-exists"])
    make_source(world.index.files, "naked", "1.0", requires=["none-that-exists"])
    world.wheel("clothed", "1.0", requires=["naked"])
    declare(world, "bare", "clothed")
    ended = world.mm("env", "lock", "one")
    assert ended.code == 3
    assert "bare, naked come as source alone" in ended.sentence
    assert "write build: [bare, naked], then run: mm env lock one" in ended.sentence


def test_a_check_names_all_that_is_missing_in_one_table(world):
    world.wheel("penguin", "1.0", tag=LINUX)
    make_source(world.index.files, "unbuilt", "1.0")
    world.wheel("whole", "1.0")
    gone = world.wheel("gone", "1.0")
    world.model("one", ["penguin==1.0", "unbuilt==1.0", "whole==1.0", "gone==1.0"])
    gone.unlink()
    ended = world.mm("env", "lock", "--check", "one")
    assert ended.code == 3
    rows = [line.split(maxsplit=3) for line in ended.out.splitlines()]
    assert rows[1:4] == [
        ["one", "penguin", "1.0", "linux-aarch64, macos-arm64"],
        ["one", "unbuilt", "1.0", "source only"],
        ["one", "gone", "1.0", "every platform"],
    ]
    assert "whole" not in ended.out


def test_a_check_finds_what_is_missing_where_markers_part_the_platforms(world):
    lock = world.model("one", [])
    pins = [
        ("dual==1.0 ; sys_platform == 'linux'", world.wheel("dual", "1.0")),
        ("dual==2.0 ; sys_platform == 'darwin'", world.wheel("dual", "2.0")),
        ("lonely==1.0", world.wheel("lonely", "1.0", tag=LINUX)),
    ]
    body = "".join(f"{pin} --hash=sha256:{sha256(file)}\n" for pin, file in pins)
    shape = parse_lock(lock.read_text()).shape
    lock.write_text(render_lock(body, shape=shape, command="mm env lock one"))
    ended = world.mm("env", "lock", "--check", "one")
    assert ended.code == 3
    (row,) = (line.split(maxsplit=3) for line in ended.out.splitlines()[1:-1])
    assert row == ["one", "lonely", "1.0", "linux-aarch64, macos-arm64"]


def test_a_lock_says_what_changed(world):
    lock = world.model("one", ["alpha==1.0", "beta==1.0"], resolve=True)
    manifest = world.manifests / "one.yaml"
    manifest.write_text(manifest.read_text().replace("alpha==1.0", "gamma").replace("==1.0", ""))
    ended = world.mm("env", "lock", "one", "--upgrade")
    assert ended.code == 0, ended
    for line in ("removed alpha 1.0", "moved beta 1.0 -> 2.0", "added gamma 1.0"):
        assert f"  {line}\n" in ended.err
    assert lock_names(lock) == ["beta==2.0", "gamma==1.0"]


# sizes


def test_sizes_are_measured_with_the_lock_and_said_before_a_build(world):
    world.model("one", ["alpha==1.0", "beta==1.0"], resolve=True)
    sizes = json.loads((world.root / "envs" / "one" / "sizes.json").read_text())
    assert sorted(sizes["platforms"]) == ["linux-aarch64", "linux-x86_64", "macos-arm64"]
    assert "127.0.0.1" not in json.dumps(sizes)
    (step,) = json.loads(world.mm("env", "sync", "one", "--dry-run", "--json").out)["steps"]
    files = [world.index.files / f"{name}-1.0-py3-none-any.whl" for name in ("alpha", "beta")]
    assert step["download"] == sum(file.stat().st_size for file in files)
    assert 300_000 <= step["disk"] < 400_000
    ended = world.mm("env", "sync", "one")
    assert ended.code == 0
    assert "2 packages, up to 302 kB to download, 336 kB on disk" in ended.err
    assert world.mm("env", "lock", "one").err.endswith("requirements.lock: unchanged\n")


def test_sizes_of_another_lock_are_not_believed(world):
    world.model("one", ["alpha==1.0"], resolve=True)
    there = (world.root / "envs" / "one" / "sizes.json").read_text()
    world.model("one", ["alpha==1.0", "beta==1.0"])
    (world.root / "envs" / "one" / "sizes.json").write_text(there.replace("alpha", "omega"))
    (step,) = json.loads(world.mm("env", "sync", "one", "--dry-run", "--json").out)["steps"]
    assert (step["action"], step["download"], step["disk"]) == ("build", 0, 0)


def test_an_index_that_sends_no_parts_costs_the_sizes_and_nothing_else(world):
    world.index.parts = False
    try:
        world.model("one", ["alpha==1.0", "beta==1.0"])
        ended = world.mm("env", "lock", "one")
    finally:
        world.index.parts = True
    assert ended.code == 0
    assert "could not be found out: its server sends no parts of files" in ended.err
    assert "on disk" not in world.mm("env", "sync", "one").err


def test_uv_says_what_a_build_would_still_unpack(world, tmp_path):
    world.variables["UV_CACHE_DIR"] = str(tmp_path / "cache")
    world.model("one", ["beta==1.0"])
    assert world.mm("env", "sync", "one").code == 0
    world.model("two", ["alpha==1.0", "beta==1.0"], resolve=True)
    lock = parse_lock((world.root / "envs" / "two" / "requirements.lock").read_text())
    here = Interpreter(sys.executable, "cpython", "3", "", "", {})
    two = model(world.root, "two")
    target = Target(two, lock, mine=False, interpreter=here, pins=lock.pins, digest="2" * 64)

    def missing(cache, *, offline=False):
        variables = {**os.environ, **world.variables, "UV_CACHE_DIR": str(tmp_path / cache)}
        resolver = Resolver(variables, read_settings(variables), Silent())
        return uncached(resolver, target, offline=offline)

    assert missing("cache") == {"alpha"}
    assert missing("another") == {"alpha", "beta"}
    assert missing("a third", offline=True) is None
    assert world.mm("env", "sync", "two").code == 0
    assert missing("cache") == frozenset()


# sync, list, path, exec, tree


def test_a_model_from_lock_to_removal(world):
    world.model("one", ["alpha==1.0", "beta==1.0"], probe=["alpha"])
    world.model("two", ["beta==1.0", "alpha==1.0"])
    dry = world.mm("env", "sync", "one", "two", "--dry-run")
    assert dry.code == 0
    assert "one, two: would be built" in dry.out
    assert world.environments() == []
    planned = json.loads(world.mm("env", "sync", "one", "two", "--dry-run", "--json").out)
    assert [step["action"] for step in planned["steps"]] == ["build"]

    assert world.mm("env", "sync", "one", "two").code == 0
    assert len(world.environments()) == 1
    path = world.mm("env", "path", "two").out.strip()
    assert path == str(world.environments()[0])

    rows = json.loads(world.mm("env", "list", "--json").out)["environments"]
    (row,) = [row for row in rows if row["path"] == path]
    assert row["models"] == ["one", "two"]
    assert row["state"] == "ready"
    assert row["size"] >= 300_000
    # uv's cache keeps a link to what it downloaded.
    assert row["freed"] < row["size"] - 250_000

    code = "import beta, sys; print(beta.__version__); sys.exit(7)"
    ran = world.mm("env", "exec", "one", "--", "python", "-c", code)
    assert (ran.code, ran.out) == (7, "1.0\n")

    assert world.mm("env", "remove", "two").code == 0
    assert world.environments() == []
    missing = world.mm("env", "path", "one")
    assert missing.code == 3
    assert "run: mm env sync one" in missing.sentence


def test_a_second_environment_shares_the_files_of_the_first(world):
    world.model("one", ["beta==1.0"])
    world.model("two", ["beta==1.0", "gamma==1.0"])
    assert world.mm("env", "sync", "one", "two").code == 0
    listed = json.loads(world.mm("env", "list", "--json").out)
    sizes = [row["size"] for row in listed["environments"] if row["path"]]
    assert listed["total"] < sum(sizes) - 250_000
    assert listed["archives"] == 0
    files = world.home / "archives" / "ab" / "files"
    files.mkdir(parents=True)
    (files / "voice.bin").write_bytes(bytes(100_000))
    assert "files of models from archives: 10" in world.mm("env", "list").sentence


def test_the_tree_is_the_resolvers(world):
    world.model("one", ["alpha==1.0"], resolve=True)
    lines = world.mm("env", "tree", "one").out.splitlines()
    assert lines[1:] == ["  alpha 1.0", "    beta 2.0"]


def test_why_says_when_one_lock_could_hold_both(world):
    world.model("one", ["alpha==1.0"], resolve=True)
    world.model("two", ["delta"], resolve=True)
    world.model("three", ["gamma"], resolve=True)
    world.model("four", ["gamma"], resolve=True)
    together = world.mm("env", "why", "one", "two")
    assert "one lock could hold both one and two" in together.out
    assert "one: alpha 1.0 -> beta 2.0" in together.out
    apart = world.mm("env", "why", "two", "three")
    assert "no environment can hold both two and three" in apart.out
    assert "beta<2" in apart.out
    assert "three and four share one environment" in world.mm("env", "why", "three", "four").out


def test_prune_removes_what_nobody_needs(world):
    world.model("one", ["alpha==1.0"])
    world.model("two", ["beta==1.0"])
    assert world.mm("env", "sync", "one", "two").code == 0
    (world.manifests / "two.yaml").unlink()
    (world.home / "envs" / "half-0123456789ab").mkdir()
    dry = world.mm("env", "prune", "--dry-run")
    assert len(dry.out.splitlines()) == 2
    assert len(world.environments()) == 3
    assert world.mm("env", "prune").code == 0
    assert [path.name.split("-")[0] for path in world.environments()] == ["one"]


def test_what_is_in_use_stays(world):
    world.model("one", ["alpha==1.0"])
    assert world.mm("env", "sync", "one").code == 0
    flag = world.root / "go on"
    code = f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.02)"
    working = world.start("env", "exec", "one", "--", "python", "-c", f"print()\n{code}")
    lock = world.home / "locks"
    working.wait_until(lambda: list(lock.glob("env-*.lock")))
    refused = world.mm("env", "remove", "one")
    flag.touch()
    assert working.end() == 0
    assert refused.code == 3
    assert "in use by" in refused.sentence
    assert len(world.whole()) == 1
    assert world.mm("env", "remove", "one").code == 0


def test_what_a_live_worker_uses_stays_and_the_worker_is_named(world, monkeypatch):
    world.model("one", [], resolve=True)
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    with Session() as mm:
        assert mm.run("one", text="a")["text"] == "a"
        refused = world.mm("env", "remove", "one")
        assert refused.code == 3
        assert "in use by the worker of one (supervisor " in refused.sentence
        pruned = world.mm("env", "prune", variables={"MM_MANIFESTS": ""})
        assert pruned.code == 3
        assert "in use by the worker of one" in pruned.err
    assert len(world.whole()) == 1
    assert "ready" in world.mm("env", "list").out


# what lies around mm


def test_nothing_around_mm_changes_anything(world, tmp_path):
    world.model("one", ["alpha==1.0", "beta==1.0"], probe=["alpha"])
    assert world.mm("env", "sync", "one").code == 0
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "alpha.py").write_text("raise SystemExit('the wrong one')")
    (evil / "pyproject.toml").write_text('[tool.uv]\nindex-url = "http://127.0.0.1:1/"\n')
    conda = tmp_path / "conda"
    (conda / "conda-meta").mkdir(parents=True)
    hostile = {
        "VIRTUAL_ENV": str(tmp_path), "CONDA_PREFIX": str(conda), "PYTHONPATH": str(evil),
        "PYTHONHOME": "", "UV_PYTHON": "3.8", "UV_NO_VERIFY_HASHES": "1", "UV_OFFLINE": "0",
        "UV_TARGET": str(evil), "PIP_TARGET": str(evil), "UV_NO_BINARY": "1", "UV_NO_CACHE": "1",
        "PIP_REQUIRE_VIRTUALENV": "1", "UV_OVERRIDE": str(evil / "absent"),
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
    }  # fmt: skip
    dry = world.mm("env", "sync", "one", "--dry-run", variables=hostile, cwd=evil)
    assert "one: is ready" in dry.out, dry
    assert world.mm("env", "remove", "one").code == 0
    assert world.mm("env", "sync", "one", variables=hostile, cwd=evil).code == 0
    assert world.mm("env", "check", "--full", "one").code == 0
    assert [path.name for path in evil.iterdir()] == ["alpha.py", "pyproject.toml"]


def test_a_python_that_does_not_exist_names_those_that_do(world):
    world.model("one", ["alpha==1.0"], python="==3.9.99")
    ended = world.mm("env", "sync", "one")
    assert ended.code == 3
    assert "looked at:" in ended.err
    assert "no Python here fits '==3.9.99', which one needs" in ended.sentence
    assert "mm env sync one --install-python" in ended.sentence


def test_another_backend_and_another_python(world):
    world.model("one", ["alpha==1.0"])
    python = getattr(sys, "_base_executable", sys.executable)
    ended = world.mm("env", "sync", "one", "--backend", "virtualenv", "--python", python)
    assert ended.code == 0, ended
    assert world.mm("env", "check", "--full", "one").code == 0


def test_offline_with_nothing_in_the_cache_says_so(world, tmp_path):
    world.model("one", ["alpha==1.0"])
    ended = world.mm(
        "env", "sync", "one", "--offline", variables={"UV_CACHE_DIR": str(tmp_path / "empty")}
    )
    assert ended.code == 3
    assert "run it once without --offline" in ended.sentence


def test_a_home_that_cannot_be_written(world):
    world.model("one", ["alpha==1.0"])
    world.home.mkdir()
    world.home.chmod(0o500)
    unprivileged = drop_privileges if os.geteuid() == 0 else None
    ended = world.mm("env", "sync", "one", before=unprivileged)
    world.home.chmod(0o700)
    assert ended.code == 3
    assert "set MM_HOME to a directory of yours" in ended.sentence
    assert "Traceback" not in ended.err


def test_a_cache_on_another_file_system_is_said(world):
    world.model("one", ["beta==1.0"])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        ended = world.mm("env", "sync", "one", variables={"UV_CACHE_DIR": elsewhere})
        assert ended.code == 0
        assert "takes a full copy" in ended.err
        assert "it is on another file system; set UV_CACHE_DIR" in ended.err
        (row,) = json.loads(world.mm("env", "list", "--json").out)["environments"][:1]
        assert row["freed"] >= row["size"] - 50_000


# locks of the user's own


def test_a_lock_of_ones_own_until_it_is_dropped(world, tmp_path):
    lock = world.model("one", ["beta"], resolve=True)
    committed = lock.read_text()
    wheels = tmp_path / "my wheels"
    wheels.mkdir()
    make_wheel(wheels, "beta", "2.0+mine")
    ended = world.mm("env", "lock", "--mine", "one", "--find-links", "my wheels", cwd=tmp_path)
    assert ended.code == 0, ended
    assert lock.read_text() == committed
    mine = world.home / "mine" / "one" / "requirements.lock"
    assert lock_names(mine) == ["beta==2.0+mine"]
    assert world.mm("env", "sync", "one").code == 0
    ran = world.mm(
        "env", "exec", "one", "--", "python", "-c", "import beta; print(beta.__version__)"
    )
    assert ran.out == "2.0+mine\n"
    assert "ready, your own lock" in world.mm("env", "list").out
    assert world.mm("run", "one", "--text", "x", "--receipt", str(tmp_path / "r.json")).code == 0
    assert json.loads((tmp_path / "r.json").read_text())["produced_by"]["own_lock"] is True
    assert world.mm("env", "lock", "--mine", "--drop", "one").code == 0
    assert not mine.exists()
    assert "one: would be built" in world.mm("env", "sync", "one", "--dry-run").out


def test_an_override_of_ones_own(world):
    world.model("one", ["delta"], resolve=True)
    ended = world.mm("env", "lock", "--mine", "one", "--override", "beta==2.0")
    assert ended.code == 0, ended
    mine = world.home / "mine" / "one" / "requirements.lock"
    assert lock_names(mine) == ["beta==2.0", "delta==1.0"]
    failed = world.mm("env", "lock", "--mine", "one", "--override", "beta==9.9")
    assert "run: mm env lock one --mine --override beta==9.9" in failed.sentence


def test_options_of_ones_own_lock_are_refused_elsewhere(world):
    world.model("one", ["beta==1.0"])
    ended = world.mm("env", "lock", "one", "--torch", "cpu")
    assert ended.code == 2
    assert "--torch is for a lock of your own" in ended.sentence


# a Python that uv fetches


def test_a_python_is_fetched_when_it_is_asked_for(world, tmp_path):
    version = "{}.{}.77".format(*sys.version_info)
    name = f"cpython-{version}+20250101-install_only.tar.gz"
    archive = pack_python(tmp_path / "mirror" / "20250101" / name, version)
    world.model("one", ["beta==1.0"], python=f"=={version}")
    with serving(Index(archive.parent.parent, prefix="/")) as mirror:
        variables = {
            "UV_PYTHON_INSTALL_DIR": str(tmp_path / "managed"),
            "UV_PYTHON_DOWNLOADS_JSON_URL": str(describe_python(tmp_path, version, archive)),
            "UV_PYTHON_INSTALL_MIRROR": mirror.url.rstrip("/"),
        }
        refused = world.mm("env", "sync", "one", variables=variables)
        assert refused.code == 3
        assert "--install-python" in refused.sentence
        assert mirror.asked == []
        ended = world.mm("env", "sync", "one", "--install-python", variables=variables)
        assert ended.code == 0, ended
        assert mirror.asked == [f"/20250101/{name.replace('+', '%2B')}"]
        again = world.mm("env", "sync", "one", "--dry-run", variables=variables)
        assert f"one: is ready (Python {version}" in again.out


LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages", "__pycache__"}


def pack_python(archive, version):
    """Pack this interpreter, which then says that it is `version`, as uv's own Pythons come."""
    archive.parent.mkdir(parents=True)
    base = Path(sys.base_prefix)
    minor = "python{}.{}".format(*sys.version_info)
    library = base / "lib" / minor

    def wanted(member):
        parts = set(Path(member.name).parts)
        return (
            None if parts & LEFT_OUT or any(one.startswith("config-") for one in parts) else member
        )

    text = (library / "platform.py").read_text()
    patched = archive.with_name("platform.py")
    patched.write_text(f"{text}\n\ndef python_version():\n    return {version!r}\n")
    # Debian links modules to files outside.
    with tarfile.open(archive, "w:gz", compresslevel=1, dereference=True) as tar:
        real = Path(os.path.realpath(base / "bin" / minor))
        tar.add(real, f"python/bin/{minor}")
        for shared in (base / "lib").glob("libpython*.so*"):
            tar.add(shared, f"python/lib/{shared.name}")
        tar.add(library, f"python/lib/{minor}", filter=wanted)
        tar.add(patched, f"python/lib/{minor}/platform.py")
        for link in ("python", "python3"):
            member = tarfile.TarInfo(f"python/bin/{link}")
            member.type, member.linkname = tarfile.SYMTYPE, minor
            tar.addfile(member)
    return archive


def describe_python(folder, version, archive):
    """Write the list of downloads that uv reads instead of its own."""
    machine = {"arm64": "aarch64"}.get(os.uname().machine, os.uname().machine)
    linux = sys.platform == "linux"
    releases = "https://github.com/astral-sh/python-build-standalone/releases/download"
    major, minor, patch = version.split(".")
    listed = {
        "only": {
            "name": "cpython",
            "arch": {"family": machine, "variant": None},
            "os": "linux" if linux else "darwin",
            "libc": "gnu" if linux else "none",
            "major": int(major),
            "minor": int(minor),
            "patch": int(patch),
            "prerelease": "",
            "url": f"{releases}/20250101/{archive.name.replace('+', '%2B')}",
            "sha256": sha256(archive),
            "variant": None,
            "build": "20250101",
        }
    }
    path = folder / "downloads.json"
    path.write_text(json.dumps(listed))
    return path
