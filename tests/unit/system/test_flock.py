import os

import pytest

from orchestrator.errors import Cancelled, EnvironmentFailure
from orchestrator.system.flock import try_lock, wait_lock


def test_a_lock_is_held_until_the_last_copy_of_it_is_closed(tmp_path):
    path = tmp_path / "locks" / "x.lock"
    held = try_lock(path)
    inherited = os.dup(held.fileno())
    held.release()
    assert try_lock(path) is None
    os.close(inherited)
    with try_lock(path):
        assert try_lock(path, shared=True) is None
    assert path.exists()


def test_a_released_lock_has_no_descriptor(tmp_path):
    held = try_lock(tmp_path / "x.lock")
    held.release()
    held.release()
    with pytest.raises(ValueError, match="released"):
        held.fileno()


def test_a_wait_ends_when_the_lock_is_free_or_its_pause_raises(tmp_path):
    held = try_lock(tmp_path / "x.lock")

    def stop():
        raise Cancelled("as asked")

    with pytest.raises(Cancelled):
        wait_lock(tmp_path / "x.lock", pause=stop)
    wait_lock(tmp_path / "x.lock", pause=held.release).release()


def test_locks_that_cannot_be_made_are_an_error_with_advice(tmp_path):
    (tmp_path / "locks").write_text("a file")
    with pytest.raises(EnvironmentFailure) as caught:
        try_lock(tmp_path / "locks" / "x.lock")
    assert "MM_HOME" in caught.value.fix
