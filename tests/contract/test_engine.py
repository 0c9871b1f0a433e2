"""What every engine does with its workers: those of a session, those that are kept, on Ray."""

import contextlib
import math
import os
import shutil
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from orchestrator.client.launch import WorkerSpec
from orchestrator.client.runtime import RuntimeDirectory
from orchestrator.client.supervisors import start_time, wait_gone
from orchestrator.core.manifest import Input, Output, Timeouts
from orchestrator.engines.interface import PreparedModel
from orchestrator.engines.kept import KeptEngine
from orchestrator.engines.local import LocalEngine
from orchestrator.engines.resources import Resources
from orchestrator.errors import (
    Cancelled,
    Crashed,
    JobFailed,
    MemoryRefused,
    MMError,
    OutputError,
    Rejected,
    TimedOut,
    UsageError,
)
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.job import Job
from orchestrator.system.home import Home
from orchestrator.system.scratch import Scratch
from orchestrator.system.waiting import Deadline
from orchestrator.worker import capabilities
from tests import portable
from tests.contract.session_engine import SessionEngine
from tests.fakes import FakeMemory
from tests.models import Notes, model
from tests.races import just_before

SOON = 30.0

SOURCE = """
import array as arrays, os, signal, time
NOISE = (arrays.array("f", [0.5, float("nan")]), 8000)
def load(context):
    with open(os.environ["LOADS"], "a") as stream:
        stream.write("x")
    if context.options.get("slow"):
        time.sleep(0.5)
    if context.options.get("broken"):
        raise ValueError("as asked")
    return os.getpid()

def run(model, job, *, what, array=None, path=None):
    if what == "pid":
        return {"text": str(model)}
    if what == "exit":
        os._exit(3)
    if what == "raise":
        raise ValueError("as asked")
    if what == "file":
        name = os.path.join(job.directory, "out.txt")
        with open(name, "w") as stream:
            stream.write(path.read_text() + "!")
        return {"text": "", "file": name}
    if what == "outside":
        return {"text": "", "file": __file__}
    if what == "array":
        assert not array.flags.writeable
        return {"text": str(array.dtype), "array": array}
    if what == "reject":
        job.reject("only haiku, please")
    if what == "warn":
        job.warn("cut off")
        return {"text": "", "sound": (arrays.array("h", bytes(100)), 8000)}
    if what == "noise":
        return {"text": "", "sound": NOISE}
    if what == "noisy chunk":
        job.emit("sound", NOISE)
    if what == "stream":
        job.progress(1, 2, "half")
        job.emit("text", "one")
        job.emit("array", array)
        return {"text": "two"}
    if what == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        job.log("waiting")
        while True:
            time.sleep(60)
    if what == "wait":
        job.log("waiting")
        while not job.cancelled:
            time.sleep(0.01)
"""


