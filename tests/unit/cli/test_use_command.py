"""`mm use`: which model stands for a task."""

import pytest

from orchestrator.errors import UsageError
from tests.unit.catalog.worlds import write_model


@pytest.fixture
def mm(user):
    """Run `mm` with two models of the task `copy` and one of `move`."""
    for name, task in (("a", "copy"), ("b", "copy"), ("c", "move")):
        manifests = write_model(user.root / "models", name, task=task)
    return lambda *arguments: user.mm(*arguments, manifests=[manifests])


def test_a_choice_is_kept_and_listed(mm, user):
    mm("use", "copy", "b")
    assert user.notes[-1] == "copy is b from now on"
    assert mm("use", "copy") == ["b"]
    listed = mm("use")
    assert "copy: b" in listed
    assert "move: not chosen; the first that is ready of c" in listed


def test_a_choice_can_be_taken_back(mm, user):
    mm("use", "copy", "b")
    mm("use", "copy", "--clear")
    assert mm("use", "copy") == ["not chosen; the first that is ready of a, b"]


def test_the_last_choice_stands(mm):
    mm("use", "copy", "b")
    mm("use", "copy", "a")
    assert mm("use", "copy") == ["a"]


def test_a_choice_whose_model_is_gone_is_still_listed_and_cleared(mm, user):
    mm("use", "copy", "b")
    assert "copy: b" in user.mm("use")
    user.mm("use", "copy", "--clear")
    assert "copy: b" not in user.mm("use")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cop", "a"], "there is no model or task 'cop'; did you mean copy?"),
        (["copy", "x9"], "there is no model or task 'x9'; run: mm model list"),
        (["copy", "c"], "c is a model of the task move, not copy; choose from a, b"),
        (["cop"], "there is no model or task 'cop'; did you mean copy?"),
        (["cop", "--clear"], "there is no model or task 'cop'; did you mean copy?"),
        (["--clear"], "--clear needs a task; write mm use TASK --clear"),
        (["copy", "a", "--clear"], "--clear takes no model; write mm use copy --clear"),
    ],
)
def test_refusals_settle_nothing(mm, user, arguments, message):
    with pytest.raises(UsageError) as caught:
        mm("use", *arguments)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2
    assert not (user.root / "mm-home").exists()
