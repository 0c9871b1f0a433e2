"""Where transformers copies a model's own code before it imports it: never where another reads."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.client.supervisors import start_time, wait_gone

SOURCE = '''
import os, sys, time

CODE = b"answer = 42" + b"#" * 100_000
HERE = os.path.join(os.environ["HF_MODULES_CACHE"], "transformers_modules", "model")

def wait(turns, count):
    end = time.monotonic() + 60
    while len(os.listdir(turns)) < count and time.monotonic() < end:
        time.sleep(0.005)

def load(context):
    """Copy and import, as transformers does; the first imports while the others copy."""
    turns = context.model_dir
    first = not take(turns, "first")
    others = int(context.options["workers"]) - 1
    os.makedirs(HERE, exist_ok=True)
    if not first:
        wait(turns, 2)
    with open(os.path.join(HERE, "copied.py"), "wb", buffering=0) as copy:
        if not first:
            copy.write(bytes(len(CODE)))
            take(turns, str(os.getpid()))
            wait(turns, 3 + others)
            copy.seek(0)
        copy.write(CODE)
    if first:
        take(turns, "copied")
        wait(turns, 2 + others)
    sys.path.insert(0, HERE)
    try:
        from copied import answer
    finally:
        take(turns, "imported")
    return answer

def take(turns, name):
    """Make a file; return whether it was there."""
    try:
        os.close(os.open(os.path.join(turns, name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    return False

def run(model, job, *, what):
    return {"text": f"{model} {HERE}"}
'''


def start(workers, tmp_path, count):
    turns = tmp_path / "turns"
    turns.mkdir()
    with ThreadPoolExecutor(count) as pool:
        options = {
            "runner": {"runner.py": SOURCE},
            "model_dir": turns,
            "options": {"workers": count},
        }
        return list(pool.map(lambda _: workers.start(**options), range(count)))


def test_workers_that_load_one_model_at_once_read_whole_code_each_its_own(workers, tmp_path):
    started = start(workers, tmp_path, 3)
    answers = [workers.run(worker, "") for worker in started]
    assert all(answer.startswith("42 ") for answer in answers)
    assert len(set(answers)) == 3


def test_the_copies_go_with_the_worker_also_when_its_supervisor_is_killed(workers, tmp_path):
    (stopped,) = start(workers, tmp_path, 1)
    (tmp_path / "turns").rename(tmp_path / "turns-before")
    (killed,) = start(workers, tmp_path, 1)
    places = [Path(workers.run(worker, "").split()[1]) for worker in (stopped, killed)]
    assert all(place.is_dir() for place in places)
    stopped.stop()
    assert not places[0].exists()
    began = [(pid, start_time(pid)) for pid in (killed.record.supervisor, killed.pid)]
    os.kill(killed.record.supervisor, signal.SIGKILL)
    assert all(wait_gone(pid, when, 30) for pid, when in began)
    workers.runtime.sweep()
    assert os.listdir(workers.runtime.path) == []
