"""What the supervisor does with files: the log that is cut, the state that it believes."""

import pytest

from orchestrator.worker import state, supervise


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def test_a_log_of_the_allowed_size_is_left_alone(log):
    log.write_bytes(b"x" * supervise.LOG_LIMIT)
    supervise.cut_log(str(log))
    assert log.stat().st_size == supervise.LOG_LIMIT


def test_of_a_longer_one_the_head_and_the_tail_stay(log):
    head, tail = b"h" * supervise.LOG_HEAD, b"t" * supervise.LOG_TAIL
    middle = b"m" * (supervise.LOG_LIMIT - len(head) - len(tail) + 1)
    log.write_bytes(head + middle + tail)
    supervise.cut_log(str(log))
    assert log.read_bytes() == head + b"\n[mm: %d bytes cut here]\n" % len(middle) + tail


def test_what_is_appended_afterwards_follows_the_tail(log):
    with log.open("ab") as writer:
        writer.write(b"x" * (supervise.LOG_LIMIT + 1))
        writer.flush()
        supervise.cut_log(str(log))
        writer.write(b"the end")
    assert log.read_bytes().endswith(b"xthe end")
    assert log.stat().st_size < supervise.LOG_LIMIT


def test_a_log_that_was_removed_is_no_error(log):
    supervise.cut_log(str(log))
    assert not log.exists()


def test_both_halves_agree_on_the_state_and_its_places(tmp_path):
    state.create(str(tmp_path / "x.state"))
    shared = state.attach(str(tmp_path / "x.state"))
    shared[supervise.DEADLINE] = 5.0
    shared[supervise.CLIENT] = 77
    shared[supervise.PHASE] = supervise.BUSY_PHASES[1]
    numbers = state.decode((tmp_path / "x.state").read_bytes())
    assert (numbers[state.DEADLINE], numbers[state.CLIENT]) == (5.0, 77)
    assert state.PHASES[int(numbers[state.PHASE])] == "busy"
    assert state.PHASES[supervise.BUSY_PHASES[0]] == "loading"


def test_a_damaged_state_is_that_of_a_worker_that_does_nothing():
    numbers = state.decode(b"short")
    assert numbers[state.PHASE] == state.NEW
    assert numbers[state.DEADLINE] == state.FOREVER
