"""Workers that stay after `mm run`: found again, shown, shared, stopped and never stale."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.async_session import AsyncSession
from orchestrator.workspace import Workspace
from tests.integration.conftest import MM

KEPT = {"MM_KEEP_ALIVE": "10m"}

RUNNERS = {
    "keeps": """
        import ctypes, os, time
        def load(context):
            print("the model is loaded")
            context.log("loading")
            return os.getpid()
        def run(model, job, *, text):
            if text == "wait":
                job.progress(0, 1, "waiting")
                while not job.cancelled:
                    time.sleep(0.01)
            if text == "hold":  # the interpreter's lock, in C code
                job.progress(0, 1, "holding")
                ctypes.PyDLL(None).sleep(600)
            if text == "big":
                job.progress(0, 1, "answering")
                time.sleep(0.5)
                return {"text": "x" * 5_000_000}
            if text == "pass":
                return {"text": ",".join(sorted(os.environ))}
            return {"text": str(model)}
        """,
    "streams": """
        import time
        def load(context): ...
        def run(model, job, *, text):
            job.emit("text", "one ")
            job.emit("text", "two")
            job.progress(1, 2, "streamed")
            while not job.cancelled:
                time.sleep(0.01)
        """,
    "crashes-once": """
        import os, pathlib
        def load(context): ...
        def run(model, job, *, text):
            flag = pathlib.Path(text)
            if flag.exists():
                return {"text": "the second time"}
            flag.touch()
            os._exit(9)
        """,
}


@pytest.fixture(scope="module")
def manifests(declare):
    return declare(RUNNERS)


@pytest.fixture
def run(mm, manifests):
    """Return a function that runs `mm` on the models above; every worker ends with the test."""

    def run(*arguments, **keywords):
        keywords["variables"] = {**KEPT, **keywords.get("variables", {})}
        return mm("--manifests", manifests, *arguments, **keywords)

    yield run
    mm("stop", "--all")


def workers(run):
    return json.loads(run("ps", "--json").out)["workers"]


def test_the_second_run_finds_the_worker_of_the_first(run):
    first = run("run", "keeps", "--text", "a")
    assert first.code == 0, first
    assert run("run", "keeps", "--text", "b").out == first.out
    (worker,) = workers(run)
    assert worker["model"] == "keeps"
    assert str(worker["pid"]) == first.out.strip()
    assert (worker["state"], worker["jobs"], worker["device"]) == ("idle", 2, "cpu")
    assert worker["memory"] > 1_000_000
    assert 0 < worker["left"] <= 600
    shown = run("ps").out
    assert "keeps" in shown
    assert "idle" in shown


@pytest.fixture
def kept_session(manifests, workplace, tmp_path):
    variables = {**os.environ, **workplace}
    return AsyncSession(kept=True, workspace=Workspace(variables, tmp_path, (manifests,)))


def test_an_asyncio_session_shares_the_workers_of_commands(run, kept_session):
    async def main():
        async with kept_session as mm:
            assert (await mm.run("keeps", text="a"))["text"] == first
            task = asyncio.create_task(mm.run("keeps", text="wait"))
            while workers(run)[0]["state"] != "busy":
                await asyncio.sleep(0.01)
            queued = asyncio.create_task(mm.run("keeps", text="b"))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await queued)["text"] == first

    first = run("run", "keeps", "--text", "a").out.strip()
    asyncio.run(main())
    (worker,) = workers(run)
    assert (str(worker["pid"]), worker["state"]) == (first, "idle")


def test_a_command_finds_the_worker_of_an_asyncio_session(run, kept_session):
    async def main():
        async with kept_session as mm:
            return (await mm.run("keeps", text="a"))["text"]

    first = asyncio.run(main())
    assert run("run", "keeps", "--text", "a").out.strip() == first


def test_the_log_of_a_worker_is_printed(run):
    run("run", "keeps", "--text", "a")
    assert "the model is loaded" in run("logs", "keeps").out
    run("stop", "keeps")
    assert "the model is loaded" in run("logs", "keeps", "--follow").out  # it has ended
    assert run("logs", "crashes-once").code == 2
    assert run("logs", "no-such-model").code == 2


def test_how_long_it_stays_is_the_word_of_the_last_who_said_one(run):
    run("run", "keeps", "--text", "a", variables={"MM_KEEP_ALIVE": ""})
    (worker,) = workers(run)
    assert worker["keep_alive"] == 300  # the manifest's
    for said, seconds in (("36500d", 36500 * 86400), ("forever", None), ("1h", 3600)):
        run("run", "keeps", "--text", "a", "--keep-alive", said)
        assert workers(run)[0].get("keep_alive") == seconds
        run("run", "keeps", "--text", "a", variables={"MM_KEEP_ALIVE": ""})
        (found,) = workers(run)
        assert (found.get("keep_alive"), found["pid"]) == (seconds, worker["pid"])
    bad = run("run", "keeps", "--text", "a", "--keep-alive", "soon")
    assert bad.code == 2
    assert "--keep-alive" in bad.sentence
    assert (
        "MM_KEEP_ALIVE"
        in run("run", "keeps", "--text", "a", variables={"MM_KEEP_ALIVE": "soon"}).sentence
    )


def test_load_has_a_worker_ready_before_its_first_job(run):
    loaded = run("load", "keeps")
    assert (loaded.code, loaded.out) == (0, "")
    (worker,) = workers(run)
    assert (worker["model"], worker["state"], worker["jobs"]) == ("keeps", "idle", 0)
    assert run("load", "try-keeps", "-q").err == ""
    assert run("run", "keeps", "--text", "a").out.strip() == str(worker["pid"])
    (worker,) = workers(run)
    assert worker["jobs"] == 1


def test_load_has_so_many_workers_ready_and_says_how_long_they_stay(run):
    run("load", "keeps")
    assert run("load", "keeps", "--workers", "2", "--keep-alive", "1h").code == 0
    found = workers(run)
    assert [worker["keep_alive"] for worker in found] == [3600, 3600]
    assert run("run", "keeps", "--text", "a").out.strip() in {str(each["pid"]) for each in found}
    assert len(workers(run)) == 2
    assert run("stop", "keeps").code == 0
    assert workers(run) == []


def test_load_is_refused_where_nothing_would_stay(run):
    refused = run("load", "keeps", "--keep-alive", "0")
    assert (refused.code, workers(run)) == (2, [])
    assert "would end at once; add --keep-alive 10m" in refused.sentence


def test_stop_ends_what_is_named_and_nothing_else(run):
    run("run", "keeps", "--text", "a")
    assert run("stop").code == 2
    assert run("stop", "keeps", "--all").code == 2
    assert run("stop", "no-such-model").code == 2
    assert "no worker of streams" in run("stop", "streams").err
    assert len(workers(run)) == 1
    assert run("stop", "keeps").code == 0
    assert workers(run) == []
    assert "no worker" in run("stop", "--all").err


def test_uninstall_names_the_command_that_ends_workers(run):
    run("run", "keeps", "--text", "a")
    ended = run("uninstall", "--yes")
    assert ended.code == 3
    assert "mm stop --all" in ended.sentence


def test_an_edited_runner_meets_no_stale_worker(run, manifests):
    first = run("run", "keeps", "--text", "a").out
    runner = manifests.parent / "envs" / "keeps" / "runner.py"
    before = runner.read_text()
    runner.write_text(before + "\n# edited\n")
    try:
        assert run("run", "keeps", "--text", "a").out != first
        assert len(workers(run)) == 2
    finally:
        runner.write_text(before)
    assert run("run", "keeps", "--text", "a").out == first


def test_two_runs_at_the_same_instant_load_one_model(run):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(run("run", "keeps", "--text", "a").out))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert workers(run)[0]["jobs"] == 3


def test_runs_that_begin_and_end_at_once_do_not_disturb_each_other(run, workplace):
    jobs = Path(workplace["MM_HOME"], "jobs")
    run("run", "keeps", "--text", "a")
    for number in range(200):  # each run removes what killed ones have left
        (jobs / f"left-{number}" / "1").mkdir(parents=True)
    with ThreadPoolExecutor(12) as pool:
        ends = list(pool.map(lambda _: run("run", "keeps", "--text", "a"), range(24)))
    assert [end for end in ends if end.code != 0] == []
    assert list(jobs.iterdir()) == []


def test_what_another_user_left_stops_no_run(run, workplace):
    """As after `sudo mm run`; files that their owner may not write stand for those of another."""
    home = Path(workplace["MM_HOME"])
    run("run", "keeps", "--text", "a", "--keep-alive", "0")
    (home / "jobs" / "foreign").mkdir()
    foreign = [home / "jobs" / "foreign", *home.joinpath("locks").iterdir()]
    for path in foreign:
        path.chmod(0o000 if path.is_dir() else 0o444)
    try:
        ended = run("run", "keeps", "--text", "a", "--keep-alive", "0", unprivileged=True)
        assert ended.code == 0, ended
    finally:
        for path in foreign:
            path.chmod(0o700 if path.is_dir() else 0o644)
        shutil.rmtree(home / "jobs" / "foreign")


def popen(workplace, manifests, *arguments):
    return subprocess.Popen(
        [*MM, "--manifests", str(manifests), "run", *arguments],
        env={**os.environ, **workplace, **KEPT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_after_a_cancelled_job_the_worker_answers_the_next(run, workplace, manifests):
    first = run("run", "keeps", "--text", "a").out
    process = popen(workplace, manifests, "keeps", "--text", "wait")
    next(line for line in process.stderr if "waiting" in line)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "cancelled" in err
    assert run("run", "keeps", "--text", "a").out == first


def test_a_client_killed_in_a_job_cancels_it_and_leaves_the_worker(run, workplace, manifests):
    first = run("run", "keeps", "--text", "a").out
    process = popen(workplace, manifests, "keeps", "--text", "wait")
    next(line for line in process.stderr if "waiting" in line)
    process.kill()
    process.communicate()
    assert run("run", "keeps", "--text", "a").out == first


def test_a_client_that_is_stopped_and_continued_gets_its_answer_and_costs_no_one_anything(
    run, workplace, manifests
):
    first = run("run", "keeps", "--text", "a").out
    stopped = popen(workplace, manifests, "keeps", "--text", "big")
    next(line for line in stopped.stderr if "answering" in line)
    stopped.send_signal(signal.SIGSTOP)
    assert run("run", "keeps", "--text", "a").out == first
    other = popen(workplace, manifests, "keeps", "--text", "wait")
    next(line for line in other.stderr if "waiting" in line)
    stopped.send_signal(signal.SIGCONT)
    out, err = stopped.communicate(timeout=60)
    assert (stopped.returncode, len(out)) == (0, 5_000_001), err
    other.send_signal(signal.SIGINT)
    _, err = other.communicate(timeout=60)
    assert (other.returncode, "was cancelled\n" in err) == (130, True)
    assert run("run", "keeps", "--text", "a").out == first


def test_a_worker_that_cannot_answer_is_waited_for_no_longer_than_was_asked(
    run, workplace, manifests
):
    busy = popen(workplace, manifests, "keeps", "--text", "hold")
    next(line for line in busy.stderr if "holding" in line)
    ended = run("run", "keeps", "--text", "a", "--timeout", "2")
    assert ended.code == 6
    assert "mm: keeps: waiting for its worker, which is busy\n" in ended.err
    assert "within 2 seconds: it was waiting for its worker, which is busy" in ended.sentence
    (worker,) = workers(run)
    assert worker["state"] == "busy"
    run("stop", "keeps")
    busy.communicate(timeout=60)
    assert busy.returncode == 130


def test_whoever_waits_for_a_busy_worker_is_told(run, workplace, manifests):
    busy = popen(workplace, manifests, "keeps", "--text", "wait")
    next(line for line in busy.stderr if "waiting" in line)
    second = popen(workplace, manifests, "keeps", "--text", "a")
    told = next(line for line in second.stderr if "before this job" in line)
    assert "1 before this job" in told
    assert workers(run)[0]["waiting"] == 1
    busy.send_signal(signal.SIGINT)
    busy.communicate(timeout=60)
    out, _ = second.communicate(timeout=60)
    assert out.strip().isdigit()


def test_a_stopped_worker_cancels_the_job_of_its_client(run, workplace, manifests):
    process = popen(workplace, manifests, "keeps", "--text", "wait")
    next(line for line in process.stderr if "waiting" in line)
    run("stop", "keeps")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in err


def test_what_was_streamed_before_the_end_is_kept_and_named(run, workplace, tmp_path):
    target = tmp_path / "out.txt"
    ended = run("run", "streams", "--text", "x", "--timeout", "1", "-o", str(target))
    assert ended.code == 6
    assert not target.exists()
    kept = tmp_path / "out.partial.txt"
    assert str(kept) in ended.err
    assert kept.read_text() == "one two\n"
    printed = run("run", "streams", "--text", "x", "--timeout", "1")
    assert printed.out == ""
    (path,) = [word for word in printed.err.split() if "partial" in word]
    assert path.startswith(workplace["MM_HOME"])
    with open(path) as stream:
        assert stream.read() == "one two\n"


def test_a_job_is_tried_again_when_its_worker_crashes(run, tmp_path):
    flag = tmp_path / "flag"
    assert run("run", "crashes-once", "--text", str(flag)).code == 5
    flag.unlink()
    ended = run("run", "crashes-once", "--text", str(flag), "--retries", "1")
    assert (ended.code, ended.out) == (0, "the second time\n")
    assert "trying again" in ended.err


def test_no_secret_of_the_user_reaches_a_worker(run):
    secrets = {"HF_TOKEN": "s", "AWS_SECRET_ACCESS_KEY": "s", "MY_API_KEY": "s", "OMP_X_TOKEN": "s"}
    names = run("run", "keeps", "--text", "pass", variables=secrets).out.strip().split(",")
    assert "PATH" in names
    assert not set(secrets) & set(names)


def test_nothing_is_left_when_client_and_worker_are_killed(run, workplace, manifests):
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else "/tmp"
    before = set(os.listdir(shared))
    process = popen(workplace, manifests, "keeps", "--text", "wait", "--keep-alive", "0")
    next(line for line in process.stderr if "waiting" in line)
    (worker,) = workers(run)
    process.kill()
    process.communicate()
    until = time.monotonic() + 30
    while workers(run) and time.monotonic() < until:
        time.sleep(0.05)
    assert workers(run) == []
    with pytest.raises(ProcessLookupError):
        os.kill(worker["pid"], 0)
    assert set(os.listdir(shared)) - before == set()
    run("run", "keeps", "--text", "a", "--keep-alive", "0")  # the next command sweeps
    assert os.listdir(os.path.join(workplace["MM_HOME"], "jobs")) == []
