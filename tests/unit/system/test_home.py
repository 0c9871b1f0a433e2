"""What is written in `MM_HOME` and elsewhere: who may read it, and that it is there whole."""

import os
import resource
import stat

import pytest

from orchestrator.system.files import open_private
from orchestrator.system.home import make_private, read_json, read_record, write_atomically


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_directory_for_what_users_gave_is_closed_under_every_umask(umask, tmp_path):
    made = tmp_path / "made"
    make_private(made)
    make_private(made)
    assert mode(made) == 0o700


def test_one_that_an_earlier_version_left_open_is_closed_with_all_that_is_in_it(tmp_path):
    outside = tmp_path / "outside"
    outside.touch()
    root = tmp_path / "results"
    (root / "steps" / "ab").mkdir(parents=True)
    (root / "steps" / "ab" / "x.json").touch()
    (root / "link").symlink_to(outside)
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (root, root / "steps", root / "steps" / "ab"):
        path.chmod(0o755)
    for path in (root / "steps" / "ab" / "x.json", outside):
        path.chmod(0o644)
    make_private(root)
    assert [mode(path) for path in (root, root / "steps", root / "steps" / "ab")] == [0o700] * 3
    assert mode(root / "steps" / "ab" / "x.json") == 0o600
    assert mode(outside) == 0o644


def test_a_private_file_is_its_owners_alone(umask, tmp_path):
    path = tmp_path / "file"
    for data in (b"one ", b"two"):
        with open_private(path) as stream:
            stream.write(data)
        assert mode(path) == 0o600 & ~umask
    assert path.read_bytes() == b"one two"


def test_the_umask_counts_for_files_of_the_users_own_alone(umask, tmp_path):
    write_atomically(tmp_path / "file", b"x", mode=None)
    assert mode(tmp_path / "file") == 0o666 & ~umask
    for given in (0o600, 0o755):
        write_atomically(tmp_path / "file", b"x", mode=given)
        assert mode(tmp_path / "file") == given
    write_atomically(tmp_path / "file", b"x")
    assert mode(tmp_path / "file") == 0o644


def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    (tmp_path / "file").mkdir()  # no file can take its place, root's included
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file", b"x")
    assert os.listdir(tmp_path) == ["file"]


def test_a_record_that_is_no_file_or_nests_too_deeply_counts_as_absent(tmp_path):
    pipe, deep = tmp_path / "pipe", tmp_path / "deep"
    os.mkfifo(pipe)
    deep.write_text("[" * 100_000)
    for path in (pipe, deep, tmp_path / "none", tmp_path):
        assert read_json(path) is None
        assert read_record(path, dict) is None


def test_a_record_is_not_taken_for_absent_where_no_file_can_be_opened(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("{}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            read_json(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
