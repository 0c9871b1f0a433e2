"""Processes told from others of the same id. The only process here is the test's own."""

import contextlib
import errno
import os
import signal

import pytest

from orchestrator.client import supervisors
from orchestrator.client.supervisors import (
    is_alive,
    open_process,
    send_signal,
    start_time,
    wait_gone,
)
from orchestrator.worker import capabilities
from tests import portable

GONE = 2**22 + 1
"""Above the largest id that Linux gives."""


SYSTEMS = ["this", "portable"] if capabilities.PROCESS_FILES else ["this"]


@pytest.fixture
def system(request):
    """This system, or one that offers nothing of what Linux does."""
    with portable.taken_away() if request.param == "portable" else contextlib.nullcontext():
        yield


@pytest.fixture
def heard():
    """The signals that this process was sent."""
    found = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: found.append(number))
    yield found
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("system", SYSTEMS, indirect=True)
def test_the_right_process_is_signalled(heard, system):
    began = start_time(os.getpid())
    assert send_signal(os.getpid(), began, signal.SIGUSR1)
    assert heard == [signal.SIGUSR1]


@pytest.mark.parametrize("system", SYSTEMS, indirect=True)
@pytest.mark.parametrize("began", ["", "another boot:1"])
def test_a_reused_id_is_never_signalled(heard, system, began):
    assert not send_signal(os.getpid(), began, signal.SIGUSR1)
    assert heard == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_kernel_that_does_not_know_the_call_is_like_another_system(monkeypatch, number):
    monkeypatch.setattr(capabilities, "PROCESS_DESCRIPTORS", True)

    def refuse(pid):
        raise OSError(number, os.strerror(number))

    assert open_process(os.getpid(), refuse) is None
    assert open_process(os.getpid(), None) is None


def test_another_failure_of_the_call_is_an_error(monkeypatch):
    monkeypatch.setattr(capabilities, "PROCESS_DESCRIPTORS", True)

    def refuse(pid):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        open_process(os.getpid(), refuse)


@pytest.mark.parametrize("system", SYSTEMS, indirect=True)
def test_a_process_that_is_gone_is_no_error(system):
    assert not send_signal(GONE, "x", signal.SIGUSR1)
    assert wait_gone(GONE, "x", 0)
    assert not is_alive(GONE, "x")


@pytest.mark.parametrize("system", SYSTEMS, indirect=True)
def test_one_that_lives_is_waited_for_no_longer_than_asked(system):
    assert not wait_gone(os.getpid(), start_time(os.getpid()), 0)
    assert wait_gone(os.getpid(), "before a reboot", 0)


def test_the_client_and_the_supervisor_mean_the_same_byte():
    from orchestrator.worker import supervise

    assert supervisors.KEEP == supervise.KEEP
