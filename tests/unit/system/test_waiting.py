"""Deadlines whose clock stands still, and waits that are said and ended."""

import contextlib
import copy
import math
import time

import pytest

from orchestrator.errors import Cancelled, TimedOut
from orchestrator.jobs.cancellation import Cancellation, asked_to_stop
from orchestrator.system.flock import PAUSE, try_lock
from orchestrator.system.waiting import ENDLESS, SAID_AFTER, Deadline, Wait, take_lock
from tests.models import Notes


def test_what_the_caller_does_itself_costs_no_time_and_what_it_waits_for_does():
    deadline = Deadline(60)
    before, began = deadline.at, time.monotonic()
    with deadline.paused():
        time.sleep(PAUSE)
        Wait("m", "another", Notes(), deadline).pause()
        time.sleep(PAUSE)
    passed = time.monotonic() - began
    assert before + 2 * PAUSE <= deadline.at <= before + passed - PAUSE
    running = deadline.at
    time.sleep(0.01)
    assert deadline.at == running


def test_the_sooner_of_two_counts_and_says_how_more_is_allowed(tmp_path):
    own, other = Deadline(60), Deadline(0, "allow more there")
    assert own.sooner(ENDLESS) is own
    with pytest.raises(TimedOut, match=r"within 0 seconds: .*for another; allow more there"):
        Wait("m", "another", Notes(), own.sooner(other)).look()


def test_a_wait_is_said_once_it_is_long_and_its_end_too():
    notes = Notes()
    with Wait("m", "another", notes) as wait:
        wait.pause()
    assert notes.steps == []
    with Wait("m", "another", notes) as wait:
        wait.look()
        time.sleep(SAID_AFTER)
        wait.look()
    assert notes.steps == [("m", "waiting for another"), ("m", "finished")]


def test_a_lock_is_waited_for_until_the_deadline(tmp_path):
    path = tmp_path / "x.lock"
    with try_lock(path), pytest.raises(TimedOut, match="it was waiting for another"):
        take_lock(path, Wait("m", "another", Notes(), Deadline(0.01)))
    take_lock(path, Wait("m", "another", Notes(), Deadline(0))).release()


def test_a_request_to_stop_ends_a_wait_and_is_there_for_the_next():
    with contextlib.closing(Cancellation()) as cancellation:
        stopped = asked_to_stop(cancellation)
        Wait("m", "another", Notes(), stopped=stopped).look()
        cancellation.request()
        for _ in range(2):
            with pytest.raises(Cancelled, match="while it was waiting for another"):
                Wait("m", "another", Notes(), stopped=stopped).look()
    assert not asked_to_stop(None)()


def test_on_another_machine_counts_what_is_left():
    sent = copy.copy(Deadline(600, "as asked"))
    assert 0 < sent.seconds <= 600
    assert (sent.fix, copy.copy(ENDLESS).seconds) == ("as asked", math.inf)
    assert copy.copy(Deadline(0)).seconds == 0
