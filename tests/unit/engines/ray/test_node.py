"""How a node tells what came of a call; Ray itself is not started."""

import errno
import os

import pytest

from orchestrator.engines.ray.node import _outcome
from orchestrator.engines.ray.transport import FilesNotVisible, decode_error
from orchestrator.errors import EnvironmentFailure, Rejected


def raising(error):
    def work():
        raise error

    return work


def test_what_a_call_gave_or_why_it_gave_nothing_is_told():
    assert _outcome(lambda: 3) == ("done", 3)
    assert _outcome(raising(FilesNotVisible("/a"))) == ("unseen", "/a")
    kind, told = _outcome(raising(Rejected("no")))
    assert (kind, type(decode_error(told, "n1"))) == ("error", Rejected)


@pytest.mark.parametrize("where", ["/a/page.png", None])
def test_a_node_that_is_refused_something_keeps_its_worker(where):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), where)
    kind, told = _outcome(raising(error))
    found = decode_error(told, "n1")
    assert (kind, type(found)) == ("error", EnvironmentFailure)
    assert str(found) == f"node n1: {where + ': ' if where else ''}No space left on device"


def test_a_fault_of_our_own_is_raised_as_one():
    with pytest.raises(ZeroDivisionError):
        _outcome(lambda: 1 / 0)
