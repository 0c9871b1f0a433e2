"""What every worker does, whatever its Python and its way with large buffers."""

import contextlib
import json
import math
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.client.connection import ConnectionLost
from orchestrator.client.launch import WORKER_PACKAGE
from orchestrator.client.supervisors import send_signal, start_time, wait_gone
from orchestrator.client.worker import NotBegun
from orchestrator.errors import (
    Cancelled,
    Crashed,
    JobFailed,
    MachineRefused,
    MMError,
    OutputError,
    Rejected,
    TimedOut,
)
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.worker import capabilities, frames
from orchestrator.worker.supervise import LOG_LIMIT
from tests.machine import only_where, pythons

ODD_RUNNER = Path(__file__).with_name("odd_runner.py")
MIB = 1 << 20
SOON = 30.0
"""Seconds after which a test gives up; nothing is measured."""


LOADED = """
import sys
before = set(sys.modules)
for path in sys.argv[1:]:
    with open(path, "rb") as stream:
        exec(compile(stream.read(), path, "exec"), {"__name__": "other"})
print(*sorted(set(sys.modules) - before - set(sys.builtin_module_names)))
"""


@pytest.mark.parametrize("version", list(pythons()))
def test_a_supervisor_loads_nothing_that_is_not_part_of_an_interpreter(version):
    files = [WORKER_PACKAGE / "__main__.py", WORKER_PACKAGE / "supervise.py"]
    command = [pythons()[version], "-I", "-S", "-c", LOADED, *files]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= {"select"}


def gone(*pids):
    """Wait for the end of processes and return whether it came."""
    until = time.monotonic() + SOON
    return all(wait_gone(pid, start_time(pid), until - time.monotonic()) for pid in pids)


class Ticker:
    """Hears events, and lets a test wait for the first that comes."""

    def __init__(self):
        self.events = []
        self._heard = threading.Event()

    def __call__(self, event):
        self.events.append(event)
        self._heard.set()

    def wait(self):
        assert self._heard.wait(SOON)
        return self.events[0].params.get("text", "")


@contextlib.contextmanager
def running(workers, worker, what, **keys):
    """Run a job in a thread until the body has ended; yields what it says and how it ends."""
    ticker, ends = Ticker(), []
    cancellation = Cancellation()

    def work():
        try:
            ends.append(worker.run(workers.call(what, **keys), cancellation, ticker))
        except (MMError, NotBegun) as error:
            ends.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield ticker, ends, cancellation, thread
    finally:
        worker.record.foreign().end()
        thread.join(SOON)
        cancellation.close()
    assert not thread.is_alive()


