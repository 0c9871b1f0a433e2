import json
import os

import pytest

from orchestrator.environments.store import MARKER, Store
from orchestrator.system.home import Home
from tests.models import DIGEST, built, marker


@pytest.fixture
def store(tmp_path):
    return Store(Home(tmp_path / "home"))


def test_a_directory_is_named_for_its_model_and_found_by_its_digest(store):
    path = built(store)
    assert path.name == "ocr-abcdef012345"
    found = store.find(DIGEST)
    assert found.path == path
    assert found.marker == marker(path)


def test_a_digest_that_only_begins_alike_is_another(store):
    built(store)
    assert store.find(DIGEST[:12] + "1" * 52) is None


@pytest.mark.parametrize("length", [0, 1, 40, 200])
def test_a_marker_cut_short_is_no_marker(store, length):
    path = built(store)
    whole = (path / MARKER).read_bytes()
    (path / MARKER).write_bytes(whole[:length])
    assert store.find(DIGEST) is None
    assert store.directories_of(DIGEST) == (path,)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"directory": "/elsewhere"},
        {"packages": ["six"]},
        {"digest": None},
    ],
)
def test_a_marker_that_says_something_else_is_no_marker(store, change):
    path = built(store)
    value = json.loads((path / MARKER).read_text())
    (path / MARKER).write_text(json.dumps({**value, **change}))
    assert store.find(DIGEST) is None


def test_a_moved_environment_is_not_whole(store):
    path = built(store)
    moved = path.with_name("tts-abcdef012345")
    path.rename(moved)
    assert store.marker(moved) is None
    assert store.find(DIGEST) is None


def test_an_interpreter_that_is_gone_makes_an_environment_unfinished(store):
    path = built(store)
    (path / "bin" / "python").unlink()
    (path / "bin" / "python").symlink_to("/nowhere/python3.12")
    assert store.find(DIGEST) is None


def test_clearing_takes_the_marker_first(store):
    path = built(store)
    seen = []

    def watch(event, arguments):
        if event == "os.remove" and str(path) in str(arguments[0]):
            seen.append(os.path.basename(arguments[0]))

    import sys

    sys.addaudithook(watch)
    store.clear(path)
    assert not path.exists()
    assert seen[0] == MARKER


def test_nothing_outside_the_environments_is_ever_cleared(store, tmp_path):
    elsewhere = tmp_path / "precious"
    elsewhere.mkdir()
    for path in (elsewhere, store.directory("a", DIGEST).parent, store.directory("a/b", DIGEST)):
        with pytest.raises(ValueError, match="is not under"):
            store.clear(path)
    assert elsewhere.exists()


def test_a_store_that_was_never_used_is_empty(store):
    assert store.all() == ()
    assert store.find(DIGEST) is None
    assert store.last_used(DIGEST) is None


def test_users_share_an_environment_and_keep_removal_out(store):
    with store.use(DIGEST), store.use(DIGEST):
        assert store.try_unused(DIGEST) is None
    with store.try_unused(DIGEST) as held:
        assert held.fileno() >= 0
    assert store.last_used(DIGEST) is not None
