"""What counts as a change of a file."""

import os
import sys
import time

import pytest

from orchestrator.system.file_stamps import FileStamps


def rewrite(path):
    path.write_text("b")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def replace(path):
    status = path.stat()
    other = path.with_name("other")
    other.write_text("b")
    os.utime(other, ns=(0, status.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize(
    "change",
    [
        rewrite,
        replace,
        lambda path: path.unlink(),
        lambda path: path.with_name("absent").touch(),
        lambda path: (path.parent / "folder" / "new").touch(),
    ],
    ids=["rewritten", "replaced", "removed", "made", "a file made in a folder"],
)
def test_a_change_is_seen(tmp_path, change):
    path, folder = tmp_path / "file", tmp_path / "folder"
    path.write_text("a")
    folder.mkdir()
    os.utime(folder, ns=(0, 0))
    stamps = FileStamps()
    stamps.add([path, folder, tmp_path / "absent"], sys.maxsize)
    assert stamps.unchanged()
    assert stamps.unchanged()
    change(path)
    assert not stamps.unchanged()


def test_what_changed_while_it_was_read_is_not_known(tmp_path):
    path = tmp_path / "file"
    path.touch()
    stamps = FileStamps()
    stamps.add([path], path.stat().st_mtime_ns)
    assert not stamps.unchanged()


def test_a_time_in_the_future_is_as_good_as_any(tmp_path):
    path = tmp_path / "file"
    path.touch()
    os.utime(path, ns=(0, 2 * time.time_ns()))
    stamps = FileStamps()
    stamps.add([path], time.time_ns() + 1)
    assert stamps.unchanged()


def test_other_files_are_looked_at_now_and_then(tmp_path):
    path, other = tmp_path / "file", tmp_path / "other"
    path.touch()
    clock = iter([0, 0.5, 2]).__next__
    stamps = FileStamps(clock, interval=1)
    stamps.add([path], sys.maxsize)
    stamps.add([path, other], sys.maxsize, now_and_then=True)
    assert stamps.unchanged()
    other.touch()
    assert stamps.unchanged()
    assert not stamps.unchanged()