def test_a_model_is_loaded_once_and_runs_job_after_job(workers):
    worker = workers.start()
    assert [workers.run(worker, "count") for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.every_python
def test_nothing_that_is_printed_reaches_the_protocol(workers):
    worker = workers.start()
    assert workers.run(worker, "print", n=15) == "done"
    assert workers.run(worker, "streams") == "''"
    log = Path(worker.record.log)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_bytes()
    for line in (b"printed while loading", b"from python", b"from c", b"from the descriptor"):
        assert line in text


FACTS = """
def facts():
    import builtins, json, site, sys
    flags = {name: getattr(sys.flags, name) for name in ("no_site", "isolated", "utf8_mode")}
    return json.dumps([
        sys.path, sys.prefix, sys.base_prefix, sys.executable, sys._xoptions, flags,
        list(sys.flags), repr(sys.flags), sorted(vars(builtins)), site.ENABLE_USER_SITE,
        sys.from_pth, getattr(sys, "from_custom", "the system has its own"),
    ])
"""

SEEN = """
def load(context):
    pass

def run(model, job, *, what):
    import multiprocessing
    if what == "here":
        return {"text": facts()}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        code = FACTS + "import sys; sys.told = facts()"
        pool.apply(exec, (code, {}))
        return {"text": pool.apply(eval, ("__import__('sys').told",))}
"""


@pytest.mark.every_python
def test_a_model_finds_the_interpreter_as_one_of_its_own_would_be(workers):
    venv = workers.root / "venv"
    python = venv / "bin" / "python"
    subprocess.run([workers.spec.python, "-I", "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "x.pth").write_text(f"import sys; sys.from_pth = 1\n{workers.root}\n")
    (packages / "sitecustomize.py").write_text("import sys; sys.from_custom = 1\n")
    command = [python, "-I", "-X", "utf8", "-c", FACTS + "print(facts())"]
    alone = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    worker = workers.start(python=python, runner={"runner.py": FACTS + f"FACTS = {FACTS!r}" + SEEN})
    assert json.loads(workers.run(worker, "here")) == json.loads(alone)
    assert json.loads(workers.run(worker, "spawned")) == json.loads(alone)


def test_the_log_is_cut_while_a_job_fills_it(workers):
    # A supervisor that looks at no log of its own accord: whoever works has to wake it.
    package = workers.root / "drowsy" / "worker"
    shutil.copytree(workers.spec.package, package)
    supervise_py = package / "supervise.py"
    text = supervise_py.read_text()
    assert "IDLE_TICK = 0.05, 2.0" in text
    supervise_py.write_text(text.replace("IDLE_TICK = 0.05, 2.0", "IDLE_TICK = 0.05, 1e6"))
    worker = workers.start(package=package)
    workers.run(worker, "print", n=15)
    until = time.monotonic() + SOON
    while os.path.getsize(worker.record.log) > LOG_LIMIT and time.monotonic() < until:
        time.sleep(0.01)
    assert os.path.getsize(worker.record.log) <= LOG_LIMIT


def test_a_log_that_is_too_long_is_cut_when_its_worker_ends(workers):
    source = (
        "import os\ndef load(c): pass\ndef run(m, j, *, what):\n"
        "    os.write(1, b'x' * 15_000_000 + b'\\nthe end')\n    os._exit(3)"
    )
    worker = workers.start(runner={"runner.py": source})
    with pytest.raises(Crashed, match="exit status 3") as caught:
        workers.run(worker, "x")
    assert caught.value.detail.endswith("x\nthe end")
    assert os.path.getsize(worker.record.log) <= LOG_LIMIT


@pytest.mark.every_python
def test_arrays_arrive_whole_and_read_only(workers):
    worker = workers.start()
    for size in (0, 1, MIB - 1, MIB, 2 * MIB + 3):
        data = memoryview(bytes(range(251)) * (size // 251 + 1))[:size]
        wire = {"buffer": 0, "dtype": "|u1", "shape": [size]}
        said = workers.run(worker, "sum", array=wire, parts=[data])
        assert said == f"{sum(data)} {size}"
        assert not (workers.root / "job").exists() or not os.listdir(workers.root / "job")


def test_a_job_has_a_directory_when_it_asks_for_one(workers):
    worker = workers.start()
    assert worker.run(workers.call("echo")).body["result"]["directory"] is False
    assert not (workers.root / "job").exists()
    answer = worker.run(workers.call("directory")).body["result"]
    assert answer["directory"] is True
    path = os.path.join(answer["outputs"]["text"], "file.txt")
    assert workers.run(worker, "read", path=path) == "made by the job"
    # It stands in nobody's way: its own directory is its HOME.
    assert workers.run(worker, "where") == os.path.realpath(workers.root)


@pytest.mark.every_python
def test_threads_travel_with_the_job(workers):
    worker = workers.start()
    assert workers.run(worker, "threads", terms={"threads": 3}) == "3 3"
    assert workers.run(worker, "threads", terms={"threads": 1}) == "1 1"


def test_chunks_and_progress_come_before_the_answer(workers):
    worker = workers.start()
    events = []
    worker.run(workers.call("stream", n=3), on_event=events.append)
    chunks = [event.params["value"] for event in events if event.kind == "chunk"]
    assert chunks == ["part 0", "part 1", "part 2"]
    last = [event for event in events if event.kind == "progress"][-1]
    assert (last.params["done"], last.params["total"]) == (3, 3)


def test_failures_of_the_runner_cost_no_worker(workers):
    worker = workers.start()
    with pytest.raises(JobFailed, match="ValueError: as asked") as caught:
        workers.run(worker, "raise")
    assert 'raise ValueError("as asked")' in caught.value.detail
    assert "serve.py" not in caught.value.detail
    with pytest.raises(Rejected, match="only haiku"):
        workers.run(worker, "reject")
    with pytest.raises(JobFailed, match="KeyError"):
        workers.run(worker, "no_such_thing")
    assert workers.run(worker, "count") == "4"


ODD = (
    ("nameless", "Nameless: as asked"),
    ("mute", "Mute: (its text cannot be shown: SystemExit)"),
    ("long", "ValueError: as asked"),
    ("surrogate", "ValueError: as asked"),
    ("interrupt", "KeyboardInterrupt"),
    ("exit", "SystemExit: 0"),
    ("recursion", "RecursionError"),
    ("chain", "ValueError: as asked"),
    ("group", "as asked"),
    ("log", "SystemExit: 3"),
    ("progress", "ValueError"),
    ("chunk", "nested more than 200 deep"),
    ("long_chunk", "are allowed"),
    ("long_text", "are allowed"),
    ("nested", "nested more than 200 deep"),
    ("loop", "nested more than 200 deep"),
    ("number", "beyond"),
    ("key", "not JSON"),
    ("deep", "nested more than 200 deep"),
    ("stderr", "ValueError: as asked"),
)
"""What a job of `odd_runner` does, and what is told of it; the last two change their worker."""


@pytest.mark.every_python
def test_whatever_a_job_raises_says_or_returns_fails_that_job_alone(workers):
    worker = workers.start(runner={"runner.py": ODD_RUNNER.read_text(encoding="utf-8")})
    for what, said in ODD:
        with pytest.raises((JobFailed, OutputError)) as caught:
            workers.run(worker, what, n=3000)
        assert said in str(caught.value)
        assert len(str(caught.value)) < 10_000
        assert worker.alive, what
    outputs = worker.run(workers.call("nested", n=200)).body["result"]["outputs"]
    assert outputs["text"] == str(len(ODD) + 1)
    assert str(outputs["json"]) == "[" * 200 + "0" + "]" * 200
    with pytest.raises(OutputError, match="nested more than 200 deep"):
        workers.run(worker, "nested", n=201)


def test_a_result_for_which_there_is_no_room_is_a_failure_and_not_a_silence(workers):
    worker = workers.start(runner={"runner.py": ODD_RUNNER.read_text(encoding="utf-8")})
    with pytest.raises(MachineRefused, match=r"too many files .*no room for 2097152 bytes"):
        workers.run(worker, "no_room")
    assert workers.run(worker, "room") == "2"


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        ("def load(", JobFailed, "SyntaxError"),
        ("import no_such_module", JobFailed, "No module named"),
        ("x = 1", JobFailed, "defines no function load"),
        ("def load(c): raise MemoryError\ndef run(m, j): pass", JobFailed, "MemoryError"),
        ("import sys\nsys.exit(4)", JobFailed, "SystemExit"),
        ("import os\nos._exit(4)", Crashed, "exit status 4"),
    ],
)
def test_a_runner_that_cannot_be_loaded(workers, source, kind, said):
    worker = workers.start(load=False)
    spec = replace(workers.spec, runner={"runner.py": source})
    with pytest.raises(kind, match=said):
        worker.load(workers.load_call(spec))
    assert not worker.alive
    assert gone(worker.record.supervisor)


@pytest.mark.every_python
def test_a_runner_of_many_modules_is_executed_from_memory(workers, tmp_path):
    folder = tmp_path / "runner"
    worker = workers.start(
        runner={
            str(folder / "__init__.py"): "from . import words\ndef load(c): return words\n"
            "def run(model, job, *, what): return {'text': model.say(what)}",
            str(folder / "words.py"): "def say(what):\n    return what.upper() + what.strange\n",
        }
    )
    with pytest.raises(JobFailed, match="'str' object has no attribute 'strange'") as caught:
        workers.run(worker, "x")
    assert "return what.upper() + what.strange" in caught.value.detail
    assert not folder.exists()


def test_a_runner_that_returns_what_was_not_agreed(workers):
    source = "def load(c): return 0\ndef run(m, j, *, what): return {'text': 3}"
    worker = workers.start(runner={"runner.py": source})
    with pytest.raises(OutputError, match="must be text"):
        workers.run(worker, "x")
    assert worker.alive


@pytest.mark.every_python
@pytest.mark.parametrize(
    ("what", "said"),
    [("exit", "exit status 3"), ("kill", "SIGKILL"), ("segv", "SIGSEGV"), ("abort", "SIGABRT")],
)
def test_every_death_is_named_and_leaves_its_last_words(workers, what, said):
    worker = workers.start()
    with pytest.raises(Crashed, match=said) as caught:
        workers.run(worker, what, n=3)
    if what == "exit":
        assert "last words" in caught.value.detail
    if what in ("segv", "abort"):
        assert "Fatal Python error" in caught.value.detail
        assert "do_" + what in caught.value.detail  # the runner's own frame
    assert os.listdir(workers.runtime.path) == []


def test_a_worker_killed_while_a_child_of_its_lives_is_noticed(workers):
    worker = workers.start()
    with running(workers, worker, "children") as (ticker, ends, _, thread):
        pids = [int(word) for word in ticker.wait().split()]
        os.kill(pids[0], signal.SIGKILL)
        thread.join(SOON)
        assert isinstance(ends[0], Crashed)
        assert "SIGKILL" in str(ends[0])
        assert gone(*pids)


@pytest.mark.every_python
@pytest.mark.parametrize("holds", [0, 1])
def test_a_worker_and_its_children_end_with_their_supervisor(workers, holds):
    if holds and not capabilities.GROUP_SIGNALS:
        holds = 0  # a thread cannot run while C code holds the lock; the kernel's way can
    worker = workers.start()
    with running(workers, worker, "children", n=holds) as (ticker, ends, _, thread):
        pids = [int(word) for word in ticker.wait().split()]
        os.kill(worker.record.supervisor, signal.SIGKILL)
        thread.join(SOON)
        assert isinstance(ends[0], Crashed)
        assert gone(*pids)


def test_a_worker_that_left_its_group_ends_with_its_supervisor(workers):
    worker = workers.start()
    with running(workers, worker, "leave") as (ticker, ends, _, thread):
        pid = int(ticker.wait())
        os.kill(worker.record.supervisor, signal.SIGKILL)
        thread.join(SOON)
        assert isinstance(ends[0], Crashed)
        assert gone(pid)


def test_a_death_is_noticed_though_a_child_in_another_session_holds_the_socket(workers):
    worker = workers.start()
    with running(workers, worker, "orphan") as (ticker, ends, _, thread):
        child = int(ticker.wait())
        thread.join(SOON)
        assert isinstance(ends[0], Crashed)
        assert "exit status 4" in str(ends[0])
        os.kill(child, signal.SIGKILL)


@pytest.mark.every_python
@pytest.mark.parametrize(("n", "status"), [(0, "0"), (1, "1"), (2, "7")])
def test_a_child_that_the_runner_forks_is_no_second_worker(workers, n, status):
    worker = workers.start()
    assert workers.run(worker, "fork", n=n) == status
    assert workers.runtime.status(worker.record.id).jobs == 1
    assert workers.run(worker, "count") == "2"


def test_a_failure_that_cannot_be_printed_is_a_failure(workers):
    worker = workers.start()
    with pytest.raises(JobFailed, match="as asked"):
        workers.run(worker, "mute")
    assert workers.run(worker, "count") == "2"


def test_what_a_worker_of_ones_own_says_of_a_line_stops_no_clock(workers):
    worker = workers.start()
    with pytest.raises(TimedOut):
        workers.run(worker, "queue", seconds=0.2)
    assert workers.run(worker, "count") == "2"


def test_a_worker_ends_when_its_client_lets_go(workers):
    worker = workers.start()
    with running(workers, worker, "children", n=1) as (ticker, _, _, _):
        pids = [int(word) for word in ticker.wait().split()]
        os.close(worker._supervisor._lifeline)
        worker._supervisor._lifeline = os.open(os.devnull, os.O_RDONLY)
        assert gone(*pids, worker.record.supervisor)


@pytest.mark.every_python
def test_a_request_to_stop_ends_the_job_and_not_the_worker(workers):
    worker = workers.start()
    cancellation = Cancellation()
    heard = Ticker()

    def listen(event):
        heard(event)
        cancellation.request()

    with pytest.raises(Cancelled):
        worker.run(workers.call("wait"), cancellation, listen, math.inf)
    cancellation.close()
    assert heard.wait() == "waiting"
    assert workers.run(worker, "count") == "2"


@pytest.mark.parametrize("what", ["stubborn", "hold"])
@pytest.mark.parametrize(
    ("requests", "grace", "how"), [(1, 0.1, "after 0.1 seconds"), (2, SOON, "at once")]
)
def test_a_job_that_ignores_a_request_is_ended_after_the_grace_or_a_second_one(
    workers, what, requests, grace, how
):
    worker = workers.start()
    cancellation = Cancellation()

    def ask(event):
        for _ in range(requests):
            cancellation.request()

    with pytest.raises(Cancelled, match=f"its worker was ended {how}"):
        worker.run(workers.call(what), cancellation, ask, grace)
    cancellation.close()
    assert not worker.alive
    assert gone(worker.pid, worker.record.supervisor)


def test_a_deadline_is_a_request_to_stop_and_told_as_such(workers):
    worker = workers.start()
    with pytest.raises(TimedOut, match=r"0\.1 seconds"):
        workers.run(worker, "wait", seconds=0.1)
    assert workers.run(worker, "count") == "2"


def test_a_load_that_takes_too_long_is_ended(workers):
    worker = workers.start(load=False)
    source = "import time\ntime.sleep(600)\ndef load(c): pass\ndef run(m, j): pass"
    call = workers.load_call(replace(workers.spec, runner={"runner.py": source}))
    with pytest.raises(TimedOut, match="to load"):
        worker.load(replace(call, seconds=0.2))
    assert gone(worker.pid)


CHECKS = """
def check(job, *, what, **others):
    if what == "bad":
        job.reject("nothing bad, please")

def load(context):
    assert not context.options, "loaded"

def run(model, job, *, what, **others):
    return {"text": "ran"}
"""


def test_inputs_are_checked_before_a_model_is_loaded_for_them_and_before_each_run(workers):
    spec = replace(workers.spec, runner={"runner.py": CHECKS})
    worker = workers.start(load=False)
    call = workers.load_call(replace(spec, options={"fail": True}))
    call.params["first"] = {"what": "bad"}
    with pytest.raises(Rejected, match="nothing bad, please"):
        worker.load(call)
    assert gone(worker.pid)

    worker = workers.start(load=False)
    call = workers.load_call(spec)
    call.params["first"] = {"what": "good"}
    worker.load(call)
    with pytest.raises(Rejected, match="nothing bad, please"):
        workers.run(worker, "bad")
    assert workers.run(worker, "good") == "ran"


def test_several_clients_are_served_in_order_and_told_their_place(workers):
    first = workers.start()
    second, third = workers.connect(first), workers.connect(first)
    with running(workers, first, "wait") as (ticker, ends, cancellation, thread):
        ticker.wait()
        with running(workers, second, "count") as (told, seconds, _, waiting):
            told.wait()
            with running(workers, third, "count") as (told3, thirds, _, last):
                told3.wait()
                assert told.events[0].params["place"] == 1
                assert told3.events[0].params["place"] == 2
                cancellation.request()
                for each in (thread, waiting, last):
                    each.join(SOON)
                assert isinstance(ends[0], Cancelled)
                answers = [end[0].body["result"]["outputs"]["text"] for end in (seconds, thirds)]
                assert answers == ["2", "3"]
                assert [event.kind for event in told3.events] == ["waiting", "waiting", "started"]


def test_a_job_cancelled_while_it_waits_never_begins(workers):
    first = workers.start()
    second = workers.connect(first)
    with running(workers, first, "wait") as (ticker, _, stop, thread):
        ticker.wait()
        with running(workers, second, "count") as (told, ends, cancellation, waiting):
            told.wait()
            cancellation.request()
            waiting.join(SOON)
            assert isinstance(ends[0], Cancelled)
            stop.request()
            thread.join(SOON)
            assert workers.run(first, "count") == "2"


def test_a_job_cancelled_before_it_begins_never_runs(workers):
    worker = workers.start()
    run = {"id": 1, "method": "run", "params": workers.call("count").params}
    cancel = {"method": "cancel", "params": {"id": 1}}
    hello = {"id": 0, "method": "hello", "params": {"protocol": frames.PROTOCOL}}
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SOON)
        sock.connect(worker.record.socket)
        sock.sendall(frames.encode(hello))
        sock.recv(65536)
        sock.sendall(frames.encode(run) + frames.encode(cancel))  # both are there at once
        (said,) = frames.Decoder().feed(sock.recv(65536))
    assert said.body["error"]["code"] == frames.CANCELLED
    assert workers.run(worker, "count") == "1"


def test_whoever_waits_behind_a_job_that_is_cancelled_moves_up(workers):
    first = workers.start()
    second, third = workers.connect(first), workers.connect(first)
    with running(workers, first, "wait") as (ticker, _, _, _):
        ticker.wait()
        with running(workers, second, "count") as (told, ends, stop, thread):
            told.wait()
            third.connection.send("run", workers.call("count").params)
            assert third.connection.next(time.monotonic() + SOON).params["place"] == 2
            stop.request()
            thread.join(SOON)
            assert isinstance(ends[0], Cancelled)
            assert third.connection.next(time.monotonic() + SOON).params["place"] == 1
            assert workers.runtime.status(first.record.id).waiting == 1


def test_a_client_that_is_lost_cancels_its_job_and_no_other(workers):
    first = workers.start()
    second = workers.connect(first)
    connection = second.connection
    connection.send("run", workers.call("wait").params)
    assert connection.next(time.monotonic() + SOON).kind == "log"
    connection.close()
    assert workers.run(first, "count") == "2"


def test_jobs_that_wait_for_a_worker_that_dies_have_not_begun(workers):
    first = workers.start()
    second = workers.connect(first)
    with running(workers, first, "wait") as (ticker, ends, _, thread):
        ticker.wait()
        with running(workers, second, "count") as (told, waiting, _, other):
            told.wait()
            os.kill(first.pid, signal.SIGKILL)
            thread.join(SOON)
            other.join(SOON)
            assert isinstance(ends[0], Crashed)
            assert isinstance(waiting[0], NotBegun)


def test_a_kept_worker_outlives_its_client_and_ends_after_its_idle_time(workers):
    worker = workers.start(kept=True, keep_alive=600)
    worker.keep()
    other = workers.connect(worker)
    worker.leave()
    assert workers.run(other, "count", terms={"keep_alive": 0}) == "1"
    supervisor = other.record.supervisor
    other.leave()
    assert gone(supervisor)
    assert os.listdir(workers.runtime.path) == []


def test_the_idle_time_of_a_worker_begins_when_its_last_client_leaves(workers):
    worker = workers.start(kept=True, keep_alive=600)
    worker.keep()
    workers.run(worker, "count")
    before = workers.runtime.status(worker.record.id).since
    worker.leave()
    until = time.monotonic() + SOON
    while workers.runtime.status(worker.record.id).since == before:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("days", [25, 36500, 1e300])
def test_a_worker_may_be_kept_for_as_long_as_anyone_likes(workers, days):
    worker = workers.start(kept=True, keep_alive=86400 * days)
    worker.keep()
    for count in range(1, 4):
        other = workers.connect(worker)
        assert workers.run(other, "count") == str(count)
        other.leave()
        worker.leave()


def test_a_worker_that_is_not_kept_has_no_idle_time(workers):
    worker = workers.start()
    assert workers.runtime.status(worker.record.id).keep < 0


def test_the_state_is_there_for_all_to_see(workers):
    worker = workers.start()
    assert workers.runtime.status(worker.record.id).idle
    with running(workers, worker, "wait") as (ticker, _, cancellation, thread):
        ticker.wait()
        found = workers.runtime.status(worker.record.id)
        assert (found.state.label, found.jobs, found.pid) == ("busy", 0, worker.pid)
        cancellation.request()
        thread.join(SOON)
        assert workers.runtime.status(worker.record.id).jobs == 1


def test_a_stopped_worker_cancels_its_job_and_says_so(workers):
    worker = workers.start()
    with running(workers, worker, "stubborn") as (ticker, ends, _, thread):
        ticker.wait()
        worker.record.foreign().end()
        thread.join(SOON)
        assert isinstance(ends[0], Cancelled)
        assert "stopped" in str(ends[0])


def test_a_worker_that_is_stopped_is_asked_before_it_is_killed(workers):
    worker = workers.start()
    worker.record.foreign().end()
    end = json.loads(workers.runtime.end(worker.record.id).read_text())
    assert end == {"exit": None, "signal": signal.SIGTERM, "why": "stopped", "request": 0}


def test_a_stubborn_worker_gains_no_time_by_being_asked_again(workers):
    worker = workers.start()
    supervisor, until = worker.record.supervisor, time.monotonic() + SOON
    began = start_time(supervisor)
    with running(workers, worker, "stubborn") as (ticker, ends, _, thread):
        ticker.wait()
        while send_signal(supervisor, began, signal.SIGTERM):
            assert time.monotonic() < until
            time.sleep(0.05)
        thread.join(SOON)
        assert isinstance(ends[0], Cancelled)


def test_a_thread_of_the_caller_that_ends_takes_no_worker_with_it(workers):
    found = []
    thread = threading.Thread(target=lambda: found.append(workers.start()))
    thread.start()
    thread.join(SOON)
    assert workers.run(found[0], "count") == "1"


def test_sockets_are_the_users_alone(workers):
    worker = workers.start()
    assert stat.S_IMODE(os.stat(worker.record.socket).st_mode) == 0o600
    assert stat.S_IMODE(workers.runtime.record(worker.record.id).stat().st_mode) == 0o600


@pytest.mark.every_python
def test_children_inherit_nothing_and_descriptors_do_not_grow(workers):
    worker = workers.start()
    data = memoryview(bytes(2 * MIB))
    wire = {"buffer": 0, "dtype": "|u1", "shape": [len(data)]}
    counts = []
    for _ in range(3):
        workers.run(worker, "sum", array=wire, parts=[data])
        counts.append(workers.run(worker, "descriptors"))
    assert len(set(counts)) == 1
    # The three streams, the listing's own, and nothing else.
    assert counts[0].split()[1] == "4"


@only_where(capabilities.PROCESS_FILES)
@pytest.mark.every_python
def test_a_worker_executes_its_interpreter_again_where_a_fork_does_not_suffice(workers):
    worker = workers.start(load=False)
    command = Path(f"/proc/{worker.pid}/cmdline").read_bytes().split(b"\0")
    again = any(word.startswith(b"supervisor=") for word in command)
    assert again is not capabilities.PLAIN_FORKS
    supervisor = Path(f"/proc/{worker.record.supervisor}/cmdline").read_bytes().split(b"\0")
    assert command[: len(supervisor) - 1] == supervisor[:-1]


@pytest.mark.parametrize("lacks", ["client", "worker"])
def test_large_buffers_reach_a_side_that_has_no_memory_files(
    workers, portable_package, monkeypatch, lacks
):
    if lacks == "client":
        monkeypatch.setattr(capabilities, "MEMORY_FILES", False)
        worker = workers.start()
    else:
        worker = workers.start(package=portable_package)
    data = memoryview(bytes([1]) * (2 * MIB))
    wire = {"buffer": 0, "dtype": "|u1", "shape": [len(data)]}
    assert workers.run(worker, "sum", array=wire, parts=[data]) == f"{2 * MIB} {2 * MIB}"


NOISE = (
    b"\xff\xff\xff\xff",
    b"\0\0\0\x02[]",
    b"\0\0\0\x0c" + b'{"jsonrpc":}',
    frames.encode({"id": 1, "method": "run", "params": {}}),
    frames.encode({"id": 1, "method": ["hello"], "params": {}}),
    frames.encode({"id": [], "method": "hello", "params": {}}),
    frames.encode({"id": 1, "method": "hello", "params": 3}),
    frames.encode({"id": 1, "method": "hello", "params": {}, "buffers": [{"memory": 5}]}),
)


def test_a_client_that_breaks_the_protocol_loses_its_connection_and_nobody_elses(workers):
    worker = workers.start()
    for noise in NOISE:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(SOON)
        sock.connect(worker.record.socket)
        sock.sendall(noise)
        decoder, said = frames.Decoder(), []
        while data := sock.recv(65536):
            said += decoder.feed(data)
        sock.close()
        assert said, noise
        assert all("error" in each.body for each in said)
    assert workers.run(worker, "count") == "1"


def test_requests_of_the_wrong_form_are_refused_and_the_connection_lives(workers):
    worker = workers.start()
    connection = worker.connection
    wrong = {
        "run": {"inputs": [], "directory": ""},
        "load": {"runner": 3},
        "dance": {},
    }
    for method, params in wrong.items():
        connection.send(method, params)
        with pytest.raises(Exception, match=r"needs|no method") as caught:
            connection.next(time.monotonic() + SOON)
        assert caught.value.code in (frames.INVALID_PARAMS, frames.METHOD_NOT_FOUND)
    connection.send("load", workers.load_call().params)
    with pytest.raises(Exception, match="loaded already"):
        connection.next(time.monotonic() + SOON)
    assert workers.run(worker, "count") == "1"


@pytest.mark.every_python
def test_a_shutdown_in_order(workers):
    worker = workers.start()
    worker.connection.send("shutdown", {})
    assert worker.connection.next(time.monotonic() + SOON).body["result"] == {}
    with pytest.raises(ConnectionLost):
        worker.connection.next(time.monotonic() + SOON)
    assert gone(worker.pid, worker.record.supervisor)
