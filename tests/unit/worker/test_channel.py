"""Messages with their buffers and descriptors over a pair of sockets, and hostile peers."""

import array
import contextlib
import errno
import os
import socket
import threading

import pytest

from orchestrator.worker import buffers, frames
from orchestrator.worker.channel import MAX_WAITING_DESCRIPTORS, Channel
from orchestrator.worker.frames import ProtocolError
from tests.machine import has, only_where

MIB = 1 << 20
SOON = 30.0

MEMORY_FILES = has("memory files", buffers.can_use_memory_files(), "run the tests on Linux")
with_memory_files = only_where(MEMORY_FILES)


@pytest.fixture(params=["memory", "directory"] if MEMORY_FILES else ["directory"])
def large(request):
    return {"memory": buffers.MemoryFiles, "directory": buffers.DirectoryFiles}[request.param]()


@pytest.fixture
def ends():
    """Two connected sockets; whatever wraps them may close them before."""
    pair = socket.socketpair()
    yield pair
    for sock in pair:
        sock.close()


def descriptors():
    """Return the open descriptors; the one that lists them is closed by the time of the look."""
    found = set()
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            os.fstat(int(name))
            found.add(int(name))
    return found


def receive(channel, directory=""):
    """Return the next message; None when the peer has left."""
    while True:
        came = channel.read(0, directory)
        if came is None:
            return None
        if came:
            (message,) = came
            return message


def send_raw(sock, body, numbers=(), specs=()):
    data = frames.encode(body, list(specs))
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))
    sock.sendmsg([data], [rights] if numbers else [])


