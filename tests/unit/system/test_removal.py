"""What is no longer needed is removed, whatever other processes do to it meanwhile."""

import os
import shutil

import pytest

from orchestrator.system.removal import file_size, modified, remove, remove_oldest
from tests.races import just_before


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").write_bytes(b"123")
    (root / "link").symlink_to(tmp_path)
    return root


def test_a_directory_goes_whole_and_what_it_links_to_stays(tree, tmp_path):
    remove(tree / "a" / "file")
    remove(tree)
    remove(tree)
    assert list(tmp_path.iterdir()) == []
    assert tmp_path.is_dir()


@pytest.mark.parametrize("part", ["a/file", "a", "."])
def test_what_another_process_removes_meanwhile_is_no_fault(tree, part):
    def meanwhile():
        shutil.rmtree(tree / part) if (tree / part).is_dir() else (tree / part).unlink()

    with just_before(os.unlink, meanwhile):
        remove(tree)
    assert not tree.exists()


def test_what_is_gone_has_no_size_and_no_time(tmp_path):
    assert (file_size(tmp_path / "gone"), modified(tmp_path / "gone")) == (0, 0)


def test_the_oldest_files_go_but_for_those_that_cannot(tmp_path):
    paths = [tmp_path / str(number) for number in range(6)]
    paths[0].mkdir()  # no one can unlink a directory
    for age, path in enumerate(paths):
        path.is_dir() or path.touch()
        os.utime(path, (age, age))
    remove_oldest([*paths, tmp_path / "gone"], 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "4", "5"]
