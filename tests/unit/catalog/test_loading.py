"""Merging manifests: who wins on a name, and what one broken manifest does to the others."""

import os

import pytest

from orchestrator.catalog import Origin
from orchestrator.catalog.manifest_checks import check_file
from orchestrator.core.selection import Facts
from orchestrator.errors import ManifestError, UsageError
from tests.unit.catalog.worlds import write_model

HERE = Facts(lambda _: True, {"cpu": None})


def broken(catalog, name):
    with pytest.raises(ManifestError) as caught:
        catalog.model(name)
    return str(caught.value)


def test_a_model_knows_its_files(world):
    declared = world.load().model("built-in")
    root = world.builtin.parent
    assert declared.file == root / "manifests" / "built-in.yaml"
    assert declared.runner == root / "envs" / "built-in" / "runner.py"
    assert declared.lock == root / "envs" / "built-in" / "requirements.lock"
    assert len(declared.digest) == 64


def test_the_first_directory_wins_on_a_name(world):
    first = write_model(world.root / "a", "built-in", task="first")
    second = write_model(world.root / "b", "built-in", task="second")
    assert world.load(first, second).model("built-in").manifest.task == "first"
    assert world.load(second, variable=[first]).model("built-in").manifest.task == "second"


def test_tasks_list_their_models_by_preference_and_name(world):
    write_model(world.user.parent, "b", preference=5)
    write_model(world.user.parent, "a", preference=5)
    write_model(world.user.parent, "z", preference=9)
    catalog = world.load()
    assert [each.name for each in catalog.task("copy")] == ["z", "a", "b", "built-in"]
    declared, reason = catalog.select("copy", HERE)
    assert declared.name == "z"
    assert reason == "copy: z (preferred to a and b and built-in)"


def test_a_broken_manifest_leaves_the_other_models_alone(world):
    manifests = write_model(world.user.parent, "good")
    (manifests / "bad.yaml").write_text("name: bad\ntask: [\n")
    catalog = world.load()
    assert catalog.model("good").origin is Origin.USER
    assert broken(catalog, "bad").startswith(f"{manifests}/bad.yaml:3: not YAML:")
    assert catalog.problems == (f"ignored: {broken(catalog, 'bad')}",)


def test_a_broken_manifest_is_not_passed_over_for_one_further_on(world):
    manifests = write_model(world.root / "a", "built-in", more="extra: 1\n")
    assert "extra: unknown key" in broken(world.load(manifests), "built-in")


def test_files_below_the_working_directory_are_named_from_there(world):
    manifests = write_model(world.cwd, "a", more="extra: 1\n")
    assert broken(world.load(manifests), "a").startswith("manifests/a.yaml:12: extra: unknown key")


def test_hidden_and_other_files_are_passed_over(world):
    manifests = write_model(world.user.parent, "good")
    for name in (".hidden.yaml", "README.md", "good.yaml~"):
        (manifests / name).write_text("?")
    (manifests / "patches").mkdir()
    catalog = world.load()
    assert list(catalog.models) == ["built-in", "good"]
    assert catalog.broken == {}


def test_a_yml_file_is_not_passed_over_in_silence(world):
    manifests = write_model(world.user.parent, "good")
    (manifests / "good.yaml").rename(manifests / "good.yml")
    assert broken(world.load(), "good") == (
        f"{manifests}/good.yml: a manifest's name ends in .yaml; rename it to good.yaml"
    )


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_waited_for(world, make):
    world.user.mkdir(parents=True)
    make(world.user / "a.yaml")
    assert broken(world.load(), "a").startswith(f"{world.user}/a.yaml: cannot be read (")


def test_a_link_that_leads_nowhere(world):
    world.user.mkdir(parents=True)
    (world.user / "a.yaml").symlink_to("nowhere")
    assert broken(world.load(), "a") == f"{world.user}/a.yaml: no such file"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("biult-in", "did you mean built-in?"),
        ("cop", "did you mean copy?"),
        ("xyz", "run: mm model list"),
        ("../built-in", "did you mean built-in?"),
    ],
)
def test_unknown_names_are_offered_the_nearest(world, name, hint):
    catalog = world.load()
    for ask in (catalog.model, catalog.task):
        with pytest.raises(UsageError) as caught:
            ask(name)
        assert str(caught.value) == f"there is no model or task {name!r}; {hint}"


class TestSharedEnvironments:
    def write(self, world, name, **others):
        return write_model(world.user.parent, name, more="env: shared\n", **others)

    def test_manifests_that_agree_share_a_folder(self, world):
        self.write(world, "a", dependencies="[x==1]", task="one")
        self.write(world, "b", dependencies="[x==1]", task="two")
        catalog = world.load()
        assert catalog.model("a").env_directory == catalog.model("b").env_directory

    def test_manifests_that_differ_are_all_broken(self, world):
        manifests = self.write(world, "a", dependencies="[x==1]")
        self.write(world, "b", dependencies="[x==2]")
        write_model(world.user.parent, "c", dependencies="[x==3]")
        catalog = world.load()
        for one, other in (("a", "b"), ("b", "a")):
            assert broken(catalog, one) == (
                f"{manifests}/{one}.yaml:7: environment.dependencies: "
                f"differs from that of {manifests}/{other}.yaml, which shares env: shared"
            )
        assert catalog.model("c")

    def test_the_same_name_in_another_directory_is_another_folder(self, world):
        self.write(world, "a", dependencies="[x==1]")
        other = write_model(world.root / "o", "b", more="env: shared\n", dependencies="[x==2]")
        assert set(world.load(other).models) == {"a", "b", "built-in"}


def test_a_model_may_not_bear_the_name_of_anothers_task(world):
    manifests = write_model(world.user.parent, "copy", task="other")
    assert broken(world.load(), "copy") == (
        f"{manifests}/copy.yaml:1: name: {world.builtin}/built-in.yaml has a task of that name"
    )


def test_a_task_may_not_bear_the_name_of_anothers_model(world):
    manifests = write_model(world.user.parent, "a", task="built-in")
    assert broken(world.load(), "a") == (
        f"{manifests}/a.yaml:2: task: {world.builtin}/built-in.yaml has a model of that name"
    )


def test_a_file_is_checked_by_itself(world):
    manifests = write_model(world.user.parent, "a", more="x: 1\ny: 2\n")
    messages = [str(problem) for problem in check_file(manifests / "a.yaml", "a.yaml")]
    assert [message.split(":")[1] for message in messages] == ["12", "13"]
    (missing,) = check_file(manifests / "b.yaml", "b.yaml")
    assert str(missing) == "b.yaml: no such file"
    (suffix,) = check_file(manifests / "b.yml", "b.yml")
    assert str(suffix) == "b.yml: no such file"
