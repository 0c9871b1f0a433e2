"""What a runner tells of its job; none of it can fail the job."""

import json

import pytest

from orchestrator.worker import frames
from orchestrator.worker.runner_api import LoadContext, Rejection, RunningJob


@pytest.fixture
def sent():
    return []


@pytest.fixture
def job(sent):
    def send(method, params, buffers=None):
        frames.encode({"method": method, "params": params}, [])
        sent.append((method, json.loads(json.dumps(params))))

    return RunningJob("/job", {"text": "text"}, 1, send)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_progress_that_is_no_number_is_not_known(job, sent, number):
    job.progress(number, number, "half")
    assert sent == [("progress", {"done": 0.0, "total": 0.0, "text": "half"})]


def test_a_line_without_end_is_cut(job, sent):
    job.log("x" * 20_000_000)
    job.log("short")
    (_, long), (_, short) = sent
    assert long["text"].startswith("xxx")
    assert long["text"].endswith("…")
    assert short == {"text": "short"}


def test_a_line_stands_in_the_log_as_well(job, sent, capsys):
    job.log("page 1")
    LoadContext({"device": "cpu", "dtype": "float32", "options": {}}, lambda *_: None).log("loads")
    assert capsys.readouterr().err == "page 1\nloads\n"


def test_a_line_is_sent_where_the_log_is_closed(job, sent, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    job.log("page 1")
    assert sent == [("log", {"text": "page 1"})]


def test_warnings_are_lines_of_a_bounded_number_and_length(job, sent):
    job.warn("cut off\nat its limit")
    for _ in range(1000):
        job.warn("x" * 1_000_000)
    assert job.warnings[0] == "cut off at its limit"
    assert sum(map(len, job.warnings)) < 100_000
    assert sent == []  # they come with the result


def test_a_rejection_without_end_is_cut(job):
    with pytest.raises(Rejection) as caught:
        job.reject("x" * 20_000_000)
    assert len(str(caught.value)) < 100_000


def test_a_load_logs_likewise(sent):
    settings = {"device": "cpu", "dtype": "float32", "options": {}}
    LoadContext(settings, lambda method, params: sent.append(params)).log("y" * 1_000_000)
    assert len(sent[0]["text"]) < 100_000
