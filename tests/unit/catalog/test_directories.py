"""Where manifests are looked for."""

from pathlib import Path

import pytest

import orchestrator
from orchestrator.catalog import Origin, builtin_directory, user_directory
from orchestrator.errors import ManifestError
from tests.unit.catalog.worlds import write_model


def test_a_checkout_has_its_manifests_beside_the_package():
    package = Path(orchestrator.__file__).resolve().parent
    expected = [package.parent / "manifests", package / "builtin" / "manifests"]
    assert builtin_directory() in expected


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"HOME": "/h"}, "/h/.config/mm/manifests"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/c"}, "/c/mm/manifests"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, "/h/.config/mm/manifests"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": ""}, "/h/.config/mm/manifests"),
    ],
)
def test_the_users_own_directory(variables, path):
    assert str(user_directory(variables)) == path


def test_the_order_of_directories(world):
    first, second = write_model(world.root / "a", "a"), write_model(world.root / "b", "b")
    third = write_model(world.root / "c", "c")
    write_model(world.user.parent, "u")
    found = write_model(world.project, "p")
    catalog = world.load(first, variable=[second, third], settings=world.trusting_the_project())
    assert [(each.path, each.origin) for each in catalog.directories] == [
        (first, Origin.OPTION),
        (second, Origin.VARIABLE),
        (third, Origin.VARIABLE),
        (found, Origin.FOUND),
        (world.user, Origin.USER),
        (world.builtin, Origin.BUILT_IN),
    ]


def test_a_directory_counts_once_and_links_to_it_are_it(world):
    manifests = write_model(world.root / "a", "a")
    link = world.root / "link"
    link.symlink_to(manifests)
    catalog = world.load(link, manifests, variable=[manifests])
    assert [each.path for each in catalog.directories] == [manifests, world.builtin]
    assert catalog.model("a").env_directory == world.root / "a" / "envs" / "a"


def test_paths_are_taken_from_the_working_directory(world):
    manifests = write_model(world.cwd / "mine", "a")
    assert world.load(Path("mine/manifests")).model("a").file == manifests / "a.yaml"


def test_the_built_in_directory_is_built_in_however_it_is_reached(world):
    for catalog in (
        world.load(world.builtin),
        world.load(variable=[world.builtin]),
        world.load(cwd=world.builtin.parent),
        world.load(cwd=world.builtin),
    ):
        assert [each.origin for each in catalog.directories] == [Origin.BUILT_IN]
        assert catalog.notes == ()


def test_the_first_directory_above_is_the_one_found(world):
    write_model(world.root, "far")
    near = write_model(world.project, "near")
    assert world.load().ignored.directory == near


def test_a_directory_above_without_manifests_is_not_one(world):
    (world.project / "manifests").mkdir()
    (world.project / "manifests" / "deploy.json").write_text("{}")
    assert world.load().ignored is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "{root}/missing: no such directory"),
        ("file", "{root}/file: not a directory"),
        (
            "project",
            """{root}/project: no manifest in it; \
write --manifests {root}/project/manifests""",
        ),
    ],
)
def test_an_option_must_name_a_directory_of_manifests(world, name, message):
    (world.root / "file").write_text("")
    write_model(world.project, "p")
    with pytest.raises(ManifestError) as caught:
        world.load(world.root / name)
    assert str(caught.value) == message.format(root=world.root)


def test_a_directory_of_the_variable_that_is_missing_is_told(world):
    catalog = world.load(variable=[world.root / "missing"])
    assert catalog.notes == (f"MM_MANIFESTS: ignored {world.root}/missing: no such directory",)
    assert list(catalog.models) == ["built-in"]
