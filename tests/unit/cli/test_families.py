"""Models of a family: listed together, pulled by its name, with weights that they share."""

import pytest

from orchestrator.errors import SourceError
from orchestrator.workspace import Workspace
from tests.models import Notes
from tests.unit.catalog.worlds import write_model

SOURCE = "source: {repo: owner/weights, revision: main}\nfamily: readers\n"


@pytest.fixture
def readers(user):
    """Write three models of a family, one of which does not run here, and one of no family."""
    root = user.root / "models"
    write_model(root, "z-reader", more=f"{SOURCE}devices: [cpu]\n", preference=5)
    write_model(root, "a-reader", more=SOURCE, preference=4)
    write_model(root, "reader-gpu", more=f"{SOURCE}devices: [cuda]\n", preference=9)
    return write_model(root, "between", more="")


def added(user, readers):
    """Add a directory of weights to one of the models, and return it."""
    weights = user.root / "weights"
    weights.mkdir()
    (weights / "model.bin").write_bytes(b"weights")
    workspace = Workspace(
        {"HOME": str(user.root), "MM_HOME": str(user.root / "mm-home")},
        user.root,
        manifests=(readers,),
        reporter=Notes(),
    )
    workspace.sources.add(workspace.catalog.model("a-reader"), weights)
    return weights


def test_the_models_of_a_family_stand_together(user, readers):
    rows = [line.split() for line in user.mm("model", "list", manifests=[readers])]
    names = [row[0] for row in rows if row[1] in ("readers", "copy")]
    assert names == ["between", "a-reader", "reader-gpu", "z-reader"]


def test_weights_that_one_has_serve_the_others(user, readers):
    weights = added(user, readers)
    # The family's name stands for the one that suits this machine.
    user.mm("model", "pull", "readers", manifests=[readers])
    assert user.notes == [f"z-reader: the weights of a-reader, in {weights}"]
    assert user.mm("model", "path", "z-reader", manifests=[readers]) == [str(weights)]
    (weights / "model.bin").write_bytes(b"others")
    with pytest.raises(SourceError, match="changed since it was pulled or added"):
        user.mm("model", "pull", "reader-gpu", manifests=[readers])


@pytest.mark.parametrize(
    ("there", "wanted", "served"),
    [
        ("[a, b]", "[b]", True),
        ("[]", "[b]", True),
        ("[b]", "[a, b]", False),
        ("[b]", "[]", False),
    ],
)
def test_weights_serve_a_model_that_wants_no_other_files(user, readers, there, wanted, served):
    for name, include in (("one", there), ("two", wanted)):
        source = f"source: {{repo: owner/more, revision: main, include: {include}}}\n"
        write_model(readers.parent, name, more=f"{source}family: more\n")
    weights = user.root / "weights"
    weights.mkdir()
    for name in "ab":
        (weights / name).touch()
    user.mm("model", "add", "one", str(weights), manifests=[readers])
    if served:
        user.mm("model", "pull", "two", manifests=[readers])
        assert user.notes[-1] == f"two: the weights of one, in {weights}"
    else:
        with pytest.raises(AssertionError, match="asking huggingface"):  # as its reporter says
            user.mm("model", "pull", "two", manifests=[readers])


def test_a_model_that_a_family_is_named_for_is_pulled_and_the_better_one_named(user, readers):
    write_model(readers.parent, "readers", more=SOURCE, preference=1)
    weights = added(user, readers)
    user.mm("model", "pull", "readers", manifests=[readers])
    assert user.notes == [
        "on this machine z-reader suits better: mm model pull z-reader",
        f"readers: the weights of a-reader, in {weights}",
    ]