@dataclass
class World:
    """One engine, and what it stands on."""

    root: Path
    kind: str

    def __post_init__(self):
        self.run_directory = Path(tempfile.mkdtemp(prefix="mm-"))
        self.runtime = RuntimeDirectory(self.run_directory)
        self.memory, self.notes = FakeMemory(), Notes()
        self.scratch = Scratch(Home(self.root / "home"))
        self.engine = self.new_engine()
        (self.root / "runner.py").write_text(SOURCE)
        declared = model(self.root, "m").manifest
        self.manifest = msgspec.structs.replace(
            declared,
            inputs={
                "what": Input(type="text"),
                "array": Input(type="array"),
                "path": Input(type="file"),
            },
            outputs={
                "text": Output(type="text", primary=True),
                "file": Output(type="file"),
                "array": Output(type="array"),
                "sound": Output(type="audio"),
            },
        )
        self.spec = WorkerSpec(
            model="m",
            python=Path(sys.executable),
            environment="e" * 64,
            variables={
                "PATH": os.defpath, "HOME": str(self.root), "LOADS": str(self.root / "loads"),
            },
            runner={str(self.root / "runner.py"): SOURCE},
        )  # fmt: skip

    def new_engine(self):
        if self.kind == "ray":
            from orchestrator.engines.ray import Cluster, RayEngine

            nodes = {
                "MM_HOME": str(self.root / "node"),
                "MM_RUNTIME_DIR": str(self.run_directory),
            }
            cluster = Cluster.connect(None, self.notes)
            return RayEngine(cluster, self.scratch, self.notes, variables=nodes)
        through, _, kind = self.kind.rpartition(" ")
        if not through:
            return self.engine_here(kind, self.scratch)
        engine = SessionEngine(self.root, partial(self.engine_here, kind))
        self.scratch = engine.scratch
        return engine

    def engine_here(self, kind, scratch):
        resources = Resources(self.runtime, self.memory, self.notes)
        engine = {"local": LocalEngine, "kept": KeptEngine}[kind]
        return engine(self.runtime, self.root / "logs", scratch, resources)

    def job(self, what="pid", *, spec=None, keys=None, **inputs):
        """Return a job and its model, as an engine takes them."""
        asked = {"timeout": 60, "keep_alive": 600, **(keys or {})}
        model = PreparedModel(self.manifest, spec or self.spec, dict)
        return Job("m", {"what": what, **inputs}, **asked), model

    def run(self, what="pid", **keys):
        return self.engine.run(*self.job(what, **keys)).outputs

    @property
    def loads(self):
        path = self.root / "loads"
        return len(path.read_text()) if path.exists() else 0

    def close(self):
        self.engine.close()
        for record in list(self.runtime.records()):
            record.foreign().end()
        self.scratch.close()
        shutil.rmtree(self.run_directory)


PORTABLE = ["portable kept"] if capabilities.PROCESS_FILES else []


@pytest.fixture(params=["local", "kept", *PORTABLE, "ray", "async local", "async kept"])
def world(request, portable_package, tmp_path):
    if request.param == "ray":
        request.getfixturevalue("ray_of_this_machine")
    kind = request.param.removeprefix("portable ")
    offers = contextlib.nullcontext() if kind == request.param else portable.taken_away()
    with offers:
        made = World(tmp_path, kind)
        if kind != request.param:
            made.spec = replace(made.spec, package=portable_package)
        yield made
        made.close()


