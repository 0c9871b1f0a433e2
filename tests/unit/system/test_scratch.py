"""Directories of jobs: there while their client lives, gone when it does not."""

import fcntl
import os
import shutil
import stat
import threading

import pytest

from orchestrator.system.home import Home
from orchestrator.system.scratch import Scratch, own, sweep
from tests.races import just_before


@pytest.fixture
def home(tmp_path):
    """A home whose `jobs/` is there, and empty."""
    home = Home(tmp_path)
    Scratch(home).close()
    assert os.listdir(home.jobs) == []
    return home


@pytest.fixture
def left(home):
    """A directory that a client has left behind."""
    left = home.jobs / "left"
    (left / "job").mkdir(parents=True)
    (left / "job" / "big").write_bytes(b"x")
    return left


def test_a_job_has_a_directory_only_when_somebody_makes_it(home):
    scratch = Scratch(home)
    reserved = scratch.reserve()
    made = scratch.new_job()
    assert [path for path in scratch.path.iterdir() if path.is_dir()] == [made]
    scratch.discard(reserved)
    scratch.discard(str(made))
    assert not made.exists()
    scratch.close()
    assert not scratch.path.exists()


def test_what_a_killed_client_left_is_swept_and_a_living_ones_is_not(home, left):
    alive = Scratch(home)
    left.mkdir()
    other = Scratch(home)
    assert not left.exists()
    assert alive.path.is_dir()
    other.close()
    alive.close()


def next_descriptor(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def test_what_is_swept_is_held_no_longer(home, left, tmp_path):
    before = next_descriptor(tmp_path)
    sweep(home.jobs.iterdir())
    assert not left.exists()
    assert next_descriptor(tmp_path) == before


def test_an_interrupted_removal_is_finished_by_the_next(home):
    def interrupt():
        raise KeyboardInterrupt

    scratch = Scratch(home)
    scratch.new_job()
    with pytest.raises(KeyboardInterrupt), just_before(os.rmdir, interrupt):
        scratch.close()
    scratch.close()
    assert os.listdir(home.jobs) == []


def test_it_is_closed_once(home, tmp_path):
    scratch = Scratch(home)
    scratch.close()
    other = os.open(tmp_path, os.O_RDONLY)
    scratch.close()
    os.close(other)  # still ours
    assert not scratch.path.exists()


@pytest.mark.parametrize("moment", [os.open, fcntl.flock])
def test_a_directory_that_its_owner_removes_meanwhile_is_passed_over(home, left, moment):
    with just_before(moment, lambda: shutil.rmtree(left)):
        scratch = Scratch(home)
    assert scratch.path.is_dir()
    scratch.close()


def test_what_cannot_be_swept_is_passed_over(home, left):
    """The lock of another user's directory cannot be opened, nor can these: by root either."""
    (home.jobs / "foreign" / ".lock").mkdir(parents=True)
    (home.jobs / "elsewhere").mkdir()
    (home.jobs / "elsewhere" / ".lock").symlink_to("/nowhere/at/all")
    (home.jobs / ".lock").touch()  # of an earlier version
    for path in (home.jobs / "gone", *home.jobs.iterdir()):
        sweep([path])
    assert not left.exists()
    for _ in range(2):
        scratch = Scratch(home)
        assert scratch.path.is_dir()
        scratch.close()


@pytest.mark.parametrize("moment", [os.open, fcntl.flock])
def test_one_that_is_swept_before_it_is_locked_is_made_again(home, moment):
    with just_before(moment, lambda: sweep(home.jobs.iterdir())):
        scratch = Scratch(home)
    assert list(home.jobs.iterdir()) == [scratch.path]
    with pytest.raises(BlockingIOError):
        own(scratch.path)
    scratch.close()


def test_one_that_another_client_is_about_to_sweep_is_left_to_it(home):
    locks = []

    def take():
        (path,) = home.jobs.iterdir()
        locks.append((path, own(path)))

    with just_before(fcntl.flock, take):
        scratch = Scratch(home)
    ((path, lock),) = locks
    assert scratch.path != path
    scratch.close()
    os.close(lock)


def test_clients_that_come_and_go_at_once_do_not_disturb_each_other(home):
    ends = []

    def come_and_go():
        for _ in range(25):
            scratch = Scratch(home)
            made = scratch.new_job()
            ends.append(made.is_dir())
            scratch.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [True] * 300
    Scratch(home).close()
    assert os.listdir(home.jobs) == []


def test_they_are_closed_to_others(home):
    os.chmod(home.jobs, 0o755)
    scratch = Scratch(home)
    for path in (home.jobs, scratch.path, scratch.new_job()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    scratch.close()
