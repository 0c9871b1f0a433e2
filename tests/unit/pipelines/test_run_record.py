"""Records of runs, what is read from them, and a run as a trace."""

import json
import os

import pytest

from orchestrator.core.pipelines.cache_key import Recipe
from orchestrator.errors import JobFailed, UsageError
from orchestrator.pipelines import run_record as runs
from orchestrator.pipelines.chrome_trace import trace
from orchestrator.pipelines.run_events import (
    ItemDone,
    ItemFailed,
    Preparation,
    Span,
    StepFailure,
    StepResult,
)
from orchestrator.pipelines.run_history import find_run, last_keys, runs_in
from orchestrator.pipelines.run_record import RunRecord
from orchestrator.pipelines.step_values import Value
from tests.traces import check_trace

RECIPE = Recipe({"model": "reader", "runner": "1"}, {"image": {"sha256": "ab"}})


def step(name, foreach, takes, **more):
    return {
        "id": name, "run": name, "name": f"{name}er", "model": True, "candidates": [], "workers": 1,
        "foreach": foreach, "list": None, "takes": takes, "inputs": {}, "outputs": {}, **more,
    }  # fmt: skip


SKETCH = {
    "name": "p",
    "summary": "",
    "inputs": {"images": "a list of image"},
    "steps": [
        step("read", "inputs.images", ["inputs.images"]),
        step("speak", "steps.read", ["steps.read"]),
    ],
    "outputs": {"audios": {"step": "speak", "output": "audio", "type": "a list of audio"}},
}


@pytest.fixture
def record(tmp_path):
    values = (Value("image", file=tmp_path / "x.png", label="x.png"), Value("text", "<b>"))
    made = RunRecord(tmp_path, SKETCH, {"images": values}, {"retries": 1})
    yield made
    made.release()


def done(
    record, name, index, began, seconds, *, later=0.0, lane=0, ready=None, reused=False, parts=None
):
    parts = {"take": 0.01, "run": seconds - 0.02, "keep": 0.01} if parts is None else parts
    start = record_start(record) + later
    ready = began if ready is None else ready
    span = Span(start + ready, start + began, start + began + seconds, lane)
    key = f"{index}{len(name)}" * 32
    result = StepResult(key, parts, RECIPE, reused=reused)
    record.done(ItemDone(name, index, f"item {index}", result, span))


def record_start(record):
    return runs_in(record.path.parent)[0].began


def fill(record, later=0.0):
    """Two workers read three items, of which the first is kept and another fails; one speaks."""
    start = record_start(record) + later
    record.prepared(Preparation("read", "environment", start, 0.5))
    record.prepared(Preparation("read", "load", start + 0.5, 1.0))
    done(record, "read", 0, 0.0, 0.1, reused=True, parts={"take": 0.1}, later=later)
    done(record, "read", 1, 0.1, 2.0, ready=0.0, later=later)
    done(record, "speak", 0, 1.0, 0.5, ready=0.1, later=later)
    done(record, "speak", 1, 2.2, 0.5, ready=2.1, later=later)
    failure = StepFailure("read", 2, "item 2", JobFailed("no <day>", detail="Traceback"))
    span = Span(start, start + 0.1, start + 0.3, 1)
    record.failed(ItemFailed(failure, span), "mm run reader --image 2")
    record.close("failed", {})
    return runs_in(record.path.parent)[0]


def test_a_run_is_recorded_and_read_again(record):
    run = fill(record)
    with (record.path / "items.jsonl").open("a") as stream:
        stream.write('{"step": "re')  # cut off by a kill
    entries = list(run.entries())
    assert [each.status for each in entries] == ["kept", "done", "done", "done", "failed"]
    assert entries[4].command == "mm run reader --image 2"
    assert entries[4].detail == "Traceback"
    assert entries[1].inputs == RECIPE.inputs
    assert run.outcome == "failed"
    assert run.ended >= run.began
    assert run.receipts("read") == [{"identity": RECIPE.identity, "produced_by": RECIPE.producer}]
    assert run.inputs["images"][1] == {"type": "text", "data": "<b>"}
    assert [each.part for each in run.preparations()] == ["environment", "load"]


def test_a_run_that_was_killed_has_no_end(record):
    run = runs_in(record.path.parent)[0]
    assert run.ended is None
    assert "was killed" in run.outcome
    assert list(run.entries()) == []


def test_a_record_is_its_owners_alone(tmp_path):
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / "inputs.json").touch(0o644)
    before = os.umask(0)
    try:
        record = RunRecord(tmp_path / "runs", SKETCH, {"text": Value("text", "secret")}, {})
        done(record, "read", 0, 1.0, 2.0)
        record.spill("read-0.text.txt", "a long text")
        record.close("done", {})
    finally:
        os.umask(before)
    paths = [tmp_path / "runs", *(tmp_path / "runs").rglob("*")]
    assert len(paths) == 11
    assert [path for path in paths if path.stat().st_mode & 0o077] == []


