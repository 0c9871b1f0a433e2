import pytest

from orchestrator.client.runtime import WorkerRecord
from orchestrator.environments.removal import prune, remove, unneeded
from orchestrator.environments.store import Store, Stored
from orchestrator.environments.usage import users_of
from orchestrator.errors import EnvironmentFailure
from orchestrator.home import Home
from tests.models import DIGEST, built

OTHER = "9" * 64


@pytest.fixture
def store(tmp_path):
    return Store(Home(tmp_path / "home"))


def record(digest=DIGEST, model="ocr"):
    return WorkerRecord("w1", model, 4242, "then", digest, "/s", "/l")


def nobody(digest):
    raise AssertionError("nobody uses it")


def test_an_environment_is_removed_whole(store):
    path = built(store)
    remove(store, store.find(DIGEST), nobody)
    assert not path.exists()
    remove(store, Stored(path, None), nobody)


def test_one_that_a_worker_uses_stays_and_the_worker_is_named(store):
    path = built(store)
    with store.use(DIGEST), pytest.raises(EnvironmentFailure) as caught:
        remove(store, store.find(DIGEST), lambda digest: users_of(digest, [record()]))
    assert "the worker of ocr (supervisor 4242)" in caught.value.what
    assert caught.value.where == str(path)
    assert store.find(DIGEST) is not None


def test_one_that_is_being_built_stays(store):
    built(store)
    with store.try_build_lock(DIGEST), pytest.raises(EnvironmentFailure, match="being built"):
        remove(store, store.find(DIGEST), nobody)


def test_who_uses_it_is_known_from_records_or_not_at_all():
    assert users_of(DIGEST, [record(), record(OTHER, "tts")]) == (
        "the worker of ocr (supervisor 4242)"
    )
    assert users_of(DIGEST, []) == "a process that has no worker's record"


def test_what_nobody_needs_and_what_is_unfinished_is_pruned(store):
    needed = built(store)
    surplus = built(store, OTHER, "old")
    unfinished = store.directory("half", "8" * 64)
    unfinished.mkdir()
    found = unneeded(store, [DIGEST])
    assert {one.path for one in found} == {surplus, unfinished}
    pruned = prune(store, found, nobody)
    assert set(pruned.removed) == {surplus, unfinished}
    assert pruned.in_use == ()
    assert needed.exists()


def test_what_was_built_for_a_model_that_cannot_tell_its_need_stays(store):
    built(store, OTHER, "broken")
    assert unneeded(store, [], unknown=["broken"]) == []


def test_pruning_leaves_what_is_in_use_and_says_so(store):
    built(store)
    surplus = built(store, OTHER, "old")
    with store.use(DIGEST):
        pruned = prune(store, unneeded(store, []), lambda digest: "the worker of ocr")
    assert pruned.removed == (surplus,)
    assert len(pruned.in_use) == 1
    assert "the worker of ocr" in pruned.in_use[0]
