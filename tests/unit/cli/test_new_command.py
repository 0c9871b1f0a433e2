"""`mm new`: the skeleton of a model, found at once."""

import ast

import pytest

from orchestrator.core.manifest_reader import read_manifest
from orchestrator.errors import ManifestError, UsageError
from tests.unit.catalog.worlds import write_model


def files(root):
    return [root / "manifests" / "mine.yaml", root / "envs" / "mine" / "runner.py"]


@pytest.mark.parametrize("task", ["text", "ocr", "tts", "asr", "anything-else"])
def test_the_skeleton_is_sound_and_its_runner_takes_its_inputs(user, task):
    manifest_file, runner_file = user.mm("new", "mine", "--task", task)
    with open(manifest_file, "rb") as stream:
        manifest = read_manifest(stream.read(), file=manifest_file, stem="mine")
    assert manifest.task == task
    assert manifest.environment.dependencies
    with open(runner_file) as stream:
        tree = ast.parse(stream.read())
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    assert [argument.arg for argument in functions["load"].args.args] == ["context"]
    assert [argument.arg for argument in functions["run"].args.args] == ["model", "job"]
    assert {each.arg for each in functions["run"].args.kwonlyargs} == set(manifest.inputs)


def test_by_default_it_is_the_users_own_and_found_from_anywhere(user):
    created = user.mm("new", "mine")
    assert created == [str(each) for each in files(user.root / "home" / ".config" / "mm")]
    assert user.notes[-2:] == ["next: mm env lock mine", "then: mm run mine --text 'schÃ¶n'"]
    assert "mine" in "\n".join(user.mm("model", "list"))


def test_an_edit_needs_no_trust(user):
    manifest_file, _ = user.mm("new", "mine")
    with open(manifest_file, "a") as stream:
        stream.write("preference: 3\n")
    assert "mine" in "\n".join(user.mm("model", "list"))
    assert user.notes == []


def test_it_goes_where_manifests_come_from(user):
    option, variable = user.root / "a" / "manifests", user.root / "b" / "manifests"
    variables = {"MM_MANIFESTS": str(variable)}
    created = user.mm("new", "mine", variables=variables)
    assert created == [str(each) for each in files(user.root / "b")]
    created = user.mm("new", "other", manifests=[option], variables=variables)
    assert created[0] == str(option / "other.yaml")
    # A variable is still set for the next command; an option has to be given again.
    assert "next: mm env lock mine" not in user.notes


def test_elsewhere_the_next_commands_say_where(user):
    created = user.mm("new", "mine", "--dir", "my models")
    root = user.root / "project" / "my models"
    more = [root / "test_mine.py", root / "README.md"]
    assert created == [str(each) for each in [*files(root), *more]]
    assert user.notes[-2] == f"next: mm --manifests '{root}/manifests' env lock mine"


@pytest.mark.parametrize("task", ["text", "ocr", "tts", "asr"])
def test_a_folder_to_share_has_a_test_and_a_readme(user, task):
    user.mm("new", "my-1.model", "--task", task, "--dir", "shared")
    folder = user.root / "project" / "shared"
    tree = ast.parse((folder / "test_my_1_model.py").read_text())
    (test,) = (each for each in tree.body if isinstance(each, ast.FunctionDef))
    assert test.name == "test_my_1_model"
    assert any(isinstance(each, ast.Assert) for each in ast.walk(test))
    readme = folder / "README.md"
    assert "mm manifest trust .\nmm run my-1.model --" in readme.read_text()
    readme.write_text("mine")
    user.mm("new", "other", "--task", task, "--dir", "shared")
    assert readme.read_text() == "mine"


@pytest.mark.parametrize("kept", [0, 1])
def test_nothing_is_overwritten(user, kept):
    user.mm("new", "mine", "--dir", ".")
    paths = files(user.root / "project")
    paths[kept].write_text("mine own")
    paths[1 - kept].unlink()
    with pytest.raises(ManifestError, match="is there already; choose another name"):
        user.mm("new", "mine", "--dir", ".")
    assert paths[kept].read_text() == "mine own"
    assert not paths[1 - kept].exists()


def test_a_link_that_leads_nowhere_is_not_written_through(user):
    target = user.root / "target.py"
    runner = user.root / "project" / "envs" / "mine" / "runner.py"
    runner.parent.mkdir(parents=True)
    runner.symlink_to(target)
    with pytest.raises(ManifestError, match="is there already"):
        user.mm("new", "mine", "--dir", ".")
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["../x"], "'../x' is not a name"),
        (["A"], "'A' is not a name"),
        (["mine", "--task", "a b"], "'a b' is not a name"),
        (["ocr"], "'ocr' is the name of a task; choose another"),
        (["plain-text"], "'plain-text' is the name of a built-in step; choose another"),
        (["same", "--task", "same"], "'same' is the model's own name, and a task needs another"),
    ],
)
def test_names_that_cannot_be_used(user, arguments, message):
    with pytest.raises(ManifestError) as caught:
        user.mm("new", *arguments)
    assert str(caught.value).startswith(message)
    assert not (user.root / "home").exists()


def test_a_name_that_yaml_takes_for_a_number_is_quoted(user):
    manifest_file, _ = user.mm("new", "12")
    with open(manifest_file) as stream:
        assert 'name: "12"\n' in stream.read()


def test_names_that_are_taken(user):
    manifests = write_model(user.root / "a", "taken", task="copying")
    for name, message in (
        ("taken", "there is a model 'taken' already"),
        ("copying", "'copying' is the name of a task"),
    ):
        with pytest.raises(UsageError, match=message):
            user.mm("new", name, "--dir", ".", manifests=[manifests])
    assert list((user.root / "project").iterdir()) == []


def test_a_place_that_cannot_be_made(user):
    (user.root / "project" / "file").write_text("")
    with pytest.raises(ManifestError, match=r"cannot be made .*; choose another --dir"):
        user.mm("new", "mine", "--dir", "file")