def test_small_and_large_buffers_arrive_read_only_and_in_order(ends, large, tmp_path):
    one, two = (Channel(sock, large) for sock in ends)
    parts = [b"", b"small", bytes(range(256)) * (8 * MIB // 256), b"end"]
    one.send({"a": 1}, [memoryview(part) for part in parts], str(tmp_path))
    message = receive(two, str(tmp_path))
    assert message.body == {"a": 1}
    assert [bytes(part) for part in message.buffers] == parts
    assert all(part.readonly for part in message.buffers)


def test_nothing_is_left_in_directory_or_table_of_descriptors(ends, large, tmp_path):
    one, two = (Channel(sock, large) for sock in ends)
    before = descriptors()
    one.send({}, [memoryview(bytes(2 * MIB))], str(tmp_path))
    message = receive(two, str(tmp_path))
    assert len(message.buffers[0]) == 2 * MIB
    del message
    assert os.listdir(tmp_path) == []
    assert descriptors() == before


def test_a_socket_that_holds_little_is_made_to_hold_more(ends):
    for sock in ends:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = bytes(64 * 1024)
    one, two = (Channel(sock) for sock in ends)
    one.send({}, [memoryview(data)])
    assert one.unread == 0  # no thread of its own had to send the rest
    assert bytes(receive(two).buffers[0]) == data


def test_an_end_between_messages_is_an_end_and_one_inside_breaks_the_connection(ends):
    one, two = ends[0], Channel(ends[1])
    one.sendall(frames.encode({"a": 1}) + b"\0\0")
    one.close()
    assert receive(two).body == {"a": 1}
    with pytest.raises(ConnectionAbortedError, match="middle"):
        receive(two)
    three, four = socket.socketpair()
    three.close()
    ended = Channel(four)
    assert receive(ended) is None
    ended.close()


def test_more_buffers_than_a_message_may_have_are_refused_by_the_sender(ends):
    with pytest.raises(ValueError, match="buffers"):
        Channel(ends[0]).send({}, [memoryview(b"x")] * 65)


def test_after_half_a_message_nothing_more_is_sent(ends):
    one = Channel(ends[0])
    ends[1].close()
    with pytest.raises(BrokenPipeError):
        one.send({"a": "x" * 100_000})
    with pytest.raises(BrokenPipeError):
        one.send({"a": 1})


def test_a_peer_that_reads_later_gets_all_of_it_in_order(ends, large, tmp_path):
    one, two = (Channel(sock, large) for sock in ends)
    before = descriptors()
    parts = [b"x" * (MIB - 1), bytes(range(256)) * (2 * MIB // 256)]
    sent = [{"n": n, "text": "y" * MIB} for n in range(3)]
    for body in sent:
        one.send(body, [memoryview(part) for part in parts], str(tmp_path))
    assert one.unread > 0
    for body in sent:
        message = receive(two, str(tmp_path))
        assert message.body == body
        assert [bytes(part) for part in message.buffers] == parts
    for thread in threading.enumerate():
        if thread.name == "mm-sender":
            thread.join(SOON)
    assert one.unread == 0
    del message
    assert descriptors() == before


def test_what_is_kept_is_what_was_sent_whatever_its_owner_does_with_the_memory(ends):
    one, two = (Channel(sock) for sock in ends)
    data = bytearray(MIB - 1)
    one.send({"n": 1}, [memoryview(data)])
    data[:] = b"x" * len(data)
    assert bytes(receive(two).buffers[0]) == bytes(MIB - 1)


@with_memory_files
def test_an_announced_file_that_does_not_come_is_refused(ends):
    send_raw(ends[0], {}, specs=[frames.BufferSpec("memory", MIB)])
    with pytest.raises(ProtocolError, match="did not come"):
        receive(Channel(ends[1], buffers.MemoryFiles()))


@with_memory_files
@pytest.mark.parametrize("kind", ["unsealed", "short", "shrinkable", "pipe", "file"])
def test_a_descriptor_that_is_no_sealed_memory_file_is_refused(ends, kind, tmp_path):
    import fcntl

    if kind == "pipe":
        number, other = os.pipe()
        os.close(other)
    elif kind == "file":
        number = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
        os.truncate(number, MIB)
    else:
        number = os.memfd_create("x", os.MFD_ALLOW_SEALING)
        os.truncate(number, MIB // 2 if kind == "short" else MIB)
        if kind == "short":
            fcntl.fcntl(number, fcntl.F_ADD_SEALS, buffers.all_seals())
        elif kind == "shrinkable":
            seals = buffers.all_seals() & ~fcntl.F_SEAL_SHRINK
            fcntl.fcntl(number, fcntl.F_ADD_SEALS, seals)
    before = descriptors()
    send_raw(ends[0], {}, [number], [frames.BufferSpec("memory", MIB)])
    with pytest.raises(ProtocolError):
        receive(Channel(ends[1], buffers.MemoryFiles()))
    assert descriptors() == before  # what had come was closed
    os.close(number)


@with_memory_files
def test_a_flood_of_descriptors_is_refused_and_closed(ends):
    two = Channel(ends[1])
    reader, writer = os.pipe()
    before = descriptors()
    for _ in range(MAX_WAITING_DESCRIPTORS // 60):
        send_raw(ends[0], {"a": 1}, [reader] * 60)
        assert receive(two).body == {"a": 1}
    send_raw(ends[0], {"a": 1}, [reader] * 60)
    with pytest.raises(ProtocolError, match="descriptors"):
        receive(two)
    ends[1].close()
    two.close()
    assert len(descriptors() - before) == 0
    os.close(reader)
    os.close(writer)


@with_memory_files
def test_more_descriptors_at_once_than_a_message_may_carry_are_refused(ends):
    reader, writer = os.pipe()
    send_raw(ends[0], {"a": 1}, [reader] * (frames.MAX_BUFFERS + 20))
    with pytest.raises(ProtocolError, match="descriptors"):
        receive(Channel(ends[1]))
    os.close(reader)
    os.close(writer)


@with_memory_files
def test_received_descriptors_are_not_inherited(ends):
    two = Channel(ends[1])
    reader, writer = os.pipe()
    before = descriptors()
    send_raw(ends[0], {"a": 1}, [reader])
    receive(two)
    (new,) = descriptors() - before
    assert not os.get_inheritable(new)
    two.close()
    os.close(reader)
    os.close(writer)


def test_a_file_outside_the_directory_or_a_link_is_not_read(ends, tmp_path):
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for spec, said in (("link", "cannot be read"), ("missing", "cannot be read")):
        one, two = socket.socketpair()
        send_raw(one, {}, specs=[frames.BufferSpec("file", 1, spec)])
        channel = Channel(two, buffers.DirectoryFiles())
        with pytest.raises(ProtocolError, match=said):
            receive(channel, str(tmp_path))
        channel.close()
        one.close()


def test_a_file_of_another_size_is_refused(ends, tmp_path):
    (tmp_path / "b1").write_bytes(b"xx")
    send_raw(ends[0], {}, specs=[frames.BufferSpec("file", 1, "b1")])
    with pytest.raises(ProtocolError, match="announced"):
        receive(Channel(ends[1], buffers.DirectoryFiles()), str(tmp_path))


@with_memory_files
@pytest.mark.parametrize("most", [0, 1 << 20])
def test_a_buffer_costs_a_descriptor_only_while_there_are_enough(ends, most):
    one, two = (Channel(sock, buffers.MemoryFiles(most)) for sock in ends)
    data = os.urandom(2 * MIB)
    before = descriptors()
    one.send({}, [memoryview(data)])
    message = receive(two)
    assert bytes(message.buffers[0]) == data
    assert message.buffers[0].readonly
    kept = descriptors() - before
    assert len(kept) == (1 if most and not buffers.UNTRACKED else 0)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EACCES])
def test_memory_files_that_the_kernel_or_a_sandbox_refuses_are_not_used(monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    assert not buffers.can_use_memory_files()
