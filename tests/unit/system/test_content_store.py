import msgspec
import pytest

from orchestrator.system.content_store import ContentStore

DIGEST = "abcdef012345" + "0" * 52


class Marker(msgspec.Struct):
    what: str


@pytest.fixture
def store(tmp_path):
    return ContentStore(
        tmp_path / "things", tmp_path / "locks", kind="thing", marker_file="m", marker_type=Marker
    )


def test_an_entry_counts_when_it_is_filled_and_not_before(store):
    directory = store.root / "x-abcdef012345"

    def fill():
        assert list(directory.iterdir()) == []
        assert store.marker(directory) is None
        (directory / "file").write_text("")
        return Marker("whole")

    assert store.make(directory, fill) == Marker("whole")
    assert store.marker(directory) == Marker("whole")
    assert store.directories() == (directory,)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_nothing(store, error):
    directory = store.root / "x-abcdef012345"

    def fill():
        (directory / "file").write_text("")
        raise error

    with pytest.raises(error):
        store.make(directory, fill)
    assert store.directories() == ()


def test_what_cannot_be_removed_after_a_failure_is_noted(store):
    directory, notes = store.root / "x-abcdef012345", []

    def fill():
        (directory / "m").mkdir()  # no file to unlink
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.make(directory, fill, notes.append)
    assert len(notes) == 1
    assert str(directory) in notes[0]


def test_what_an_earlier_build_left_goes_first(store):
    directory = store.root / "x-abcdef012345"
    directory.mkdir(parents=True)
    (directory / "old").write_text("")
    store.make(directory, lambda: Marker("new"))
    assert [path.name for path in directory.iterdir()] == ["m"]


def test_what_is_used_is_not_discarded(store):
    directory = store.root / "x-abcdef012345"
    store.make(directory, lambda: Marker(""))
    with store.use(DIGEST):
        assert not store.discard(directory)
    assert store.discard(directory)
    assert store.directories() == ()
