"""Requests to stop are heard in another thread, for as long as somebody listens."""

import threading
from queue import SimpleQueue

import pytest

from orchestrator.engines.ray.cancellations import CancellationListener
from orchestrator.jobs.cancellation import Cancellation

SOON = 30.0


@pytest.fixture
def listener():
    made = CancellationListener()
    yield made
    made.close()


@pytest.fixture
def cancellation():
    made = Cancellation()
    yield made
    made.close()


def test_each_request_is_heard_while_the_body_runs(listener, cancellation):
    heard = SimpleQueue()
    with listener.listening(cancellation, lambda: heard.put(threading.current_thread())):
        assert cancellation.armed
        for _ in range(2):
            cancellation.request()
            assert heard.get(timeout=SOON) is not threading.current_thread()
    assert not cancellation.armed


def test_requests_of_before_are_heard_as_well_each_for_itself(listener, cancellation):
    cancellation.request()
    cancellation.request()
    heard = SimpleQueue()
    with listener.listening(cancellation, lambda: heard.put(1)):
        assert [heard.get(timeout=SOON) for _ in range(2)] == [1, 1]


def test_many_are_told_apart(listener):
    heard = SimpleQueue()
    one, other = Cancellation(), Cancellation()
    with (
        listener.listening(one, lambda: heard.put("one")),
        listener.listening(other, lambda: heard.put("other")),
    ):
        other.request()
        assert heard.get(timeout=SOON) == "other"
        one.request()
        assert heard.get(timeout=SOON) == "one"
    one.close()
    other.close()


def test_after_the_body_nobody_hears(listener, cancellation):
    heard = SimpleQueue()
    with listener.listening(cancellation, lambda: heard.put("first")):
        pass
    cancellation.request()
    later = Cancellation()
    with listener.listening(later, lambda: heard.put("later")):
        later.request()
        assert heard.get(timeout=SOON) == "later"
    later.close()
    assert heard.empty()


def test_without_a_cancellation_there_is_nothing_to_hear(listener):
    with listener.listening(None, lambda: None):
        assert "mm-listener" not in [thread.name for thread in threading.enumerate()]
