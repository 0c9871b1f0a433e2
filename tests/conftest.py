"""What all tests share: nothing of the user's own settings or directories reaches them."""

import os
import signal

import pytest
from hypothesis import settings

from tests import machine

settings.register_profile("mm", deadline=None)  # no test asserts on time
settings.load_profile("mm")

KEPT_VARIABLES = ("MM_TEST_",)


@pytest.fixture(autouse=True, scope="session")
def _interrupts_arrive():
    """Undo what a shell does to a background job, whose children would ignore Ctrl-C as well."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_user():
    """Take every MM_* variable away, so that a test sees only what it sets."""
    kept = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith("MM_") and not name.startswith(KEPT_VARIABLES)
    }
    yield
    os.environ.update(kept)


def pytest_collection_finish():
    """End a run that is to exercise everything where the machine lacks something."""
    if machine.not_exercised and os.environ.get("MM_TEST_COMPLETE"):
        pytest.exit("MM_TEST_COMPLETE is set, and this machine lacks something", returncode=1)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Say last, below the counts, what was not exercised."""
    for what, fix in machine.not_exercised.items():
        config.get_terminal_writer().line(f"not exercised: {what}; {fix}", yellow=True)
