"""How children are ended: asked first, given time, then killed and reaped."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from orchestrator.client.supervisors import ForeignProcess, is_alive, start_time
from orchestrator.errors import Cancelled
from orchestrator.system.processes import Children, ProcessError, run, run_logged, stop

SOON = 30.0
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
ORDERLY = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
WAIT = "print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def child():
    """Return a function that starts a child and waits until it is ready."""
    started = []

    def child(code):
        process = subprocess.Popen(command(code), stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield child
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def command(code):
    return [sys.executable, "-I", "-S", "-c", code]


def test_a_child_ends_in_its_own_way_when_it_is_asked(child):
    process = child(ORDERLY + WAIT)
    stop(process, SOON)
    assert process.returncode == 7


def test_a_child_that_ignores_the_request_is_killed_and_reaped(child):
    process = child(STUBBORN + WAIT)
    stop(process, 0.1)
    assert process.returncode == -signal.SIGKILL


def test_a_child_that_has_ended_is_sent_nothing(child):
    process = child("print('ready', flush=True); raise SystemExit(3)")
    process.wait(SOON)
    stop(process)
    assert process.returncode == 3


def test_so_is_the_supervisor_of_another_client(child):
    process = child(STUBBORN + WAIT)
    ForeignProcess(process.pid, start_time(process.pid)).end()
    assert process.wait(SOON) == -signal.SIGKILL


def test_a_tool_that_does_not_answer_is_ended():
    with pytest.raises(ProcessError, match=r"ended with|no answer") as caught:
        run(command("import time; time.sleep(60)"), variables={}, timeout=0.2)
    assert "no answer within 0.2 seconds" in caught.value.detail
    assert caught.value.returncode == -signal.SIGTERM


@pytest.fixture
def logged(tmp_path):
    """Return a function that runs a child, whose first line, its id, goes to `on_line`."""

    def logged(on_line, children=None):
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        run_logged(
            command(code), variables={}, log=tmp_path / "log", on_line=on_line, children=children
        )

    return logged


def test_a_tool_is_ended_with_the_work_that_it_was_for(logged):
    found = []

    def fail(line):
        found.append((int(line), start_time(int(line))))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        logged(fail)
    ((pid, began),) = found
    assert began
    assert not is_alive(pid, began)


def test_children_that_are_stopped_end_and_no_other_starts(logged):
    children, running, ends = Children(), threading.Event(), []

    def work():
        try:
            logged(lambda _: running.set(), children)
        except Cancelled as error:
            ends.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    assert running.wait(SOON)
    children.stop()
    thread.join(SOON)
    assert ends == [f"{sys.executable} was stopped"]
    with pytest.raises(Cancelled, match="stopped before its next step"):
        logged(lambda _: None, children)


def test_what_a_tool_says_loses_its_credentials(tmp_path):
    lines, log = [], tmp_path / "log"
    code = "print('from https://u:hunter2@host/x'); raise SystemExit(3)"
    with pytest.raises(ProcessError) as caught:
        run_logged(command(code), variables={}, log=log, on_line=lines.append)
    for kept in (lines[0], log.read_text().strip(), caught.value.detail):
        assert kept == "from https://***@host/x"
    with pytest.raises(ProcessError) as caught:
        run(command(code), variables={})
    assert caught.value.detail == "from https://***@host/x"


def test_a_log_that_is_a_pipe_is_not_waited_for(tmp_path):
    log = tmp_path / "log"
    os.mkfifo(log)
    with pytest.raises(OSError, match="Not a regular file"):
        run_logged(command("pass"), variables={}, log=log, on_line=print)
