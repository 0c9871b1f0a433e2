"""Which model stands for a task, and what the user is told about it."""

import msgspec
import pytest

from orchestrator.core.manifest import Environment, Input, Manifest, Output, Source
from orchestrator.core.selection import Facts, Selection, select
from orchestrator.errors import MemoryRefused, SourceError, UsageError

GIB = 1024**3
EMBEDDED = Manifest(
    name="small",
    task="ocr",
    summary="Small",
    environment=Environment(python=">=3.10", dependencies=()),
    inputs={"image": Input(type="image", required=True)},
    outputs={"text": Output(type="text")},
    preference=10,
)
LARGE = msgspec.structs.replace(
    EMBEDDED,
    name="large",
    preference=20,
    source=Source(repo="a/b", revision="main"),
    devices=("cuda", "cpu"),
    memory={"cpu": {"float32": "21 GiB", "bfloat16": "8 GiB"}, "cuda": {"bfloat16": "9 GiB"}},
)


def chosen(*manifests, pulled=(), memory=None, **others):
    facts = Facts(lambda each: each.name in pulled, memory or {"cpu": 16 * GIB})
    return select("ocr", manifests, facts, **others)


def renamed(manifest, name, **changes):
    return msgspec.structs.replace(manifest, name=name, **changes)


def test_one_model():
    assert chosen(EMBEDDED) == Selection("small", "ocr: small (the only one)")


def test_weights_that_are_missing_are_told_with_their_command():
    assert chosen(EMBEDDED, LARGE) == Selection(
        "small",
        "ocr: small (the only one that is ready; large needs its weights: mm model pull large)",
    )


def test_the_highest_preference_wins_among_the_ready():
    assert chosen(EMBEDDED, LARGE, pulled={"large"}) == Selection(
        "large", "ocr: large (preferred to small)"
    )


def test_ties_go_by_name():
    other = renamed(EMBEDDED, "a-small")
    assert chosen(EMBEDDED, other).model == "a-small"


def test_a_model_that_does_not_fit_is_not_ready():
    selection = chosen(EMBEDDED, LARGE, pulled={"large"}, memory={"cpu": 4 * GIB})
    assert selection.model == "small"
    assert "large needs 8 GiB of memory and this machine has 4 GiB" in selection.reason


def test_the_smallest_data_type_decides():
    assert chosen(EMBEDDED, LARGE, pulled={"large"}, memory={"cpu": 8 * GIB}).model == "large"


@pytest.mark.parametrize("memory", [{"cpu": GIB, "cuda": None}, {"cpu": GIB, "cuda": 9 * GIB}])
def test_one_device_that_suffices_is_enough(memory):
    assert chosen(EMBEDDED, LARGE, pulled={"large"}, memory=memory).model == "large"


def test_a_device_that_is_not_there():
    gpu_only = renamed(LARGE, "gpu", devices=("cuda",))
    selection = chosen(EMBEDDED, gpu_only, pulled={"gpu"})
    assert selection.model == "small"
    assert "gpu runs on cuda, which this machine does not have" in selection.reason


def test_models_below_the_chosen_one_are_not_worth_a_word():
    low = renamed(LARGE, "low", preference=1)
    assert "low" not in chosen(EMBEDDED, low).reason


def test_the_users_choice_stands_ready_or_not():
    assert chosen(EMBEDDED, LARGE, chosen="large") == Selection(
        "large", "ocr: large (chosen with mm use)"
    )


def test_a_choice_that_is_gone_is_told():
    selection = chosen(EMBEDDED, chosen="gone")
    assert selection.model == "small"
    assert "gone, chosen with mm use, is not a model of this task" in selection.reason


def test_a_guest_never_wins_by_preference():
    guest = renamed(EMBEDDED, "guest", preference=99)
    assert chosen(EMBEDDED, guest, guests={"guest"}).model == "small"
    assert chosen(EMBEDDED, guest, guests={"guest"}, chosen="guest").model == "guest"
    assert chosen(LARGE, guest, guests={"guest"}, pulled={"large"}).model == "large"


def test_a_guest_wins_no_task_whose_other_models_are_not_ready():
    guest = renamed(EMBEDDED, "guest")
    with pytest.raises(SourceError):
        chosen(LARGE, guest, guests={"guest"})


def test_a_guest_stands_for_a_task_of_its_own():
    assert chosen(EMBEDDED, guests={"small"}).model == "small"


def test_nothing_is_ready_for_want_of_weights():
    with pytest.raises(SourceError) as caught:
        chosen(LARGE)
    assert str(caught.value) == (
        "no model of the task ocr is ready: large needs its weights; run: mm model pull large"
    )


def test_nothing_is_ready_for_want_of_memory():
    with pytest.raises(MemoryRefused, match="large needs 8 GiB of memory"):
        chosen(LARGE, memory={"cpu": GIB})


def test_nothing_is_ready_for_want_of_a_device():
    with pytest.raises(UsageError, match="gpu runs on cuda"):
        chosen(renamed(LARGE, "gpu", devices=("cuda",)))
