"""Requests to stop: counted, and without effect when their job is over."""

import os
import select
import threading

import pytest

from orchestrator.jobs.cancellation import Cancellation
from tests.races import just_before

SOON = 30.0


@pytest.fixture
def cancellation():
    made = Cancellation()
    yield made
    made.close()


@pytest.fixture
def reused():
    """Return a function that takes the lowest free descriptors, and says what came through them."""
    pipes = []

    def take():
        pipes.extend(os.pipe() for _ in range(4))

    def came():
        return [reader for reader, _ in pipes if select.select([reader], [], [], 0)[0]]

    take.came = came
    yield take
    for descriptor in (each for pipe in pipes for each in pipe):
        os.close(descriptor)


def test_each_request_counts_once(cancellation):
    assert cancellation.drain() == 0
    cancellation.request()
    cancellation.request()
    assert select.select([cancellation], [], [], 0)[0]
    assert cancellation.drain() == 2
    assert cancellation.drain() == 0
    assert not select.select([cancellation], [], [], 0)[0]


def test_any_number_of_requests_may_come(cancellation):
    for _ in range(70_000):  # a pipe holds 65,536
        cancellation.request()
    assert cancellation.drain() >= 2


def test_a_request_after_the_end_is_none(reused):
    cancellation = Cancellation()
    cancellation.close()
    reused()
    cancellation.request()
    assert reused.came() == []
    assert cancellation.drain() == 0
    cancellation.close()
    reused()  # no descriptor was closed that is another's by now


def test_an_end_in_the_middle_of_a_request_waits_for_it(reused):
    cancellation = Cancellation()

    def end():
        cancellation.close()
        reused()

    other = threading.Thread(target=end)

    def meanwhile():
        other.start()
        other.join(0.1)  # long enough to close it, were it not held

    with just_before(os.write, meanwhile):
        cancellation.request()
    other.join(SOON)
    assert reused.came() == []


@pytest.mark.parametrize("moment", [os.write, os.read, os.close])
def test_a_signal_handler_may_ask_at_any_moment(moment):
    cancellation = Cancellation()

    def use():
        with just_before(moment, cancellation.request):
            cancellation.request()
            cancellation.drain()
            cancellation.close()

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive()
