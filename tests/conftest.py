"""What all tests share: nothing of the user's own settings or directories reaches them."""

import os
import signal
import tempfile

import pytest
from hypothesis import settings

from tests import machine

settings.register_profile("mm", deadline=None)  # no test asserts on time
settings.load_profile("mm")

if len(tempfile.gettempdir()) > len("/private/tmp"):
    # macOS: a socket below pytest's own directories would have too long a path.
    os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"

KEPT_VARIABLES = ("MM_TEST_",)

TORCH = (
    "test_doctor.py",
    "test_environments_conflicting.py",
    "test_patches.py",
    "test_qwen3_tts.py",
    "test_qwen3_tts_mlx.py",
)
"""Files of tests that need the environments with torch."""


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Distribute whole files; those that share environments of several GB go to one process."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "torch" if file.rpartition("/")[2] in TORCH else file

    return Scheduling(config, log)


def pytest_collection_finish(session):
    """End a run that is to exercise everything where the machine lacks something."""
    if machine.not_exercised and os.environ.get("MM_TEST_COMPLETE"):
        why = "MM_TEST_COMPLETE is set, and this machine lacks something"
        if not hasattr(session.config, "workeroutput"):
            pytest.exit(why, returncode=1)
        session.shouldfail = why


def pytest_sessionfinish(session):
    """Have the first process say what the others, which collect the tests, have found missing."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["not_exercised"] = machine.not_exercised


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take over what one of the processes goes without."""
    machine.not_exercised.update(getattr(node, "workeroutput", {}).get("not_exercised", {}))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Say last, below the counts, what was not exercised."""
    if hasattr(config, "workeroutput"):
        return
    for what, fix in machine.not_exercised.items():
        config.get_terminal_writer().line(f"not exercised: {what}; {fix}", yellow=True)
