"""Directories of jobs: there while their client lives, gone when it does not."""

import os

from orchestrator.home import Home
from orchestrator.scratch import Scratch


def test_a_job_has_a_directory_only_when_somebody_makes_it(tmp_path):
    scratch = Scratch(Home(tmp_path))
    reserved = scratch.reserve()
    made = scratch.new_job()
    assert [path for path in scratch.path.iterdir() if path.is_dir()] == [made]
    scratch.discard(reserved)
    scratch.discard(str(made))
    assert not made.exists()
    scratch.close()
    assert not scratch.path.exists()


def test_what_a_killed_client_left_is_swept_and_a_living_ones_is_not(tmp_path):
    alive = Scratch(Home(tmp_path))
    left = alive.path.parent / "left"
    (left / "job").mkdir(parents=True)
    (left / "job" / "big").write_bytes(b"x")
    other = Scratch(Home(tmp_path))
    assert not left.exists()
    assert alive.path.is_dir()
    other.close()
    alive.close()


def test_it_is_closed_once(tmp_path):
    scratch = Scratch(Home(tmp_path))
    scratch.close()
    other = os.open(tmp_path, os.O_RDONLY)
    scratch.close()
    os.close(other)  # still ours
    assert not scratch.path.exists()
