"""What is kept for a peer that does not read, how much of it, and when it goes."""

import contextlib
import os
import socket
import threading

import pytest

from orchestrator.worker.send_queue import LOOK, SendQueue

MOST = 1 << 20
SOON = 30.0


@pytest.fixture
def ends():
    """A queue that keeps little, its socket, and the socket of the peer."""
    ours, theirs = socket.socketpair()
    yield SendQueue(ours, MOST), ours, theirs
    ours.close()
    theirs.close()


def fill(queue):
    """Send until more is kept than may be."""
    while queue.unread <= MOST:
        queue.send(b"x" * MOST)


def senders():
    return [thread for thread in threading.enumerate() if thread.name == "mm-sender"]


def test_an_answer_is_kept_however_much_is_unread(ends):
    queue, _, peer = ends
    fill(queue)
    queue.send(b"the answer")
    received = b""
    while not received.endswith(b"the answer"):
        received = received[-10:] + peer.recv(MOST)


def test_who_sends_much_waits_for_a_peer_that_reads(ends):
    queue, _, peer = ends
    fill(queue)
    waiting = threading.Thread(target=queue.await_room, args=(SOON,))
    waiting.start()
    peer.setblocking(False)
    while waiting.is_alive():
        with contextlib.suppress(BlockingIOError):
            peer.recv(MOST)
    assert queue.unread <= MOST
    queue.send(b"more")


def test_a_peer_that_reads_nothing_more_is_not_waited_for(ends):
    queue, _, _ = ends
    fill(queue)
    with pytest.raises(TimeoutError, match="nothing was read"):
        queue.await_room(LOOK * 1.2)  # the thread has looked again by then
    for thread in senders():
        thread.join(SOON)
    with pytest.raises(BrokenPipeError):
        queue.send(b"more")


def test_a_peer_that_leaves_is_not_waited_for_and_what_was_kept_goes(ends):
    queue, _, peer = ends
    fill(queue)
    waiting = threading.Thread(target=queue.await_room, args=(SOON,))
    waiting.start()
    peer.close()
    waiting.join(SOON)
    assert not waiting.is_alive()
    assert queue.unread > 0  # it is known that the peer has not read it


def test_descriptors_that_were_kept_are_closed_with_the_connection(ends):
    queue, ours, _ = ends
    reader, writer = os.pipe()
    queue.send(b"x" * MOST)
    queue.send_pieces([b"frame"], [writer], 1)
    os.close(writer)
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):  # the copy in the queue holds the pipe open
        os.read(reader, 1)
    queue.hang_up()
    ours.close()
    for thread in senders():
        thread.join(SOON)
    assert os.read(reader, 1) == b""
    os.close(reader)
