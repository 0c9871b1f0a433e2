"""Races, forced: something happens at the very moment at which a thread calls a function in C."""

import contextlib
import sys


@contextlib.contextmanager
def just_before(function, act):
    """Call `act` once, when this thread is about to call `function`, which is written in C."""
    left = [act]

    def watch(frame, event, called):
        if event == "c_call" and called is function and left:
            left.pop()()

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert not left, f"{function} was not called"