@pytest.fixture(params=["local", "kept", "async local", "async kept"])
def here(request, tmp_path):
    """An engine whose workers share this process's view of the machine's memory."""
    made = World(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture(params=["local", "ray", "async local"])
def own(request, tmp_path):
    """An engine with workers of its own."""
    if request.param == "ray":
        request.getfixturevalue("ray_of_this_machine")
    made = World(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture
def local(tmp_path):
    made = World(tmp_path, "local")
    yield made
    made.close()


@pytest.fixture
def on_ray(ray_of_this_machine, tmp_path):
    made = World(tmp_path, "ray")
    yield made
    made.close()


@pytest.fixture
def kept(tmp_path):
    made = World(tmp_path, "kept")
    yield made
    made.close()


def test_the_model_is_loaded_once(world):
    assert world.run() == world.run()
    assert world.loads == 1


def test_arrays_go_there_and_back(world):
    for array in (
        np.arange(12, dtype=">i2").reshape(3, 4).T,
        np.zeros((0, 2)),
        np.arange(400_000, dtype="f8")[::-1],
        np.array(["2026-01-01"], dtype="M8[D]"),
    ):
        array.flags.writeable = False
        outputs = world.run("array", array=array)
        np.testing.assert_array_equal(outputs["array"], array)
        assert not outputs["array"].flags.writeable
        assert outputs["text"] == str(array.dtype)
    assert world.loads == 1


def test_what_is_no_array_is_the_callers_fault(world):
    with pytest.raises(UsageError, match="Python objects"):
        world.run("array", array=np.array([None]))
    with pytest.raises(UsageError, match="no array"):
        world.run("array", array="text")


def test_files_go_there_and_back_and_stay_as_long_as_the_session(world, tmp_path):
    (tmp_path / "in.txt").write_text("text")
    artifact = world.run("file", path=tmp_path / "in.txt")["file"]
    assert artifact.read() == b"text!"
    world.run()
    assert artifact.path.exists()


def test_what_holds_a_jobs_files_is_named(world, tmp_path):
    (tmp_path / "in.txt").write_text("text")
    ended = world.engine.run(*world.job("file", path=tmp_path / "in.txt"))
    (directory,) = ended.directories
    world.scratch.discard(directory)
    assert not ended.outputs["file"].path.exists()
    assert [path for path in world.scratch.path.iterdir() if path.is_dir()] == []
    assert world.engine.run(*world.job()).directories == ()


def test_a_file_outside_the_jobs_directory_is_not_followed(world):
    with pytest.raises(OutputError, match="no file in the job's directory"):
        world.run("outside")


def test_what_the_result_may_not_be_is_said_with_it(world):
    silent = "nothing can be heard in the output 'sound': it is silent throughout"
    assert world.engine.run(*world.job("warn")).warnings == ("cut off", silent)
    assert world.engine.run(*world.job()).warnings == ()


def test_sound_that_cannot_be_right_is_not_delivered(world):
    said = "'sound' holds nan, which is no sample, at frame 1 of 2"
    for what in ("noise", "noisy chunk"):
        with pytest.raises(OutputError, match=said):
            world.run(what)


def test_directories_of_jobs_without_files_are_gone(world):
    world.run()
    with pytest.raises(JobFailed):
        world.run("raise")
    assert [path for path in world.scratch.path.iterdir() if path.is_dir()] == []


def test_a_crashed_worker_is_replaced_for_the_next_job(world):
    first = world.run()
    with pytest.raises(Crashed):
        world.run("exit")
    assert world.run() != first
    assert world.loads == 2


def test_a_worker_killed_while_idle_costs_no_job(world):
    first = world.run()["text"]
    pid = int(first)
    os.kill(pid, signal.SIGKILL)
    assert wait_gone(pid, start_time(pid), SOON)
    assert world.run()["text"] != first


@pytest.mark.parametrize(
    "change",
    [
        {"manifest": "other"},
        {"lock": "other"},
        {"overlay": "other"},
        {"device": "cuda"},
        {"dtype": "float16"},
        {"options": {"x": 1}},
    ],
)
def test_a_change_never_meets_a_stale_worker(here, change):
    first = here.run()
    assert here.run(spec=replace(here.spec, **change)) != first
    # What a session's own worker was before an edit ends; kept ones may be another's.
    edited = here.kind.endswith("local") and not change.keys() & {"device", "dtype"}
    assert (here.run() == first) is not edited


def test_an_edit_never_meets_a_stale_worker(world):
    first = world.run()
    assert world.run(spec=replace(world.spec, runner={"runner.py": SOURCE + "# edited"})) != first


def test_the_idle_worker_of_what_was_edited_ends(own):
    pid = int(own.run()["text"])
    started = start_time(pid)
    own.run(spec=replace(own.spec, runner={"runner.py": SOURCE + "# edited"}))
    assert wait_gone(pid, started, SOON)


def test_a_busy_worker_of_what_was_edited_ends_after_its_job(local):
    edited = replace(local.spec, runner={"runner.py": SOURCE + "# edited"})
    waiting, begun = Cancellation(), threading.Event()
    keys = {"cancellation": waiting, "on_event": lambda event: begun.set()}

    def wait():
        with contextlib.suppress(MMError):
            local.run("wait", keys=keys)

    thread = threading.Thread(target=wait)
    thread.start()
    assert begun.wait(SOON)
    new = local.run(spec=edited)
    waiting.request()
    thread.join(SOON)
    assert len(local.engine.idle) == 1
    assert local.run(spec=edited) == new


def test_jobs_that_keep_their_model_keep_its_worker(local):
    keys = {"keys": {"models": {}}}
    first = local.run(**keys)
    local.run(spec=replace(local.spec, manifest="edited"))
    assert local.run(**keys) == first


def test_threads_and_what_is_held_do_not_change_the_digest(world):
    first = world.run()
    assert world.run(spec=replace(world.spec, threads=3, need=5)) == first


def test_what_does_not_fit_is_refused_before_anything_starts(here):
    here.memory.left = 5
    with pytest.raises(MemoryRefused):
        here.run(spec=replace(here.spec, need=6))
    assert list(here.runtime.records()) == []
    here.run(spec=replace(here.spec, need=6), keys={"force": True})


def test_an_idle_worker_makes_room(here):
    first = int(here.run()["text"])
    here.memory.left = 5
    began = start_time(first)
    with pytest.raises(MemoryRefused):
        here.run(spec=replace(here.spec, need=6, dtype="float16"))
    assert wait_gone(first, began, SOON)
    assert here.notes.notes == ["stopped the idle worker of m to free memory"]


def test_a_model_that_was_prepared_is_there_for_the_first_job(world):
    world.engine.load(*world.job())
    assert world.loads == 1
    world.engine.load(*world.job())
    first = world.run()
    assert world.loads == 1
    world.engine.load(*world.job())
    assert world.run() == first


def test_what_cannot_be_loaded_cannot_be_prepared(world):
    broken = replace(
        world.spec, runner={"runner.py": SOURCE.replace("return os.getpid()", "return 1 / 0")}
    )
    with pytest.raises(JobFailed, match="while loading: ZeroDivisionError"):
        world.engine.load(*world.job(spec=broken))


@pytest.mark.parametrize("what", ["load", "run"])
def test_a_load_may_be_given_less_time_than_the_manifest_gives_it(world, what):
    source = SOURCE.replace("time.sleep(0.5)", "time.sleep(600)")
    job, model = world.job(
        spec=replace(world.spec, runner={"runner.py": source}, options={"slow": True})
    )
    with pytest.raises(TimedOut, match=r"longer than 0\.5 seconds to load"):
        getattr(world.engine, what)(job, replace(model, load_timeout=0.5))


def test_what_does_not_fit_cannot_be_prepared(here):
    here.memory.left = 5
    with pytest.raises(MemoryRefused):
        here.engine.load(*here.job(spec=replace(here.spec, need=6)))


def test_a_job_waits_for_the_load_that_was_prepared(world):
    spec = replace(world.spec, options={"slow": True})
    threads = [
        threading.Thread(target=world.engine.load, args=world.job(spec=spec)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    world.run(spec=spec)
    for thread in threads:
        thread.join(SOON)
    assert world.loads == 1


def test_nothing_is_prepared_where_nothing_would_stay(kept):
    kept.engine.load(*kept.job(keys={"keep_alive": 0}))
    assert kept.loads == 0
    assert list(kept.runtime.records()) == []


def test_a_worker_that_was_prepared_stays_as_long_as_after_a_job(kept):
    kept.engine.load(*kept.job(keys={"keep_alive": 1}))
    (record,) = kept.runtime.records()
    assert wait_gone(record.supervisor, start_time(record.supervisor), SOON)


def test_a_prepared_worker_is_found_by_another_client(kept):
    kept.engine.load(*kept.job())
    kept.engine = kept.new_engine()
    kept.run()
    assert kept.loads == 1


def test_jobs_of_many_threads_share_one_worker(world):
    found = []
    threads = [threading.Thread(target=lambda: found.append(world.run()["text"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert world.loads == 1


def test_a_session_may_have_several_workers(own):
    """Two jobs run that end only when they are asked to, which they can in two workers alone."""
    cancellations = [Cancellation(), Cancellation()]
    started = threading.Semaphore(0)
    errors = []

    def hear(event):
        if event.kind == "log":
            started.release()

    def work(cancellation):
        keys = {"workers": 2, "on_event": hear, "cancellation": cancellation}
        try:
            own.run("wait", keys=keys)
        except Cancelled as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(each,)) for each in cancellations]
    for thread in threads:
        thread.start()
    assert started.acquire(timeout=SOON)
    assert started.acquire(timeout=SOON)
    for cancellation in cancellations:
        cancellation.request()
    for thread in threads:
        thread.join(SOON)
    assert len(errors) == 2
    assert own.loads == 2


def test_a_job_that_waits_for_a_place_is_cancelled_alone(own):
    first, second = Cancellation(), Cancellation()
    begun = threading.Event()
    ends = {}

    def work(name, **keys):
        try:
            own.run("wait", keys=keys)
        except Cancelled as error:
            ends[name] = error

    def hear(event):
        if event.kind == "log":
            begun.set()

    running = threading.Thread(
        target=work, args=("first",), kwargs={"cancellation": first, "on_event": hear}
    )
    waiting = threading.Thread(target=work, args=("second",), kwargs={"cancellation": second})
    running.start()
    assert begun.wait(SOON)
    waiting.start()
    second.request()
    waiting.join(SOON)
    assert list(ends) == ["second"]
    first.request()
    running.join(SOON)
    assert list(ends) == ["second", "first"]
    assert own.loads == 1


def test_a_session_ends_its_workers(own):
    pid = int(own.run()["text"])
    began = start_time(pid)
    own.engine.close()
    assert wait_gone(pid, began, SOON)
    assert os.listdir(own.run_directory) == []


def test_an_end_that_is_interrupted_is_finished_by_the_next(local):
    def interrupt():
        raise KeyboardInterrupt

    pid = int(local.run()["text"])
    began = start_time(pid)
    with pytest.raises(KeyboardInterrupt), just_before(os.close, interrupt):
        local.engine.close()
    local.engine.close()
    assert wait_gone(pid, began, SOON)
    assert os.listdir(local.run_directory) == []


@pytest.mark.parametrize("what", ["wait", "load"])
def test_a_job_that_runs_when_its_session_ends_is_cancelled(local, what):
    ends, begun = [], threading.Event()
    spec = local.spec
    if what == "load":
        spec = replace(
            spec,
            runner={
                "runner.py": "import time\ndef load(c):\n c.log(0)\n time.sleep(600)\n"
                "def run(m, j): 0\n"
            },
        )
    job, model = local.job("wait", spec=spec, keys={"on_event": lambda _: begun.set()})

    def work():
        try:
            local.engine.run(job, model)
        except MMError as error:
            ends.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(SOON)
    (record,) = local.runtime.records()
    local.engine.close()
    thread.join(SOON)
    assert isinstance(ends[0], Cancelled)
    assert wait_gone(record.supervisor, record.started, SOON)
    with pytest.raises(Cancelled, match="session has ended"):
        local.run()


LIAR = """
import sys
def load(context):
    sys.modules["mm_worker.serve"].Server._run = lambda self, request: request.fail(5, "no model")
def run(model, job, *, what): return {}
"""


def test_workers_that_never_begin_are_not_replaced_for_ever(here):
    with pytest.raises(Crashed, match="before they begin"):
        here.run(spec=replace(here.spec, runner={"runner.py": LIAR}))


def requesting(cancellation, times=1):
    """Return keys of a job that is cancelled once its job has begun."""

    def hear(event):
        if event.kind == "log":
            for _ in range(times):
                cancellation.request()

    return {"cancellation": cancellation, "on_event": hear}


def test_a_job_that_is_asked_to_stop_does_and_the_worker_goes_on(world):
    first = world.run()
    with pytest.raises(Cancelled):
        world.run("wait", keys=requesting(Cancellation()))
    assert world.run() == first


def test_a_job_that_is_asked_again_ends_at_once(world):
    first = world.run()
    keys = {**requesting(Cancellation(), times=2), "grace": SOON}
    with pytest.raises(Cancelled, match="its worker was ended at once"):
        world.run("stubborn", keys=keys)
    assert world.run() != first


@pytest.mark.parametrize("what", ["wait", "stream"])
def test_what_the_caller_raises_at_an_event_is_theirs_and_the_worker_goes_on(world, what):
    first = world.run()
    inputs = {"array": np.arange(400_000)} if what == "stream" else {}
    for error in (KeyError("mine"), KeyboardInterrupt(), Rejected("mine"), Crashed("mine")):
        kinds = []

        def fail(event, kinds=kinds, error=error):
            kinds.append(event.kind)
            raise error

        with pytest.raises(type(error)) as caught:
            world.run(what, keys={"on_event": fail}, **inputs)
        assert caught.value is error
        assert len(kinds) == 1
        assert world.run() == first
    assert world.loads == 1


def test_a_job_that_takes_too_long_is_stopped(world):
    with pytest.raises(TimedOut, match="longer than"):
        world.run("wait", keys={"timeout": 0.2})


def test_what_the_runner_rejects_is_rejected(world):
    with pytest.raises(Rejected, match="only haiku"):
        world.run("reject")


def test_what_the_runner_raises_comes_with_its_traceback(world):
    with pytest.raises(JobFailed, match="as asked") as caught:
        world.run("raise")
    assert "ValueError: as asked" in caught.value.detail


def test_a_model_that_does_not_load_says_why(world):
    for _ in range(2):
        with pytest.raises(JobFailed, match=r"failed while loading: .*as asked"):
            world.run(spec=replace(world.spec, options={"broken": True}))


def test_what_a_job_says_on_the_way_is_heard_in_order(world):
    heard = []
    array = np.arange(3)
    assert world.run("stream", array=array, keys={"on_event": heard.append})["text"] == "two"
    said = [event for event in heard if event.kind in ("progress", "chunk")]
    assert [event.kind for event in said] == ["progress", "chunk", "chunk"]
    assert said[1].params["value"] == "one"
    assert bytes(said[2].buffers[said[2].params["value"]["buffer"]]) == array.tobytes()


def test_another_client_finds_the_kept_worker(kept):
    first = kept.run()
    kept.engine = kept.new_engine()
    assert kept.run() == first
    (record,) = kept.runtime.records()
    assert kept.runtime.status(record.id).jobs == 2


def test_two_clients_at_the_same_instant_load_one_model(kept):
    spec = replace(kept.spec, options={"slow": True})
    engines = [kept.new_engine() for _ in range(4)]
    found = []

    def work(engine):
        found.append(engine.run(*kept.job(spec=spec)).outputs["text"])

    threads = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert len(found) == 4
    assert len(set(found)) == 1
    assert kept.loads == 1


def test_a_worker_that_nobody_wants_kept_ends_with_its_job(kept):
    pid = int(kept.run(keys={"keep_alive": 0})["text"])
    assert wait_gone(pid, start_time(pid), 0)
    assert os.listdir(kept.run_directory) == []


def test_how_long_a_worker_stays_is_changed_by_those_who_say_so(kept):
    def run(keep_alive):
        kept.run(keys={"keep_alive": keep_alive})
        (record,) = kept.runtime.records()
        return kept.runtime.status(record.id).keep

    says = [None, math.inf, None, 60, None, 86400 * 36500, None]
    assert [run(each) for each in says] == [
        300, math.inf, math.inf, 60, 60, 86400 * 36500, 86400 * 36500,
    ]  # fmt: skip
    assert kept.loads == 1


def test_a_manifest_that_keeps_no_worker_keeps_one_that_was_asked_for(kept):
    kept.manifest = msgspec.structs.replace(kept.manifest, keep_alive="0")
    kept.engine.load(*kept.job(keys={"keep_alive": None}))
    kept.run(keys={"keep_alive": None})
    assert list(kept.runtime.records()) == []
    first = kept.run(keys={"keep_alive": math.inf})
    kept.engine = kept.new_engine()
    assert kept.run(keys={"keep_alive": None}) == first


def test_the_last_word_on_how_long_it_stays_counts(kept):
    pid = int(kept.run()["text"])
    began = start_time(pid)
    assert int(kept.run(keys={"keep_alive": 0})["text"]) == pid
    assert wait_gone(pid, began, SOON)


def test_a_client_whose_model_is_loaded_by_one_that_dies_loads_it_itself(kept):
    slow = replace(
        kept.spec, runner={"runner.py": SOURCE.replace("time.sleep(0.5)", "time.sleep(600)")}
    )
    first, second = replace(slow, options={"slow": True}), kept.new_engine()
    errors = []

    def doomed():
        try:
            kept.engine.run(*kept.job(spec=first))
        except Crashed as error:
            errors.append(error)

    thread = threading.Thread(target=doomed)
    thread.start()
    heard = threading.Event()
    found = []

    def hear(event):
        if event.kind == "waiting":
            heard.set()

    def patient():
        job, model = kept.job("pid", spec=first, keys={"on_event": hear})
        quick = msgspec.structs.replace(kept.manifest, timeouts=Timeouts(load=0.5))
        try:
            second.run(job, replace(model, manifest=quick))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told below
            found.append(error)

    # The first must have begun to load before the second looks.
    while not [
        r for r in kept.runtime.records() if kept.runtime.status(r.id).state.label == "loading"
    ]:
        threading.Event().wait(0.01)
    other = threading.Thread(target=patient)
    other.start()
    assert heard.wait(SOON)
    (record,) = kept.runtime.records()
    os.kill(kept.runtime.status(record.id).pid, signal.SIGKILL)
    thread.join(SOON)
    other.join(SOON)
    assert len(errors) == 1
    # It started a worker of its own, whose load took too long as well.
    assert "to load" in str(found[0])


def test_files_that_a_node_does_not_see_travel_as_bytes(on_ray, tmp_path):
    (tmp_path / "in.txt").write_text("text")
    with (tmp_path / "in.txt").open() as stream:
        ours_alone = Path(f"/dev/fd/{stream.fileno()}")
        for _ in range(2):
            assert on_ray.run("file", path=ours_alone)["file"].read() == b"text!"


def test_a_wait_for_a_place_on_a_node_ends_with_the_deadline(on_ray):
    begun, cancellation = threading.Event(), Cancellation()
    keys = {"on_event": lambda _: begun.set(), "cancellation": cancellation}

    def work():
        with pytest.raises(Cancelled):
            on_ray.run("wait", keys=keys)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(SOON)
    with pytest.raises(TimedOut, match="waiting for a worker on a node"):
        on_ray.run(keys={"deadline": Deadline(0.3)})
    cancellation.request()
    thread.join(SOON)


def test_models_on_one_gpu_wait_their_turn(on_ray):
    specs = [replace(on_ray.spec, device="cuda", dtype=dtype) for dtype in ("float16", "bfloat16")]
    found = []

    def work(spec):
        found.append(on_ray.run(spec=spec)["text"])

    threads = [threading.Thread(target=work, args=(spec,)) for spec in specs * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SOON)
    assert len(found) == 4
    assert on_ray.loads >= 2
    assert "stopped the idle worker of m to make room" in on_ray.notes.notes


def test_an_actor_that_is_killed_under_its_job_is_replaced(on_ray):
    import psutil  # Ray brings it along

    cancellation = Cancellation()
    heard = []

    def hear(event):
        if event.kind == "log":
            heard.append(event)
            if len(heard) == 1:
                (record,) = on_ray.runtime.records()
                psutil.Process(record.supervisor).parent().kill()
            else:
                cancellation.request()

    with pytest.raises(Cancelled):
        on_ray.run("wait", keys={"on_event": hear, "cancellation": cancellation})
    assert len(heard) == 2
    assert on_ray.loads == 2
