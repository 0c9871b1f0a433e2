"""A model as content: packed here, laid out there, the same model again."""

import msgspec
import pytest

from orchestrator.catalog import Declared, Origin, runner_digest
from orchestrator.core.canonical import digest_bytes
from orchestrator.core.lockfile import render_lock
from orchestrator.core.manifest_reader import read_manifest
from orchestrator.engines.ray.bundles import MAX_WHEELS, Bundle, pack, unpack
from orchestrator.errors import EnvironmentFailure, ManifestError

MANIFEST = b"""\
name: tiny
task: try
summary: A model
environment: {python: ">=3.10", dependencies: [], build: [six]}
patches: [set]
source: {repo: owner/model, revision: main}
inputs: {text: {type: text, required: true}}
outputs: {text: {type: text}}
"""


@pytest.fixture
def declared(tmp_path):
    manifests, environment = tmp_path / "manifests", tmp_path / "envs" / "tiny"
    (manifests / "patches").mkdir(parents=True)
    environment.mkdir(parents=True)
    (manifests / "tiny.yaml").write_bytes(MANIFEST)
    (manifests / "patches" / "set.yaml").write_bytes(b"name: set\n")
    (environment / "runner.py").write_bytes(b"# the runner\n")
    (environment / "requirements.lock").write_bytes(b"# lock\n")
    (environment / "build.lock").write_bytes(b"# build\n")
    file = manifests / "tiny.yaml"
    manifest = read_manifest(MANIFEST, file=str(file), stem="tiny")
    return Declared(manifest, Origin.USER, file, environment, digest_bytes(MANIFEST), str(file))


def test_the_same_model_comes_out_with_the_same_digests(declared, tmp_path):
    bundle = pack(declared)
    there = unpack(bundle, tmp_path / "there")
    assert there.manifest == declared.manifest
    assert there.digest == declared.digest
    assert there.lock.read_bytes() == b"# lock\n"
    assert there.lock.with_name("build.lock").read_bytes() == b"# build\n"
    assert there.runner.read_bytes() == b"# the runner\n"
    assert (there.file.parent / "patches" / "set.yaml").read_bytes() == b"name: set\n"
    assert pack(there).digest == bundle.digest


def test_a_runner_of_many_files_travels_whole(declared, tmp_path):
    declared.runner.unlink()
    folder = declared.env_directory / "runner"
    for name in ("__init__.py", "deep/__init__.py", "deep/a.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}")
    there = unpack(pack(declared), tmp_path / "there")
    assert list(there.read_runner().values()) == list(declared.read_runner().values())
    assert runner_digest(there.read_runner()) == runner_digest(declared.read_runner())


def test_it_is_laid_out_once(declared, tmp_path):
    bundle = pack(declared)
    first = unpack(bundle, tmp_path / "there").file.stat()
    assert unpack(bundle, tmp_path / "there").file.stat().st_ino == first.st_ino
    assert len(list((tmp_path / "there").iterdir())) == 1


def test_any_change_is_another_bundle(declared):
    before = pack(declared).digest
    declared.runner.write_bytes(b"# edited\n")
    assert pack(declared).digest != before


def locked_wheel(declared):
    """Put a wheel of the model's own into its folder and its lock."""
    wheel = declared.wheels / "own-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"a wheel")
    wheels = {wheel.name: digest_bytes(b"a wheel")}
    declared.lock.write_text(render_lock("", shape="s", command="", wheels=wheels))
    return wheel


def test_wheels_that_the_lock_names_travel_and_no_others(declared, tmp_path):
    wheel = locked_wheel(declared)
    (wheel.parent / "own-0.9-py3-none-any.whl").write_bytes(b"an old one")
    there = unpack(pack(declared), tmp_path / "there")
    assert [path.name for path in there.wheels.iterdir()] == [wheel.name]
    assert (there.wheels / wheel.name).read_bytes() == b"a wheel"
    wheel.unlink()
    assert not unpack(pack(declared), tmp_path / "there").wheels.exists()


def test_a_wheel_that_changed_or_is_too_large_does_not_travel(declared):
    wheel = locked_wheel(declared)
    wheel.write_bytes(b"another")
    with pytest.raises(EnvironmentFailure, match="is not the file that was locked"):
        pack(declared)
    with wheel.open("wb") as stream:
        stream.truncate(MAX_WHEELS + 1)
    with pytest.raises(EnvironmentFailure, match="at most 268 MB are sent to a node"):
        pack(declared)


def test_a_model_without_a_lock_is_told_before_it_travels(declared):
    declared.lock.unlink()
    with pytest.raises(EnvironmentFailure, match="tiny has no lock"):
        pack(declared)


@pytest.mark.parametrize("name", ["../outside", "/absolute", "envs/../../outside"])
def test_nothing_is_written_outside(declared, tmp_path, name):
    bundle = pack(declared)
    bad = Bundle(bundle.model, {**bundle.files, name: b"x"})
    with pytest.raises(ManifestError, match="leaves its bundle"):
        unpack(bad, tmp_path / "there")
    assert not (tmp_path / "outside").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_a_bundle_is_plain_content(declared):
    assert msgspec.structs.asdict(pack(declared)).keys() == {"model", "files"}
