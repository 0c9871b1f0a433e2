"""A caller that forks, as multiprocessing does: what it holds stays its own."""

import contextlib
import os
import threading

import pytest

from orchestrator.client.supervisors import OwnedProcess
from orchestrator.environments.shared_builds import BUILDS
from orchestrator.errors import UsageError
from orchestrator.system.home import Home
from orchestrator.system.reporter import Silent
from orchestrator.system.scratch import Scratch
from orchestrator.system.waiting import Wait
from tests.fakes import FakeSession, FakeWorkspace

GONE = 2**22 + 1
"""Above the largest id that Linux gives."""


class Ended:
    """A child of ours that has ended already."""

    pid = GONE
    returncode = 0

    def poll(self):
        return self.returncode

    def wait(self, seconds):
        return self.returncode


def in_a_fork(work):
    """Run `work` in a fork of this process and return what it says."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.write(tell, work())
        os._exit(0)
    os.close(tell)
    os.waitpid(child, 0)
    with os.fdopen(told, "rb") as stream:
        return stream.read()


def test_a_fork_holds_no_lifeline_and_ends_no_worker():
    reader, lifeline = os.pipe()
    own = OwnedProcess(Ended(), "x", lifeline)

    def fork():
        own.end()
        try:
            os.fstat(lifeline)
        except OSError:
            return b"closed"
        return b"open"

    assert in_a_fork(fork) == b"closed"
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):  # ours is open
        os.read(reader, 1)
    own.end()
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_fork_removes_no_directories_of_jobs(tmp_path):
    scratch = Scratch(Home(tmp_path))

    def fork():
        scratch.close()
        return b"done"

    assert in_a_fork(fork) == b"done"
    assert scratch.path.is_dir()
    scratch.close()
    assert not scratch.path.exists()


def test_a_fork_does_not_use_the_session_of_its_parent(tmp_path):
    with FakeSession(FakeWorkspace(tmp_path)) as mm:

        def fork():
            said = [refusal(begin) for begin in (mm.submit, mm.run)]
            mm.close()
            return f"{said} {mm.engine.closed}".encode()

        def refusal(begin):
            with pytest.raises(UsageError) as refused:
                begin("echo", text="a")
            return refused.value

        said = in_a_fork(fork).decode()
        assert said.count("forked") == 2
        assert said.endswith(" 0")
        assert mm.run("echo", text="a")["text"] == "A"


def test_a_fork_waits_for_no_build_of_its_parent():
    leave = threading.Event()
    build = BUILDS.join("key", lambda: lambda children: leave.wait())
    try:
        told = in_a_fork(lambda: repr(BUILDS.join("key", lambda: None)).encode())
        assert told == b"None"
    finally:
        leave.set()
        BUILDS.result("key", build, Wait("m", "its environment", Silent()))
