"""Copies of files: their bytes, their permissions, and what is shared with whom."""

import errno
import os
import shutil

import pytest

from orchestrator.jobs.output_files import write_output
from orchestrator.jobs.results import Artifact
from orchestrator.system.copying import CLONES, copy_file
from tests.races import just_before

DATA = os.urandom(200_000)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "job" / "page.png"
    path.parent.mkdir()
    path.write_bytes(DATA)
    path.chmod(0o640)
    return path


def refuse(source, target):
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def share(source, target):
    target.write_bytes(b"shared")


@pytest.mark.parametrize(
    "clones", [CLONES, (), (refuse,)], ids=["this machine's", "none", "failed"]
)
@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("mode", [None, 0o600])
def test_a_copy_has_the_bytes_and_the_mode_of_a_new_file(source, tmp_path, clones, ours, mode):
    target = tmp_path / "out.png"
    target.write_bytes(b"what was there")
    fresh = tmp_path / "fresh"
    fresh.touch()
    copy_file(source, target, mode=mode, ours=ours, clones=clones)
    assert target.read_bytes() == DATA
    assert target.stat().st_mode & 0o777 == (mode or fresh.stat().st_mode & 0o777)
    assert target.samefile(source) == ours
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "job", "out.png"]


def test_blocks_are_shared_where_they_can_be(source, tmp_path):
    copy_file(source, tmp_path / "out.png", clones=(refuse, share, refuse))
    assert (tmp_path / "out.png").read_bytes() == b"shared"


def test_a_file_that_another_has_as_well_is_never_linked(source, tmp_path):
    os.link(source, tmp_path / "runner's own")
    copy_file(source, tmp_path / "out.png", ours=True)
    assert not (tmp_path / "out.png").samefile(source)
    (tmp_path / "link").symlink_to(source)
    copy_file(tmp_path / "link", tmp_path / "other.png", ours=True)
    assert not (tmp_path / "other.png").is_symlink()
    for path in (tmp_path / "out.png", tmp_path / "other.png"):
        assert path.read_bytes() == DATA


def test_a_directory_that_decides_the_group_of_its_files_is_obeyed(source, tmp_path):
    groups = [group for group in os.getgroups() if group != source.stat().st_gid]
    if os.geteuid() == 0:
        groups.append(12_345)
    for group in groups[:1]:
        os.chown(source, -1, group)
        copy_file(source, tmp_path / "out.png", ours=True)
        assert (tmp_path / "out.png").stat().st_gid == tmp_path.stat().st_gid


@pytest.mark.parametrize("act", [os.fsync, os.replace])
def test_a_copy_that_fails_leaves_what_was_there_and_nothing_else(source, tmp_path, act):
    def fail():
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    target = tmp_path / "out.png"
    target.write_bytes(b"before")
    with just_before(act, fail), pytest.raises(OSError, match="Input/output error"):
        copy_file(source, target)
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job", "out.png"]


def test_a_file_that_is_not_there_is_an_error_and_no_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        copy_file(tmp_path / "gone", tmp_path / "out.png", ours=True)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_a_file_is_linked_only_where_it_is_about_to_go(source, tmp_path):
    image = Artifact(source)
    assert not image.save(tmp_path / "saved.png").samefile(source)
    write_output(tmp_path / "kept.png", image)
    assert not (tmp_path / "kept.png").samefile(source)
    write_output(tmp_path / "last.png", image, ours=True)
    shutil.rmtree(source.parent)
    for name in ("saved", "kept", "last"):
        assert (tmp_path / f"{name}.png").read_bytes() == DATA
