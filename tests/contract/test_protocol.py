"""The examples of docs/protocol.md, played against a worker and against a client."""

import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from orchestrator.client.connection import Connection, RemoteError
from orchestrator.jobs.job import Event
from orchestrator.worker import encoding, frames
from orchestrator.worker.channel import Channel

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
ANY = "…"


def examples():
    """Return the lines of every example: direction, message, inline bytes."""
    text = PAGE.read_text(encoding="utf-8")
    found = []
    for block in re.findall(r"^```protocol\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            message, _, inline = line[2:].partition("} + ")
            body = json.loads(message + ("}" if inline else ""))
            found.append((line[0], body, bytes.fromhex(inline)))
    return found


def fits(wanted, came):
    if wanted == ANY:
        return True
    if isinstance(wanted, dict) and isinstance(came, dict):
        return set(wanted) == set(came) and all(fits(wanted[key], came[key]) for key in wanted)
    return wanted == came and type(wanted) is type(came)


def frame(body, inline):
    data = json.dumps(body).encode()
    return len(data).to_bytes(4, "big") + data + inline


class Reader:
    """Reads whole frames as they are on the wire, with the lists of their buffers."""

    def __init__(self, sock):
        self._sock = sock

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            part = self._sock.recv(size - len(data))
            assert part, "the peer has left"
            data += part
        return data

    def next(self):
        body = json.loads(self._exactly(int.from_bytes(self._exactly(4), "big")))
        return body, self._exactly(sum(body.get("buffers", [])))


def test_the_page_has_an_example_of_every_method():
    methods = {body.get("method") for arrow, body, _ in examples() if arrow == "→"}
    assert methods == {"hello", "load", "run", "cancel", "status", "keep", "shutdown"}


@pytest.mark.every_python
def test_a_worker_answers_as_the_page_says(workers):
    worker = workers.start(load=False)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(worker.record.socket)
    reader = Reader(sock)
    for arrow, body, inline in examples():
        if arrow == "→":
            sock.sendall(frame(body, inline))
            continue
        came, bytes_ = reader.next()
        assert fits(body, came), f"{came} instead of {body}"
        assert bytes_ == inline
    sock.close()


def test_a_client_speaks_as_the_page_says():
    ours, theirs = socket.socketpair()
    theirs.settimeout(60)
    connection = Connection(Channel(ours))
    lines = examples()
    problems = []

    def play():
        reader = Reader(theirs)
        for arrow, body, inline in lines:
            if arrow == "←":
                theirs.sendall(frame(filled(body), inline))
                continue
            came = reader.next()
            if came != (body, inline):
                problems.append((came, body))

    thread = threading.Thread(target=play)
    thread.start()
    for arrow, body, inline in lines:
        if arrow == "→" and body["method"] == "cancel":
            connection.cancel()
        elif arrow == "→":
            parts = [memoryview(inline)] if inline else None
            identity = connection.send(body["method"], body["params"], parts)
            assert identity == body["id"]
        else:
            hear(connection, body, inline)
    thread.join()
    connection.close()
    theirs.close()
    assert problems == []


def filled(body):
    """Return an example with something in the place of what may be anything."""
    if body.get("params") == ANY:
        return {**body, "params": {"id": 0}}
    return body


def hear(connection, body, inline):
    """Check that the client hears what the example says."""
    if body.get("params") == ANY:
        return  # of no request that is open; the client passes over it
    until = time.monotonic() + 60
    if "error" in body:
        with pytest.raises(RemoteError) as caught:
            connection.next(until)
        assert (caught.value.code, str(caught.value)) == (
            body["error"]["code"],
            body["error"]["message"],
        )
        return
    said = connection.next(until)
    if isinstance(said, Event):
        assert (said.kind, said.params) == (body["method"], body["params"])
    else:
        assert said.body["result"] == body["result"]
        assert b"".join(said.buffers) == inline


def test_the_limits_on_the_page_are_those_of_the_code():
    text = PAGE.read_text(encoding="utf-8")
    assert f"at most {frames.MAX_MESSAGE:,}" in text
    assert f"together at most {frames.MAX_INLINE:,}" in text
    assert f"a list of at most {frames.MAX_BUFFERS}" in text
    assert f"nest at most {encoding.MAX_DEPTH} deep" in text
    codes = re.findall(r"^\| (-?\d+) \| ", text.partition("### Errors")[2], re.MULTILINE)
    known = {
        value
        for name, value in vars(frames).items()
        if name in ("FAILED", "REJECTED", "CANCELLED", "MISMATCH", "NOT_LOADED", "REFUSED")
        or name in ("INVALID_REQUEST", "METHOD_NOT_FOUND", "INVALID_PARAMS")
    }
    assert known == {int(code) for code in codes[: len(known)]}
