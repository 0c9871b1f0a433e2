"""A client that reads nothing, or is lost, costs the worker and its other clients nothing."""

import gc
import time
import weakref

import pytest

from orchestrator.client.connection import ConnectionLost, Event
from orchestrator.worker import state
from orchestrator.worker.frames import ProtocolError
from orchestrator.worker.send_queue import MAX_UNREAD

MIB = 1 << 20
SOON = 30.0
"""Seconds after which a test gives up; nothing is measured."""


def begin(workers, worker, what, **keys):
    """Connect another client, and let it begin a job."""
    client = workers.connect(worker)
    client.connection.send("run", {**workers.call(what, **keys).params, "seconds": 600})
    while client.connection.next(time.monotonic() + SOON).kind != "log":
        pass
    return client


def answer(client):
    """Return the chunks that its job streamed, and the text of the answer."""
    chunks = []
    while isinstance(said := client.connection.next(time.monotonic() + SOON), Event):
        chunks.append(said.params["value"])
    return chunks, said.body["result"]["outputs"]["text"]


def appears(path):
    until = time.monotonic() + SOON
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return path.exists()


def test_an_answer_that_is_not_read_waits_for_its_client_and_no_one_waits_with_it(workers):
    first = workers.start()
    stopped = begin(workers, first, "big", n=5 * MIB)
    assert workers.run(first, "count", seconds=SOON) == "2"
    assert answer(stopped) == (["x" * 5 * MIB], "x" * 5 * MIB)
    assert workers.run(stopped, "count") == "3"


def test_a_stream_that_is_not_read_is_kept_with_its_answer(workers):
    first = workers.start()
    chunks = MAX_UNREAD // MIB + 1  # the most that a job may send without a wait
    stopped = begin(workers, first, "flood", n=chunks)
    assert workers.run(first, "count", seconds=SOON) == "2"
    received, text = answer(stopped)
    assert (len(received), text) == (chunks, "done")


def test_a_client_that_leaves_too_much_unread_may_ask_for_nothing_more(workers):
    first = workers.start()
    stopped = begin(workers, first, "flood", n=MAX_UNREAD // MIB + 1)
    assert workers.run(first, "count", seconds=SOON) == "2"
    stopped.connection.send("status", {})
    with pytest.raises((ConnectionLost, ProtocolError)):
        answer(stopped)
    assert workers.run(first, "count") == "3"


def test_a_client_that_is_lost_before_it_has_its_answer_leaves_nothing_behind(workers):
    first = workers.start()
    before = workers.run(first, "descriptors")
    for _ in range(3):
        begin(workers, first, "big", n=5 * MIB).leave()
    assert workers.run(first, "descriptors", seconds=SOON) == before


def test_requests_end_with_their_clients_and_wait_for_no_collector(workers):
    first = workers.start()
    for _ in range(10):
        client = workers.connect(first)
        left = int(workers.run(client, "requests"))
        client.leave()
    assert left <= 2  # its own, and the one before


def test_a_client_that_has_left_waits_for_no_collector(workers):
    client = weakref.ref(workers.connect(workers.start()))
    gc.disable()
    try:
        workers.started.pop().leave()
        assert client() is None
    finally:
        gc.enable()


def test_a_job_that_goes_on_without_its_client_gets_no_other_deadline(workers):
    first = workers.start()
    go_on = workers.root / "go-on"
    lost = begin(workers, first, "linger", path=str(go_on))
    lost.leave()
    assert appears(go_on.with_suffix(".cancelled"))
    numbers = state.decode(workers.runtime.state_file(first.record.id).read_bytes())
    assert numbers[state.DEADLINE] > time.monotonic() + 100
    go_on.touch()
    assert workers.run(first, "count") == "2"
