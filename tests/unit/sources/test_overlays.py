"""Overlays: real files for code, links for weights, another one for whatever changes."""

from __future__ import annotations

import os
import stat
import sys
import threading

import pytest

from orchestrator.core.patching import Conditions, read_patch_set
from orchestrator.errors import SourceError
from orchestrator.sources.model_files import SourceRecord, describe
from orchestrator.sources.overlays import ensure_overlay, remove_overlays
from orchestrator.system.flock import try_lock
from orchestrator.system.hashing import sha256_of
from orchestrator.system.home import Home

SET = """\
name: s
patches:
  - id: config
    why: x
    when: {dtype: float32}
    file: config.json
    json: {set: {a: 1}}
"""
FLOAT32 = Conditions("cpu", "float32")
BFLOAT16 = Conditions("cpu", "bfloat16")

FILES = {"config.json": b'{"a": 0}', "model.py": b"x = 1\n", "sub/w.safetensors": b"weights" * 9}


def patch_set(text=SET):
    return read_patch_set(text.encode(), file="s.yaml", stem="s")


@pytest.fixture
def record(tmp_path):
    for name, data in FILES.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(data)
    return recorded(tmp_path / "source")


def recorded(directory):
    kept = {name: describe(directory / name, sha256_of(directory / name)) for name in FILES}
    return SourceRecord(path=str(directory), files=kept)


@pytest.fixture
def make(tmp_path, record):
    def make(conditions=FLOAT32, sets=None, of=None):
        home = Home(tmp_path / "home")
        sets = [patch_set()] if sets is None else sets
        return ensure_overlay(home, "tiny", of or record, sets, conditions, tmp_path / "python")

    return make


def test_code_is_real_and_weights_are_links(make, record):
    overlay = make()
    assert (overlay.path / "config.json").read_bytes() == b'{"a": 1}'
    assert not (overlay.path / "model.py").is_symlink()
    weights = overlay.path / "sub" / "w.safetensors"
    assert os.readlink(weights) == str(record.file("sub/w.safetensors"))
    assert overlay.marker.patches == {"s/config": "applied"}
    assert record.file("config.json").read_bytes() == FILES["config.json"]


def test_its_name_can_be_part_of_a_modules(make):
    assert make().path.name.isidentifier()


def test_the_same_is_made_once(make):
    first = make()
    before = (first.path / "config.json").stat().st_mtime_ns
    assert make() == first
    assert (first.path / "config.json").stat().st_mtime_ns == before


def test_two_at_once_make_it_once(make, tmp_path):
    waiting, made = set(), []

    def watch(event, arguments):
        path = str(arguments[0]) if arguments else ""
        if event == "open" and path.endswith("overlays-of-tiny.lock"):
            waiting.add(threading.get_ident())
        if event == "os.mkdir" and path.endswith("/model/sub") and path.startswith(str(tmp_path)):
            made.append(path)

    sys.addaudithook(watch)
    with try_lock(tmp_path / "home" / "locks" / "overlays-of-tiny.lock"):
        waiting.clear()
        threads = [threading.Thread(target=make) for _ in range(2)]
        for thread in threads:
            thread.start()
        while len(waiting) < len(threads):
            assert all(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_one_out_of_date_goes_when_the_next_is_made_and_nobody_holds_it(make):
    other, third = (patch_set(SET.replace("a: 1", f"a: {each}")) for each in (2, 3))
    first, same = make(), make(BFLOAT16)
    second = make(sets=[other])  # the first two are held
    assert all(each.path.is_dir() for each in (first, same, second))
    first.held.release()
    second.held.release()
    make(sets=[third])
    assert not first.path.parent.exists()
    assert not second.path.parent.exists()
    assert same.path.is_dir()


def test_one_out_of_date_whose_lock_cannot_be_opened_stays(make, tmp_path):
    overlays = tmp_path / "home" / "models" / "tiny"
    (overlays / "foreign").mkdir(parents=True)
    (tmp_path / "home" / "locks" / "overlay-foreign.lock").mkdir(parents=True)
    assert make().path.is_dir()
    assert (overlays / "foreign").is_dir()


def test_those_of_other_conditions_stay(make):
    first = make()
    first.held.release()
    make(BFLOAT16)
    assert first.path.is_dir()


def test_none_is_removed_while_one_is_loaded(make, tmp_path):
    first, second = make(), make(BFLOAT16)
    first.held.release()
    home = Home(tmp_path / "home")
    with pytest.raises(SourceError) as caught:
        remove_overlays(home, "tiny")
    assert caught.value.fix == "run: mm stop tiny"
    assert first.path.is_dir()
    second.held.release()
    remove_overlays(home, "tiny")
    assert not first.path.exists()
    assert not second.path.exists()


def test_whatever_changes_makes_another(make, record, tmp_path):
    other_set = patch_set(SET.replace("a: 1", "a: 2"))
    (tmp_path / "copy").mkdir()
    changed = tmp_path / "source" / "model.py"
    digests = [
        make().digest,
        make(BFLOAT16).digest,
        make(sets=[other_set]).digest,
    ]
    digests.append(make(sets=[]).digest)
    changed.write_bytes(b"x = 2\n")
    digests.append(make(of=recorded(tmp_path / "source")).digest)
    assert len(set(digests)) == 5


def test_a_condition_that_no_patch_asks_for_makes_no_other(make):
    assert make(FLOAT32) == make(Conditions("cuda", "float32", {"torch": "2.6.0"}))


def test_one_edited_by_hand_or_not_whole_is_made_again(make):
    overlay = make()
    (overlay.path / "model.py").write_bytes(b"x = 3 # by hand\n")
    (overlay.path / "stale").write_bytes(b"")
    assert (make().path / "model.py").read_bytes() == FILES["model.py"]
    assert not (overlay.path / "stale").exists()
    (overlay.path.parent / "overlay.json").unlink()
    (overlay.path / "config.json").unlink()
    assert (make().path / "config.json").read_bytes() == b'{"a": 1}'


def test_a_conflict_leaves_nothing_behind(make, tmp_path):
    wrong = patch_set(SET.replace("config.json\n", "none.json\n"))
    with pytest.raises(SourceError, match="found no such file") as caught:
        make(sets=[wrong])
    assert caught.value.fix == "run: mm patch check tiny"
    assert not list((tmp_path / "home" / "models").glob("**/overlay.json"))


def test_modes_of_the_users_files_stay(make, record):
    record.file("config.json").chmod(0o400)
    make()
    assert stat.S_IMODE(record.file("config.json").stat().st_mode) == 0o400
