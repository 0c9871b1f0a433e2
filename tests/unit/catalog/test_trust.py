"""Directories above the working directory: used only when trusted, and never to take over."""

import os
import re
import shutil

import pytest
from msgspec.structs import replace

from orchestrator.catalog import ManifestDirectory, Origin, inspect_tree
from orchestrator.catalog import trust as trust_module
from orchestrator.core.selection import Facts
from orchestrator.errors import ManifestError, UsageError
from tests.unit.catalog.worlds import write_model

HERE = Facts(lambda _: True, {"cpu": None})


@pytest.fixture
def found(world):
    return write_model(world.project, "mine")


def test_an_untrusted_directory_is_ignored_with_one_line(world, found):
    catalog = world.load()
    assert list(catalog.models) == ["built-in"]
    assert catalog.notes == (f"ignored {found}: it is not trusted; run: mm manifest trust {found}",)


def test_a_model_that_is_only_there_is_an_error_that_says_so(world, found):
    with pytest.raises(ManifestError) as caught:
        world.load().model("mine")
    assert str(caught.value) == (
        f"{found}: the model 'mine' is only in a directory that is not trusted; "
        f"run: mm manifest trust {found}"
    )


def test_a_model_that_is_elsewhere_too_is_taken_from_there(world, found):
    write_model(world.user.parent, "mine")
    assert world.load().model("mine").origin is Origin.USER


def test_the_command_can_be_pasted_whatever_the_path(world):
    world.project.rename(world.root / "a b")
    found = write_model(world.root / "a b", "mine")
    catalog = world.load(cwd=world.root / "a b")
    assert catalog.notes[0].endswith(f"run: mm manifest trust '{found}'")


def test_a_trusted_directory_is_used(world, found):
    catalog = world.load(settings=world.trusting_the_project())
    assert catalog.model("mine").origin is Origin.FOUND
    assert catalog.notes == ()


def test_naming_it_needs_no_trust(world, found):
    assert world.load(found).model("mine").origin is Origin.OPTION
    assert world.load(variable=[found]).model("mine").origin is Origin.VARIABLE


@pytest.mark.parametrize(
    ("change", "file"),
    [
        (lambda mine: (mine / "../../manifests/mine.yaml").write_text("x"), "manifests/mine.yaml"),
        (lambda mine: (mine / "../../manifests/other.yaml").touch(), "manifests/other.yaml"),
        (lambda mine: (mine / "../../manifests/patches").mkdir(), ""),
        (lambda mine: (mine / "runner.py").write_text("import os\n"), "envs/mine/runner.py"),
        (lambda mine: (mine / "helper.py").touch(), "envs/mine/helper.py"),
        (lambda mine: (mine / "runner.py").unlink(), "envs/mine/runner.py"),
        (lambda mine: (mine / "runner.py").rename(mine / "main.py"), "envs/mine/main.py"),
    ],
)
def test_any_change_of_a_file_ends_the_trust(world, found, change, file):
    settings = world.trusting_the_project()
    change(world.project / "envs" / "mine")
    catalog = world.load(settings=settings)
    if not file:
        assert "mine" in catalog.models
        return
    assert "mine" not in catalog.models
    said = f"it has changed since it was trusted ({file}); run: mm manifest trust"
    assert said in catalog.notes[0]
    with pytest.raises(ManifestError, match=re.escape(file)):
        catalog.model("mine")


def test_a_wheel_counts_by_its_name_whatever_its_size(world, found):
    wheels = world.project / "envs" / "mine" / "wheels"
    wheels.mkdir()
    with (wheels / "own-1.0-py3-none-any.whl").open("wb") as stream:
        stream.truncate(trust_module.MAX_BYTES + 1)
    settings = world.trusting_the_project()
    (wheels / "own-1.0-py3-none-any.whl").write_bytes(b"the hash in the lock decides")
    assert "mine" in world.load(settings=settings).models
    (wheels / "own-2.0-py3-none-any.whl").touch()
    assert "mine" not in world.load(settings=settings).models


@pytest.mark.parametrize("place", ["wheels/own.py", "own.whl", "deep/wheels/own.whl"])
def test_what_is_no_wheel_in_that_folder_counts_by_its_content(world, found, place):
    file = world.project / "envs" / "mine" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    settings = world.trusting_the_project()
    file.write_bytes(b"other")
    assert "mine" not in world.load(settings=settings).models


