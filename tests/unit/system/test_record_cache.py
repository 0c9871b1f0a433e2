"""Records that are kept in a file by what they depend on."""

import msgspec

from orchestrator.system.record_cache import KEPT, RecordCache


class Item(msgspec.Struct, frozen=True):
    name: str
    numbers: tuple[int, ...]


ITEMS = (Item("a", (0, 2)),)


def opened(file):
    return RecordCache(file, dict[str, tuple[Item, ...]])


def test_what_was_kept_is_known_to_the_next_run(tmp_path):
    opened(tmp_path / "kept.json").keep({"k": ITEMS})
    cache = opened(tmp_path / "kept.json")
    assert cache.get("k") == ITEMS
    assert (tmp_path / "kept.json").stat().st_mode & 0o777 == 0o600  # it may hold what is private
    assert cache.get("other") is None


def test_the_oldest_answers_go_first(tmp_path):
    cache = opened(tmp_path / "kept.json")
    for number in range(KEPT + 1):
        cache.keep({str(number): ()})
    assert cache.get("0") is None
    assert cache.get(str(KEPT)) == ()


def test_a_damaged_file_is_forgotten(tmp_path):
    file = tmp_path / "kept.json"
    for damage in (b"", b"{", b"[]", b'{"k": 1}', b'{"k": [{"pins": []}]}', b"\xff"):
        file.write_bytes(damage)
        assert opened(file).get("k") is None
    cache = opened(file)
    cache.keep({"k": ITEMS})
    assert opened(file).get("k") == ITEMS


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "kept.json").mkdir()
    cache = opened(tmp_path / "kept.json")
    cache.keep({"k": ITEMS})
    assert opened(tmp_path / "kept.json").get("k") is None
