"""Records, states and sockets in `MM_RUNTIME_DIR`."""

import os
import stat
import tempfile
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.client.runtime import (
    ENDS_KEPT,
    RuntimeDirectory,
    WorkerRecord,
    chosen_directory,
    runtime_directory,
)
from orchestrator.client.supervisors import start_time
from orchestrator.errors import UsageError
from orchestrator.worker import state
from orchestrator.worker.state import WorkerState


@pytest.fixture
def runtime(tmp_path):
    return RuntimeDirectory(tmp_path)


@pytest.fixture
def record(tmp_path):
    """The record of a worker whose supervisor is this very process."""
    return WorkerRecord(
        id="0123456789ab",
        model="m",
        supervisor=os.getpid(),
        started=start_time(os.getpid()),
        environment="e",
        socket="s",
        log="l",
        oom=("/x", 3),
    )


def test_a_record_comes_back_as_it_was_and_is_the_users_alone(runtime, record):
    runtime.write(record)
    assert list(runtime.records()) == [record]
    assert stat.S_IMODE(runtime.record(record.id).stat().st_mode) == 0o600


def test_the_record_of_a_process_that_is_gone_or_another_is_removed(runtime, record):
    runtime.write(replace(record, id="a" * 12, started="long ago"))
    runtime.write(replace(record, id="b" * 12, supervisor=2**22 + 1))
    runtime.socket("a" * 12).touch()
    (runtime.path / f"{'a' * 12}.modules" / "transformers_modules").mkdir(parents=True)
    assert list(runtime.records()) == []
    assert os.listdir(runtime.path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 3}', '{"id": "x"}'])
def test_a_damaged_record_counts_as_absent(runtime, record, text):
    runtime.record("c" * 12).write_text(text)
    runtime.write(record)
    assert list(runtime.records()) == [record]


def test_a_state_is_read_without_asking_the_worker(runtime, record):
    numbers = [11, 5, 1, 2.5, 300, 9.0, 0, WorkerState.IDLE]
    runtime.state_file(record.id).write_bytes(state.encode(numbers))
    found = runtime.status(record.id)
    assert (found.pid, found.jobs, found.waiting, found.state) == (11, 5, 1, WorkerState.IDLE)
    assert not found.idle  # somebody waits
    assert runtime.status("none").state is WorkerState.NEW


def test_what_cannot_be_removed_is_passed_over(runtime, record):
    runtime.write(record)
    runtime.write(replace(record, id="a" * 12, started="long ago"))
    runtime.socket("a" * 12).mkdir()  # no unlink removes it
    assert list(runtime.records()) == [record]
    assert not runtime.record("a" * 12).exists()
    assert RuntimeDirectory(runtime.path / "gone").sweep() == set()


def test_what_is_old_and_nobodys_is_swept(runtime, record):
    runtime.write(record)
    old, new, alive = (runtime.end(name) for name in ("d" * 12, "e" * 12, record.id))
    for path in (old, new, alive):
        path.touch()
    modules = runtime.path / f"{'d' * 12}.modules"
    modules.mkdir()
    (modules / "copied.py").touch()
    long_ago = time.time() - ENDS_KEPT - 1
    for path in (old, alive, modules):
        os.utime(path, (long_ago, long_ago))
    (runtime.path / "something-else").touch()
    os.utime(runtime.path / "something-else", (long_ago, long_ago))
    assert runtime.sweep() == {record.id}
    assert not old.exists()
    assert not modules.exists()
    assert new.exists()
    assert alive.exists()
    assert (runtime.path / "something-else").exists()


def test_the_directory_is_made_private(tmp_path):
    found = runtime_directory({"MM_RUNTIME_DIR": str(tmp_path / "new")})
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o700


def test_one_that_others_may_read_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(UsageError, match="chmod 700"):
        runtime_directory({"MM_RUNTIME_DIR": str(tmp_path / "open")})


def test_a_link_to_a_directory_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(UsageError, match="belong to you"):
        runtime_directory({"MM_RUNTIME_DIR": str(tmp_path / "link")})


def test_a_path_too_long_for_a_socket_is_refused(tmp_path):
    with pytest.raises(UsageError, match="shorter"):
        runtime_directory({"MM_RUNTIME_DIR": str(tmp_path / ("x" * 100))})


@pytest.fixture
def linux(monkeypatch):
    """The system has no such directory of its own for each user."""
    monkeypatch.setattr(os, "confstr", lambda _: None)


def test_a_long_temporary_directory_is_passed_over(linux, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(long_directory(tmp_path)))
    short = Path("/tmp", f"mm-{os.getuid()}")
    for variables in ({}, {"XDG_RUNTIME_DIR": str(long_directory(tmp_path))}):
        assert chosen_directory(variables) == short


def test_a_short_temporary_directory_is_taken(linux, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/short")
    assert chosen_directory({}) == Path("/short", f"mm-{os.getuid()}")


@pytest.fixture
def macos(monkeypatch):
    """The system has a directory for temporary files of each user, as macOS has."""

    def confstr(number):
        assert number == 65537
        return "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/"

    monkeypatch.setattr(os, "confstr", confstr)


@pytest.mark.parametrize("shell", ["/short", "/private/tmp/nix-shell.x", "/var/folders/zz/other/T"])
def test_where_temporary_directories_differ_sockets_lie_in_the_home(macos, monkeypatch, shell):
    monkeypatch.setattr(tempfile, "tempdir", shell)
    assert chosen_directory({"MM_HOME": "/Users/li/mm"}) == Path("/Users/li/mm/run")


def test_and_where_its_path_is_too_long_in_the_users_own_directory(macos, tmp_path):
    found = chosen_directory({"MM_HOME": str(tmp_path / ("x" * 100))})
    own = Path("/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T")
    assert found == own / f"mm-{os.getuid()}"


def test_a_long_directory_that_was_asked_for_is_refused(tmp_path):
    with pytest.raises(UsageError, match="set MM_RUNTIME_DIR to a shorter one"):
        runtime_directory({"MM_RUNTIME_DIR": str(long_directory(tmp_path))})


def long_directory(root):
    path = root / ("x" * 100)
    path.mkdir(exist_ok=True)
    return path


def test_a_directory_that_was_removed_is_made_again_for_the_next_worker(tmp_path):
    runtime = RuntimeDirectory(tmp_path / "run")
    with runtime.starting():
        assert stat.S_IMODE(runtime.path.stat().st_mode) == 0o700
    runtime.path.chmod(0o777)
    with pytest.raises(UsageError), runtime.starting():
        pass