def test_old_records_go_but_not_those_of_runs_under_way(tmp_path):
    def later(number):
        path = tmp_path / f"3000-01-{number}"
        path.mkdir()
        (path / "items.jsonl").touch()
        return path

    record, foreign = RunRecord(tmp_path, SKETCH, {}, {}), tmp_path / "1000-01-00"
    (foreign / "items.jsonl").mkdir(parents=True)  # no one can open it as a file
    kept = [later(number) for number in range(100, 100 + runs.RUNS_KEPT)]
    RunRecord(tmp_path, SKETCH, {}, {}).close("done", {})
    assert record.path.is_dir()
    record.close("done", {})
    RunRecord(tmp_path, SKETCH, {}, {}).close("done", {})
    assert not record.path.exists()
    assert foreign.is_dir()
    assert all(path.is_dir() for path in kept[2:])


def test_damaged_records_count_as_absent(record, tmp_path):
    (record.path / "inputs.json").write_text("{")
    (record.path / "items.jsonl").write_text('[]\n{"step": 1}\nnothing\n')
    run = runs_in(tmp_path)[0]
    assert dict(run.inputs) == {}
    assert list(run.entries()) == []
    assert run.receipts("read") == []
    (record.path / "run.json").write_text("[]")
    assert runs_in(tmp_path) == []


def test_the_latest_keys_are_known_by_what_people_call_the_items(record, tmp_path):
    fill(record)
    assert last_keys(tmp_path, "p")["read", "item 0"] == "04" * 32
    assert last_keys(tmp_path, "other") == {}


def test_a_run_is_found_by_its_id_its_beginning_and_its_pipeline(record, tmp_path):
    other = RunRecord(tmp_path, {**SKETCH, "name": "q"}, {}, {})
    other.release()
    assert find_run(tmp_path).id == other.id  # however soon after the first
    assert find_run(tmp_path, record.id).id == record.id
    assert find_run(tmp_path, "q").id == other.id
    assert find_run(tmp_path, other.id[:-1]).id == other.id
    with pytest.raises(UsageError, match="there is no run 'nothing'"):
        find_run(tmp_path, "nothing")
    with pytest.raises(UsageError, match="2 runs begin with"):
        find_run(tmp_path, other.id[:4])
    with pytest.raises(UsageError, match="no run of a pipeline is recorded"):
        find_run(tmp_path / "none")


def test_a_trace_has_rows_for_workers_loads_queues_and_transfers(record):
    events = check_trace(trace(fill(record)))
    rows = {event["args"]["name"] for event in events["M"] if event["name"] == "thread_name"}
    assert rows == {"environment and load", "worker 1", "worker 2"}
    steps = {event["args"]["name"] for event in events["M"] if event["name"] == "process_name"}
    assert steps == {"read (reader)", "speak (speaker)"}
    categories = [event["cat"] for event in events["X"]]
    assert categories.count("done") == 3
    assert categories.count("kept") == 1
    assert categories.count("failed") == 1
    assert categories.count("environment") == categories.count("load") == 1
    assert categories.count("transfer") == 6
    waits = {event["name"]: event["ts"] for event in events["b"]}
    assert set(waits) == {"item 0 waits", "item 1 waits", "item 2 waits"}
    assert max(event["args"]["items"] for event in events["C"]) == 2
    assert [event["args"]["items"] for event in events["C"]][-1] == 0
    assert len(events["s"]) == 2


def test_turns_that_follow_each_other_do_not_overlap_in_a_trace(tmp_path):
    # Whatever the part of a microsecond at which they begin: seven hundredths at a time.
    for count in range(60):
        made = RunRecord(tmp_path / str(count), SKETCH, {}, {})
        check_trace(trace(fill(made, count * 7e-8)))


def test_a_trace_of_nothing_and_of_an_older_record_is_one(record):
    assert check_trace(trace(runs_in(record.path.parent)[0]))["X"] == []
    line = {"step": "read", "index": 0, "label": "x", "status": "done", "key": "ab",
            "began": 1.0, "seconds": 2.0, "timings": {"run": 1.0}, "error": ""}  # fmt: skip
    (record.path / "run.json").write_text('{"version": 1, "pipeline": "p", "began": 1.0}')
    (record.path / "items.jsonl").write_text(json.dumps(line))
    assert len(check_trace(trace(runs_in(record.path.parent)[0]))["X"]) == 2
