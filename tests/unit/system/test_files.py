"""Only regular files are read; what would be waited for is refused."""

import os
import resource
import socket

import pytest

from orchestrator.system.files import (
    allow_open_files,
    append,
    open_file,
    open_private,
    read_file,
    read_text,
)
from orchestrator.system.home import write_atomically


class Limits:
    """The limits of a process that is not this one."""

    RLIMIT_NOFILE, RLIM_INFINITY = 7, 2**63 - 1

    def __init__(self, now, most):
        self.has = (now, most)

    def getrlimit(self, what):
        return self.has

    def setrlimit(self, what, has):
        if has[0] > 10240:
            raise ValueError("current limit exceeds maximum limit")  # as on macOS
        self.has = has


@pytest.mark.parametrize(
    ("now", "most", "then"),
    [
        (256, Limits.RLIM_INFINITY, 4096),
        (256, 1024, 1024),
        (8192, 16384, 8192),
        (Limits.RLIM_INFINITY, Limits.RLIM_INFINITY, Limits.RLIM_INFINITY),
    ],
    ids=["macOS", "less", "more", "any"],
)
def test_as_many_files_may_be_open_as_are_needed(now, most, then):
    limits = Limits(now, most)
    allow_open_files(4096, limits)
    assert limits.has == (then, most)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


MAKERS = [os.mkfifo, os.mkdir, make_socket, lambda path: path.symlink_to("/dev/zero")]
NAMES = ["pipe", "directory", "socket", "device"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket may have 104 bytes
    return type(tmp_path)("x")


@pytest.mark.parametrize("make", MAKERS, ids=NAMES)
@pytest.mark.parametrize("use", [open_file, read_file, read_text, open_private])
def test_anything_else_is_refused_at_once(place, make, use):
    make(place)
    with pytest.raises(OSError, match=r"Not a regular file|Is a directory") as caught:
        use(place)
    assert caught.value.filename in ("x", place)


def test_a_pipe_with_a_reader_is_not_written_to(place):
    os.mkfifo(place)
    reader = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match="Not a regular file"):
        open_private(place)
    os.close(reader)


def test_files_are_read_and_appended_to(place):
    with open_private(place) as stream:
        stream.write(b"a\r\n")
    with open_private(place) as stream:
        stream.write(b"b\n\xff")
    assert read_file(place) == b"a\r\nb\n\xff"
    assert read_text(place, "replace") == "a\nb\n\ufffd"
    assert place.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UnicodeDecodeError):
        read_text(place)


def append_to(path, data):
    with open_private(path) as stream:
        append(stream, data)


@pytest.mark.parametrize("write", [write_atomically, append_to])
def test_a_file_that_may_not_grow_is_named_and_never_half_kept_in_silence(place, write):
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write(place, b"x" * 3000)  # of which one write takes 1000 bytes
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert caught.value.filename == "x"
