import errno
import os

import pytest

from orchestrator.backends.tool_failures import system_failure, tool_failure
from orchestrator.system.processes import ProcessError


def failure(said, **keys):
    return tool_failure(
        ProcessError(["/x/uv", "pip"], 2, "", said),
        subject="the environment of ocr could not be built",
        name="ocr",
        command="mm env sync ocr",
        **keys,
    )


@pytest.mark.parametrize(
    ("said", "cause", "fix"),
    [
        ("failed to write: No space left on device (os error 28)", "the disk is full", "MM_HOME"),
        ("error: Hash mismatch for `six==1.17.0`", "hash that the lock names", "mm env lock ocr"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES", "hash that the lock names", "mm env lock ocr"),
        ("cause: tcp connect error: Connection refused", "index could not be", "mm env sync ocr"),
        ("IncompleteRead(10 bytes read)", "index could not be", "mm env sync ocr"),
        ("Because x has no usable wheels", "a wheel cannot be found", "--check ocr"),
        ("No matching distribution found for x", "a wheel cannot be found", "--check ocr"),
        ("Network connectivity is disabled", "nothing may be downloaded", "without --offline"),
        ("Permission denied (os error 13)", "cannot be written", "MM_HOME"),
        ("something nobody knows", "ended with exit status 2", "mm env sync ocr"),
    ],
)
def test_known_failures_come_to_a_sentence_and_a_command(said, cause, fix):
    error = failure(said)
    assert cause in error.what
    assert fix in error.fix
    assert error.detail == said
    assert error.exit_code == 3


def test_the_log_is_named():
    assert failure("x", log="/logs/env.log").fix.endswith("(log: /logs/env.log)")


def test_what_was_asked_for_is_mended_where_the_machine_is_not_at_fault():
    assert failure("no solution found", otherwise="mend it").fix == "mend it"
    assert failure("Connection refused", otherwise="mend it").fix != "mend it"


def test_a_full_disk_is_told_apart_from_a_forbidden_one():
    for code, cause, fix in (
        (errno.ENOSPC, "the disk is full", "mm env prune"),
        (errno.EROFS, "Read-only file system", "MM_HOME"),
        (errno.EIO, "Input/output error", "mm env sync ocr"),
    ):
        error = system_failure(
            OSError(code, os.strerror(code), "/x"),
            subject="it could not be built",
            command="mm env sync ocr",
        )
        assert cause in error.what
        assert fix in error.fix
        assert error.where == "/x"


def test_offline_what_is_not_found_is_not_in_the_cache():
    assert "without --offline" in failure("No solution found", offline=True).fix
    assert "MM_HOME" in failure("No space left on device", offline=True).fix