def test_a_trust_that_knows_no_files_ends_as_well(world, found):
    settings = replace(world.trusting_the_project(), contents={})
    (world.project / "envs" / "mine" / "runner.py").write_text("import os\n")
    catalog = world.load(settings=settings)
    assert "it has changed since it was trusted; run: mm manifest trust" in catalog.notes[0]


@pytest.mark.parametrize("place", ["manifests/link.yaml", "envs/mine/link.py", "envs/link"])
def test_a_link_cannot_be_trusted(world, found, place):
    settings = world.trusting_the_project()
    (world.project / place).symlink_to("/etc")
    with pytest.raises(ManifestError, match="a link, which cannot be trusted"):
        world.trusting_the_project()
    catalog = world.load(settings=settings)
    assert "can no longer be trusted" in catalog.notes[0]
    assert "mine" not in catalog.models


def test_an_envs_that_is_a_link_cannot_be_trusted(world, found):
    (world.project / "envs").rename(world.root / "elsewhere")
    (world.project / "envs").symlink_to(world.root / "elsewhere")
    with pytest.raises(ManifestError, match="a link, which cannot be trusted"):
        world.trusting_the_project()


def test_a_pipe_is_not_waited_for(world, found):
    os.mkfifo(world.project / "envs" / "mine" / "pipe")
    with pytest.raises(ManifestError, match="neither a file nor a directory"):
        world.trusting_the_project()


def test_a_tree_of_other_things_is_refused(world, found):
    for number in range(trust_module.MAX_FILES + 1):
        (world.project / "envs" / f"{number}").touch()
    with pytest.raises(ManifestError, match="more than 2000 files"):
        world.trusting_the_project()


def test_contents_are_told_apart_by_name_and_place(tmp_path):
    def digest(root, name, text):
        (root / "manifests").mkdir(parents=True)
        (root / "manifests" / name).write_text(text)
        return inspect_tree(ManifestDirectory(root / "manifests", Origin.FOUND)).digest

    one, same = digest(tmp_path / "1", "a.yaml", "x"), digest(tmp_path / "2", "a.yaml", "x")
    assert one == same
    assert one != digest(tmp_path / "3", "b.yaml", "x")
    assert one != digest(tmp_path / "4", "a.yaml", "y")


def test_a_trusted_directory_never_replaces_a_built_in_model(world):
    write_model(world.project, "built-in", task="stolen")
    catalog = world.load(settings=world.trusting_the_project())
    assert catalog.model("built-in").origin is Origin.BUILT_IN
    assert "'built-in' is the name of a built-in model" in catalog.notes[0]


def test_a_trusted_directory_never_takes_a_task_by_preference(world):
    write_model(world.project, "mine", task="copy", preference=1000)
    catalog = world.load(settings=world.trusting_the_project())
    assert catalog.select("copy", HERE)[0].name == "built-in"
    assert catalog.select("copy", HERE, "mine")[0].name == "mine"


def test_a_trusted_directory_cannot_spoil_a_built_in_model_by_its_task(world):
    write_model(world.project, "mine", task="built-in")
    catalog = world.load(settings=world.trusting_the_project())
    assert catalog.model("built-in").origin is Origin.BUILT_IN
    with pytest.raises(ManifestError, match="has a model of that name"):
        catalog.model("mine")


def test_a_directory_of_another_user_is_ignored(world, found):
    settings = world.trusting_the_project()
    stranger = os.geteuid() + 1
    catalog = world.load(settings=settings, user=stranger)
    assert catalog.notes == (f"ignored {found}: it belongs to another user",)
    with pytest.raises(ManifestError, match="belongs to another user"):
        inspect_tree(ManifestDirectory(found, Origin.FOUND), stranger)


def test_a_name_that_is_nowhere_is_unknown_all_the_same(world, found):
    with pytest.raises(UsageError, match="there is no model or task 'xyz'"):
        world.load().model("xyz")


def test_a_checkout_beside_an_installation_of_the_same_is_passed_over_in_silence(world):
    shutil.copytree(world.builtin.parent, world.project, dirs_exist_ok=True)
    # Installers compile what they install.
    compiled = world.builtin.parent / "envs" / "built-in" / "__pycache__"
    compiled.mkdir()
    (compiled / "runner.cpython-311.pyc").write_bytes(b"compiled")
    catalog = world.load()
    assert catalog.notes == ()
    assert catalog.model("built-in").origin is Origin.BUILT_IN

    runner = world.project / "envs" / "built-in" / "runner.py"
    runner.write_text(runner.read_text() + "# changed\n")
    assert "is not trusted" in world.load().notes[0]
