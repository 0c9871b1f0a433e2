"""How jobs end, through the command line: every way in which a runner can misbehave."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from tests.integration.conftest import MM

RUNNERS = {
    "good": """
        def load(context):
            return "loaded"
        def run(model, job, *, text):
            return {"text": f"{model}: {text}"}
        """,
    "raises-at-import": "import nothing_of_that_name\n",
    "raises-in-load": """
        def load(context):
            raise RuntimeError("no weights\\nof any kind")
        def run(model, job, *, text): ...
        """,
    "says-much": """
        def load(context): ...
        def run(model, job, *, text):
            for _ in range(3):
                job.log("the same line")
            raise ValueError("x" * 10_000_000)
        """,
    "raises-in-run": """
        def load(context): ...
        def run(model, job, *, text):
            raise ValueError("seven is no colour")
        """,
    "has-no-run": "def load(context): ...\n",
    "leaves-by-exit": """
        import sys
        def load(context): ...
        def run(model, job, *, text):
            sys.exit(4)
        """,
    "leaves-at-once": """
        import os
        def load(context): ...
        def run(model, job, *, text):
            print("about to leave")
            os._exit(3)
        """,
    "crashes": """
        import os, signal
        def load(context): ...
        def run(model, job, *, text):
            os.kill(os.getpid(), signal.SIGSEGV)
        """,
    "returns-a-number": """
        def load(context): ...
        def run(model, job, *, text):
            return {"text": 7}
        """,
    "returns-nothing": """
        def load(context): ...
        def run(model, job, *, text): ...
        """,
    "returns-too-much": """
        def load(context): ...
        def run(model, job, *, text):
            return {"text": text, "surprise": 1}
        """,
    "returns-bad-sound": """
        def load(context): ...
        def run(model, job, *, text):
            return {"text": text, "sound": ([0.0, 1.0], 24000)}
        """,
    "returns-noise": """
        from array import array
        def load(context): ...
        def run(model, job, *, text):
            return {"text": text, "sound": (array("f", [float("nan")] * 24000), 24000)}
        """,
    "returns-it-transposed": """
        from array import array
        def load(context): ...
        def run(model, job, *, text):
            samples = memoryview(array("f", [0.5] * 24000)).cast("B").cast("f", (1, 24000))
            return {"text": text, "sound": (samples, 24000)}
        """,
    "returns-silence": """
        from array import array
        def load(context): ...
        def run(model, job, *, text):
            job.warn("cut off at its limit of tokens")
            return {"text": text, "sound": (array("h", [0] * 24000), 24000)}
        """,
    "names-a-file-elsewhere": """
        def load(context): ...
        def run(model, job, *, text):
            return {"text": text, "sound": "/etc/hostname"}
        """,
    "prints-a-lot": """
        import os, sys
        def load(context): ...
        def run(model, job, *, text):
            for _ in range(100):
                print("x" * 1_000_000)
            os.write(1, b"and past sys.stdout\\n")
            print(sys.stdin.read(), file=sys.stderr)
            return {"text": text}
        """,
    "rejects": """
        def load(context): ...
        def run(model, job, *, text):
            try:
                job.reject("only haiku, please")
            except Exception:
                return {"text": "swallowed"}
        """,
    "waits": """
        import time
        def load(context): ...
        def run(model, job, *, text):
            job.progress(0, 1, "waiting")
            while not job.cancelled:
                time.sleep(0.01)
            return {"text": "cancelled"}
        """,
    "ignores-everything": """
        import signal, time
        def load(context):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
        def run(model, job, *, text):
            job.progress(0, 1, "waiting")
            while not job.cancelled:
                time.sleep(0.01)
            job.log("asked to stop")
            while True:
                time.sleep(1)
        """,
}


@pytest.fixture(scope="module")
def models(declare):
    """A directory of manifests, one for each of `RUNNERS`."""
    return declare(RUNNERS)


@pytest.fixture
def apart(workplace):
    """The shared home with a runtime directory of this test's own, to see what is left in it."""
    with tempfile.TemporaryDirectory(prefix="mm-test-") as directory:
        yield {**workplace, "MM_RUNTIME_DIR": directory}


@pytest.fixture
def run(mm, models):
    """Return a function that runs one of the models on a text."""

    def run(name, *more, **keywords):
        return mm("--manifests", models, "run", name, "--text", "abc", *more, **keywords)

    return run


def test_a_good_runner_prints_its_text_and_nothing_more(run):
    ended = run("good")
    assert (ended.code, ended.out) == (0, "loaded: abc\n"), ended


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("raises-at-import", 1, "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raises-in-load", 1, "RuntimeError: no weights"),
        ("raises-in-run", 1, "ValueError: seven is no colour"),
        ("has-no-run", 1, "defines no function run"),
        ("leaves-by-exit", 1, "SystemExit: 4"),
        ("leaves-at-once", 5, "ended with exit status 3"),
        ("crashes", 5, "killed by SIGSEGV"),
        ("returns-a-number", 1, "output 'text' must be text, and run returned an int"),
        ("returns-nothing", 1, "run must return a dict of its outputs"),
        ("returns-too-much", 1, "run returned 'surprise'"),
        ("returns-bad-sound", 1, "output 'sound'"),
        ("returns-noise", 1, "output 'sound' holds nan, which is no sample, at frame 0 of 24000"),
        ("returns-it-transposed", 1, "output 'sound' has the shape 1 x 24000"),
        ("names-a-file-elsewhere", 1, "output 'sound'"),
        ("rejects", 2, "only haiku, please"),
    ],
)
def test_every_bad_end_has_its_code_and_one_sentence(run, name, code, said):
    ended = run(name)
    assert ended.code == code, ended
    assert ended.out == ""
    assert said in ended.sentence
    assert name in ended.sentence
    assert ended.sentence.startswith("mm: ")
    assert "Traceback (most" not in ended.err or name == "crashes"


