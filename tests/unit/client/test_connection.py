"""The client's checks of what a worker says: answers, events, and every kind of nonsense."""

import contextlib
import math
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.client.connection import (
    CancelRequested,
    Connection,
    ConnectionLost,
    DeadlinePassed,
    RemoteError,
)
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.job import Event
from orchestrator.worker import frames
from orchestrator.worker.channel import Channel
from orchestrator.worker.frames import ProtocolError
from tests.unit.worker.test_frames import EXAMPLES, values


@pytest.fixture
def ends():
    """A connection, and the socket of the worker that it talks to."""
    ours, theirs = socket.socketpair()
    connection = Connection(Channel(ours))
    yield connection, theirs
    connection.close()
    theirs.close()


def say(sock, **body):
    sock.sendall(frames.encode({"jsonrpc": "2.0", **body}))


def test_an_answer_is_that_of_the_last_request(ends):
    connection, worker = ends
    identity = connection.send("run", {})
    say(worker, id=identity, result={"a": 1})
    assert connection.next(math.inf).body["result"] == {"a": 1}


def test_events_come_first_and_those_of_older_requests_not_at_all(ends):
    connection, worker = ends
    connection.send("run", {})
    identity = connection.send("run", {})
    say(worker, method="log", params={"id": identity - 1, "text": "old"})
    say(worker, method="log", params={"id": identity, "text": "new"})
    say(worker, id=identity, result={})
    event = connection.next(math.inf)
    assert isinstance(event, Event)
    assert (event.kind, event.params["text"]) == ("log", "new")
    assert connection.next(math.inf).body["result"] == {}


def test_an_error_keeps_code_text_and_traceback(ends):
    connection, worker = ends
    identity = connection.send("run", {})
    say(worker, id=identity, error={"code": 1, "message": "no", "data": {"traceback": "t"}})
    with pytest.raises(RemoteError) as caught:
        connection.next(math.inf)
    assert (caught.value.code, str(caught.value), caught.value.traceback) == (1, "no", "t")


@pytest.mark.parametrize(
    "body",
    [
        {"id": 99, "result": {}},
        {"id": 1, "result": []},
        {"id": 1},
        {"id": True, "result": []},
        {"id": 99, "error": {"code": 1, "message": ""}},
        {"id": None, "error": {"code": -32600, "message": "bad"}},
        {"id": 1, "error": "no"},
        {"id": 1, "error": {"code": "1", "message": ""}},
        {"id": 1, "error": {"code": 1, "message": "", "data": []}},
        {"method": "run", "params": {}},
        {"method": "log", "params": []},
        {"method": ["log"], "params": {"id": 1}},
        {"jsonrpc": "1.0", "id": 1, "result": {}},
    ],
)
def test_what_nobody_asked_for_ends_the_connection(ends, body):
    connection, worker = ends
    connection.send("run", {})
    say(worker, **body)
    with pytest.raises(ProtocolError):
        connection.next(math.inf)


@EXAMPLES
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "jsonrpc": st.just("2.0") | values,
            "id": st.just(1) | values,
            "method": st.sampled_from(["log", "chunk", "waiting", "x"]) | values,
            "params": st.fixed_dictionaries({"id": st.just(1) | values}) | values,
            "result": values,
            "error": st.fixed_dictionaries({"code": values, "message": values}) | values,
            "buffers": values,
        },
    )
)
def test_whatever_a_worker_says_is_an_answer_an_event_or_one_of_the_known_errors(body):
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.callback(theirs.close)
        connection = Connection(Channel(ours))
        stack.callback(connection.close)
        connection.send("run", {})
        theirs.sendall(frames.encode(body))
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ProtocolError, RemoteError, ConnectionLost):
            said = connection.next(math.inf)
            assert isinstance(said, Event) or isinstance(said.body["result"], dict)


@pytest.mark.parametrize("reads", [True, False])
def test_a_worker_that_leaves_is_lost_and_it_is_known_whether_it_read_the_request(ends, reads):
    connection, worker = ends
    connection.send("run", {})
    if reads:
        worker.recv(65_536)
    worker.close()
    with pytest.raises(ConnectionLost) as lost:
        connection.next(math.inf)
    assert lost.value.unread is not reads


def test_a_worker_that_leaves_before_it_has_taken_the_whole_request_has_not_read_it(ends):
    connection, worker = ends
    connection.send("run", {"text": "x" * (1 << 20)})
    worker.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionLost) as lost:
        connection.next(math.inf)
    assert lost.value.unread


def test_half_a_message_and_silence_end_with_the_deadline(ends):
    connection, worker = ends
    connection.send("run", {})
    worker.sendall(b"\0\0\1\0{")
    with pytest.raises(DeadlinePassed):
        connection.next(time.monotonic() + 0.01)


def test_a_request_to_stop_reaches_a_caller_that_waits(ends):
    connection, worker = ends
    connection.send("run", {})
    cancellation = Cancellation()
    with contextlib.closing(cancellation):
        cancellation.request()
        cancellation.request()
        with pytest.raises(CancelRequested) as caught:
            connection.next(math.inf, cancellation)
        assert caught.value.times == 2
        say(worker, id=1, result={})
        assert connection.next(math.inf, cancellation).body["result"] == {}


def test_a_worker_that_is_gone_takes_no_request(ends):
    connection, worker = ends
    worker.close()
    with pytest.raises(ConnectionLost):
        connection.send("run", {})
