"""Converted weights on the command line: added, shown, listed, forgotten."""

import json

import pytest

from orchestrator.errors import SourceError, UsageError
from orchestrator.workspace import Workspace
from tests.models import Notes
from tests.unit.catalog.worlds import write_model
from tests.unit.sources.test_converted_weights import GIVEN


@pytest.fixture
def manifests(user):
    return write_model(user.root / "models", "small", more=GIVEN)


@pytest.fixture
def weights(user):
    weights = user.root / "weights"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    (weights / "model.safetensors").write_bytes(b"4bit")
    return weights


def test_converted_weights_are_shown_and_forgotten(user, manifests, weights):
    def mm(*arguments):
        return user.mm("model", *arguments, manifests=[manifests])

    with pytest.raises(SourceError, match="needs its weights of 4bit") as caught:
        mm("path", "small", "--precision", "4bit")
    assert "mm model pull small --precision 4bit" in caught.value.fix
    assert "mm model convert small --precision 4bit" in caught.value.fix
    variables = {"HOME": str(user.root), "MM_HOME": str(user.root / "mm-home")}
    workspace = Workspace(variables, user.root, manifests=(manifests,), reporter=Notes())
    workspace.sources.add(workspace.catalog.model("small").at("4bit"), weights)
    assert mm("path", "small", "--precision", "4bit") == [str(weights)]
    assert any("added 4bit" in line for line in mm("list"))
    shown = json.loads("\n".join(mm("show", "small")))
    assert shown["converted"]["4bit"]["path"] == str(weights)
    mm("remove", "small", "--precision", "4bit")
    assert user.notes == [f"small --precision 4bit: forgotten; its files stay in {weights}"]
    assert weights.is_dir()
    mm("remove", "small")
    assert user.notes == ["small: nothing to remove"]


@pytest.mark.parametrize("command", [["path"], ["remove"], ["convert"]])
def test_a_data_type_that_a_model_has_not_is_refused(user, manifests, command):
    with pytest.raises(UsageError) as caught:
        user.mm("model", *command, "small", "--precision", "8bit", manifests=[manifests])
    expected = ["small has no weights of 8bit", "the weights of small are not converted"]
    assert caught.value.what.startswith(tuple(expected))