def test_what_a_result_may_not_be_is_said_in_a_line_and_in_the_receipt(run, tmp_path):
    ended = run("returns-silence", "-o", "sound=x.wav", "--json")
    assert ended.code == 0, ended
    warnings = json.loads(ended.out)["receipt"]["warnings"]
    assert warnings == [
        "cut off at its limit of tokens",
        "nothing can be heard in the output 'sound': it is silent throughout",
    ]
    for warning in warnings:
        assert ended.err.count(f"mm: returns-silence: {warning}\n") == 1
    assert (tmp_path / "x.wav").stat().st_size == 44 + 48000


def test_the_traceback_is_for_debug(run):
    ended = run("raises-in-run", "--debug")
    assert ended.code == 1
    assert 'runner.py", line' in ended.err
    assert 'raise ValueError("seven is no colour")' in ended.err


def test_a_line_is_no_longer_than_anybody_reads_and_none_is_left_out(run):
    ended = run("says-much")
    assert ended.code == 1
    assert ended.err.count("the same line") == 3
    assert len(ended.err) < 5000


def test_an_interrupt_while_the_modules_are_read_is_no_traceback():
    program = """if True:
        import sys
        class Interrupts:
            def find_spec(self, name, *rest):
                if name == "click":
                    raise KeyboardInterrupt
        sys.modules.pop("click", None)
        sys.meta_path.insert(0, Interrupts())
        from orchestrator.cli import main
    """
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 130
    assert ended.stderr == "mm: interrupted\n"


def test_a_crash_shows_the_end_of_the_log(run):
    ended = run("leaves-at-once")
    assert "about to leave" in ended.err


def test_printing_a_hundred_megabytes_is_no_error_and_the_log_stays_bounded(run, workplace):
    ended = run("prints-a-lot")
    assert (ended.code, ended.out) == (0, "abc\n"), ended
    logs = os.path.join(workplace["MM_HOME"], "logs", "workers")
    sizes = [entry.stat().st_size for entry in os.scandir(logs)]
    assert max(sizes) < 110_000_000


def test_json_says_how_it_ended(run):
    good = json.loads(run("good", "--json").out)
    assert good["version"] == 1
    assert good["outcome"] == "done"
    assert good["outputs"] == {"text": "loaded: abc"}
    assert good["error"] is None
    assert good["receipt"]["produced_by"]["model"] == "good"

    bad = json.loads(run("rejects", "--json").out)
    assert bad["outcome"] == "rejected"
    assert bad["error"]["exit_code"] == 2
    assert "only haiku, please" in bad["error"]["message"]


def test_a_deadline_ends_the_job(run):
    ended = run("waits", "--timeout", "0.5")
    assert ended.code == 6
    assert "took longer than 0.5 seconds" in ended.sentence


def test_a_deadline_ends_a_runner_that_ignores_it(run, apart):
    ended = run("ignores-everything", "--timeout", "0.5", variables=apart)
    assert ended.code == 6
    assert os.listdir(apart["MM_RUNTIME_DIR"]) == []


@pytest.mark.parametrize(
    ("name", "signs", "said"),
    [
        ("waits", ["waiting"], "waits was cancelled\n"),
        ("ignores-everything", ["waiting", "asked to stop"], "its worker was ended at once\n"),
    ],
)
def test_an_interrupt_cancels_the_job_and_a_second_one_ends_it_at_once(
    models, apart, name, signs, said
):
    command = [*MM, "--manifests", str(models), "run", name, "--text", "abc"]
    process = subprocess.Popen(
        command,
        env={**os.environ, **apart},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for sign in signs:
        next(line for line in process.stderr if sign in line)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == ""
    assert err.endswith(said)
    assert os.listdir(apart["MM_RUNTIME_DIR"]) == []


def test_nothing_of_the_worker_outlives_a_killed_client(models, apart):
    command = [*MM, "--manifests", str(models), "run", "ignores-everything", "--text", "abc"]
    process = subprocess.Popen(
        command, env={**os.environ, **apart}, stderr=subprocess.PIPE, text=True
    )
    next(line for line in process.stderr if "waiting" in line)
    process.stderr.close()
    records = [name for name in os.listdir(apart["MM_RUNTIME_DIR"]) if name.endswith(".json")]
    with open(os.path.join(apart["MM_RUNTIME_DIR"], records[0])) as stream:
        supervisor = json.load(stream)["supervisor"]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while _alive(supervisor) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(supervisor)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
