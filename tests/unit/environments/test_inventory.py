import os

import pytest

from orchestrator.client.runtime import WorkerRecord
from orchestrator.environments.inventory import (
    Usage,
    prune,
    remove,
    size_of,
    unneeded,
    workers_using,
)
from orchestrator.environments.store import Store, Stored
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.darwin import Clone
from orchestrator.system.home import Home
from tests.models import DIGEST, built

OTHER = "9" * 64


def nobody(digest):
    raise AssertionError("no one uses it")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def store(home):
    return Store(home, nobody)


def record(digest=DIGEST, model="ocr"):
    return WorkerRecord("w1", model, 4242, "then", digest, "/s", "/l")


def test_an_environment_is_removed_whole(store):
    path = built(store)
    remove(store, store.find(DIGEST))
    assert not path.exists()
    remove(store, Stored(path, None))


def test_one_that_a_worker_uses_stays_and_the_worker_is_named(home):
    store = Store(home, lambda digest: workers_using(digest, [record()]))
    path = built(store)
    with store.use(DIGEST), pytest.raises(EnvironmentFailure) as caught:
        remove(store, store.find(DIGEST))
    assert "the worker of ocr (supervisor 4242)" in caught.value.what
    assert caught.value.where == str(path)
    assert store.find(DIGEST) is not None


def test_one_that_is_being_built_stays(store):
    built(store)
    with store.try_build_lock(DIGEST), pytest.raises(EnvironmentFailure, match="being built"):
        remove(store, store.find(DIGEST))


def test_who_uses_it_is_known_from_records_or_not_at_all():
    assert workers_using(DIGEST, [record(), record(OTHER, "tts")]) == (
        "the worker of ocr (supervisor 4242)"
    )
    assert workers_using(DIGEST, []) == "a process that has no worker's record"


def test_what_nobody_needs_and_what_is_unfinished_is_pruned(store):
    needed = built(store)
    surplus = built(store, OTHER, "old")
    unfinished = store.directory("half", "8" * 64)
    unfinished.mkdir()
    found = unneeded(store, [DIGEST])
    assert {one.path for one in found} == {surplus, unfinished}
    pruned = prune(store, found)
    assert set(pruned.removed) == {surplus, unfinished}
    assert pruned.left == ()
    assert needed.exists()


def test_what_was_built_for_a_model_that_cannot_tell_its_need_stays(store):
    built(store, OTHER, "broken")
    assert unneeded(store, [], unknown=["broken"]) == []


def test_pruning_leaves_what_is_in_use_and_says_so(home):
    store = Store(home, lambda digest: "the worker of ocr")
    built(store)
    surplus = built(store, OTHER, "old")
    with store.use(DIGEST):
        pruned = prune(store, unneeded(store, []))
    assert pruned.removed == (surplus,)
    assert len(pruned.left) == 1
    assert "the worker of ocr" in pruned.left[0]


# sizes

KIB = 1024


def file(path, kib):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(kib * KIB))
    return path


def test_files_linked_from_elsewhere_count_and_are_not_given_back(tmp_path):
    shared = file(tmp_path / "cache" / "torch.so", 256)
    (tmp_path / "env").mkdir()
    os.link(shared, tmp_path / "env" / "torch.so")
    file(tmp_path / "env" / "own.py", 64)
    size = size_of(tmp_path / "env")
    assert size.total == (256 + 64) * KIB
    assert size.freed == 64 * KIB


def test_two_links_within_one_directory_are_one_file(tmp_path):
    first = file(tmp_path / "env" / "a", 64)
    os.link(first, tmp_path / "env" / "b")
    size = size_of(tmp_path / "env")
    assert (size.total, size.freed) == (64 * KIB, 64 * KIB)


def test_together_each_file_counts_once(tmp_path):
    first = file(tmp_path / "one" / "a", 64)
    (tmp_path / "two").mkdir()
    os.link(first, tmp_path / "two" / "a")
    file(tmp_path / "two" / "b", 4)
    usage = Usage()
    sizes = [usage.add(tmp_path / name) for name in ("one", "two")]
    assert [size.total for size in sizes] == [64 * KIB, 68 * KIB]
    assert [size.freed for size in sizes] == [0, 4 * KIB]
    assert usage.size.total == 68 * KIB
    assert size_of(tmp_path / "one", tmp_path / "two").freed == 68 * KIB


def test_links_to_directories_are_not_followed(tmp_path):
    file(tmp_path / "elsewhere" / "a", 64)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "lib64").symlink_to(tmp_path / "elsewhere")
    assert size_of(tmp_path / "env").total < 64 * KIB


def test_nothing_there_is_nothing(tmp_path):
    assert size_of(tmp_path / "absent").total == 0


def test_a_clone_counts_once_and_gives_back_only_what_it_does_not_share(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shared").write_bytes(bytes(64 * KIB))
        (tmp_path / name / "changed").write_bytes(bytes(16 * KIB))
    streams = {"shared": 1, "one/changed": 2, "two/changed": 3}

    def clone(path):
        stream = next(number for end, number in streams.items() if path.endswith(end))
        return Clone(stream, private=0 if stream == 1 else 4 * KIB)

    usage = Usage(clone)
    sizes = [usage.add(tmp_path / name) for name in ("one", "two")]
    assert [size.total for size in sizes] == [80 * KIB] * 2
    assert [size.freed for size in sizes] == [4 * KIB] * 2
    assert usage.size.total == 96 * KIB
