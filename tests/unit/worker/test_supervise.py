"""What the supervisor does with files: the log that is cut, the state that it believes."""

import pytest

from orchestrator.worker import state, supervise, wakeup


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def test_a_log_of_the_allowed_size_is_left_alone(log):
    log.write_bytes(b"x" * supervise.LOG_LIMIT)
    supervise.Log(str(log)).watch(1.0)
    assert log.stat().st_size == supervise.LOG_LIMIT


def test_of_a_longer_one_the_head_and_the_tail_stay(log):
    head, tail = b"h" * supervise.LOG_HEAD, b"t" * supervise.LOG_TAIL
    middle = b"m" * (supervise.LOG_LIMIT - len(head) - len(tail) + 1)
    log.write_bytes(head + middle + tail)
    supervise.Log(str(log)).watch(1.0)
    assert log.read_bytes() == head + b"\n[mm: %d bytes cut here]\n" % len(middle) + tail


def test_what_is_appended_afterwards_follows_the_tail(log):
    with log.open("ab") as writer:
        writer.write(b"x" * (supervise.LOG_LIMIT + 1))
        writer.flush()
        supervise.Log(str(log)).watch(1.0)
        writer.write(b"the end")
    assert log.read_bytes().endswith(b"xthe end")
    assert log.stat().st_size < supervise.LOG_LIMIT


def test_a_log_that_was_removed_is_no_error(log):
    supervise.Log(str(log)).watch(1.0)
    assert not log.exists()


def test_a_log_that_grows_is_looked_at_again_before_it_has_grown_by_much(log):
    log.write_bytes(b"")
    watch = supervise.Log(str(log)).watch
    assert watch(1e9) == 1e9
    log.write_bytes(b"x" * 1000)
    assert watch(1e9) < 1e9
    assert watch(1e9) == 1e9
    log.write_bytes(b"x" * (supervise.LOG_LIMIT + 1))
    assert watch(1e9) < 1e9
    assert watch(1e9) == 1e9


def test_the_bell_is_rung_for_the_first_of_many_jobs():
    sent = []
    signals = wakeup.Wakeup(lambda: sent.append(1))
    for now in (0.0, 0.1, wakeup.INTERVAL - 0.1):
        signals.send(now)
    assert len(sent) == 1
    signals.send(wakeup.INTERVAL)
    assert len(sent) == 2


def test_both_halves_agree_on_the_state_and_its_places(tmp_path):
    state.create(str(tmp_path / "x.state"))
    shared = state.attach(str(tmp_path / "x.state"))
    shared[supervise.DEADLINE] = 5.0
    shared[supervise.STATE] = supervise.QUIET_STATES[1]
    numbers = state.decode((tmp_path / "x.state").read_bytes())
    assert numbers[state.DEADLINE] == 5.0
    assert numbers[state.STATE] == state.WorkerState.IDLE
    assert supervise.QUIET_STATES[0] == state.WorkerState.NEW
    assert supervise.AWAKE >= 2 * wakeup.INTERVAL


def test_a_damaged_state_is_that_of_a_worker_that_does_nothing():
    numbers = state.decode(b"short")
    assert numbers[state.STATE] == state.WorkerState.NEW
    assert numbers[state.DEADLINE] == state.FOREVER
