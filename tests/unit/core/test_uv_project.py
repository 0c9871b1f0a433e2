from pathlib import Path

import pytest

from orchestrator.core.lockfile import LockError, Pin, changes, read_pins
from orchestrator.core.manifest import Environment
from orchestrator.core.toml import parse_toml
from orchestrator.core.uv_project import (
    PROJECT,
    environment_project,
    lock_body,
    pinned_project,
    preferences_text,
    read_uv_lock,
)
from orchestrator.core.wheels import PackageFile, PackageFiles

ENVIRONMENT = Environment(
    python=">=3.11,<3.13",
    platforms=("linux-x86_64", "macos-arm64"),
    dependencies=("numpy<2", 'ö; extra == "x\\y"'),
    overrides=("gradio; python_version < '0'",),
    build=("sox",),
)


def test_uv_is_given_the_bounds_of_the_manifest():
    project = environment_project(ENVIRONMENT)
    document = parse_toml(project.text())
    assert document["project"]["dependencies"] == list(ENVIRONMENT.dependencies)
    uv = document["tool"]["uv"]
    assert uv["override-dependencies"] == list(ENVIRONMENT.overrides)
    assert len(uv["environments"]) == 2
    for words in ("'linux'", "'x86_64'", "python_full_version >= '3.11'", "< '3.13'"):
        assert words in uv["environments"][0]
    assert project.arguments() == ["--no-build", "--no-binary-package=sox"]


def test_a_specifier_without_a_bound_ends_with_the_last_known_python():
    project = environment_project(Environment(python=">=3.12", dependencies=("x",)))
    assert "python_full_version < '3.15'" in project.text()
    assert {minor for _, minor in project.places} == {"3.12", "3.13", "3.14"}


def test_of_pins_uv_asks_which_files_there_are_and_builds_none():
    pins = [Pin("a", "1", "python_version < '3.12'"), Pin("a", "2", "python_version >= '3.12'")]
    project = pinned_project(environment_project(ENVIRONMENT), pins)
    document = parse_toml(project.text())
    assert document["project"]["dependencies"][0] == "a==1 ; python_version < '3.12'"
    assert document["tool"]["uv"]["dependency-metadata"] == [{"name": "a"}]
    (environment,) = document["tool"]["uv"]["environments"]
    assert environment.startswith("(sys_platform == 'linux' or sys_platform == 'darwin') and ")
    assert project.arguments() == []


def test_versions_that_are_there_are_preferred_by_a_lock_of_uvs():
    text = preferences_text([Pin("a", "1"), Pin("b", "2", "python_version < '3.12'")])
    first, second = parse_toml(text)["package"]
    assert (first["name"], first["version"]) == ("a", "1")
    assert second["resolution-markers"] == ["python_version < '3.12'"]


UV_LOCK = """
version = 1
[[package]]
name = "alpha"
version = "1.0"
source = { registry = "https://i.test/simple" }
sdist = { url = "https://i.test/alpha-1.0.tar.gz", hash = "sha256:00", size = 3 }
wheels = [{ url = "https://i.test/alpha-1.0-py3-none-any.whl", hash = "sha256:01" }]
[[package]]
name = "beta"
version = "2.0"
source = { registry = "../files" }
wheels = [{ path = "beta-2.0-py3-none-any.whl", hash = "sha256:02" }]
[[package]]
name = "mm"
source = { virtual = "." }
"""


def test_the_files_of_packages_are_read_from_uvs_lock():
    found = read_uv_lock(UV_LOCK, Path("/here"))
    alpha, beta = found["alpha", "1.0"], found["beta", "2.0"]
    assert alpha.source == ("alpha", "https://i.test/alpha-1.0.tar.gz", "00")
    assert alpha.wheels[0].name == "alpha-1.0-py3-none-any.whl"
    assert beta == (
        (("beta", "file:///files/beta-2.0-py3-none-any.whl", "02"),),
        None,
    )


def test_a_body_keeps_hashes_and_who_asked():
    marker = "python_full_version >= '3.11' and sys_platform == 'linux'"
    exported = (
        f"alpha==1.0 ; {marker} \\\n    --hash=sha256:{'0' * 64}\n    # via {PROJECT}\n"
        f"beta==2.0 \\\n    --hash=sha256:{'1' * 64}\n    # via\n    #   {PROJECT}\n    #   alpha\n"
    )
    alpha, beta = read_pins(lock_body(exported, environment_project(ENVIRONMENT)))
    assert alpha.marker == "sys_platform == 'linux'"
    assert alpha.via == ("the manifest",)
    assert beta.via == ("the manifest", "alpha")


def test_packages_from_a_directory_get_their_hashes():
    project = environment_project(ENVIRONMENT)
    wheels = [PackageFile("own", f"file:///own-{tag}.whl", tag * 64) for tag in "10"]
    files = {("own", "1.0+mine"): PackageFiles(tuple(wheels)), ("alpha", "2"): PackageFiles()}
    exported = "own==1.0+mine ; sys_platform == 'linux'\n    # via alpha\n"
    (own,) = read_pins(lock_body(exported, project, files))
    assert own.hashes == (f"sha256:{'0' * 64}", f"sha256:{'1' * 64}")
    assert own.marker == "sys_platform == 'linux'"
    assert own.via == ("alpha",)
    with pytest.raises(LockError, match="has no hash"):
        list(read_pins(lock_body("alpha==2\n", project, files)))


def test_what_changed_between_two_locks():
    before = [Pin("a", "1"), Pin("b", "1"), Pin("c", "1"), Pin("c", "2"), Pin("e", "1")]
    after = [Pin("a", "2"), Pin("c", "2"), Pin("c", "1"), Pin("d", "1"), Pin("e", "1", "x")]
    assert changes(before, after) == ["moved a 1 -> 2", "removed b 1", "added d 1"]
