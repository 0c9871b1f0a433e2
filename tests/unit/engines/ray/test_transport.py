"""What travels between the orchestrator's processes on a cluster: plain data, both ways."""

import pickle

import pytest

from orchestrator import errors
from orchestrator.core.value_checks import AudioValue
from orchestrator.engines.ray import transport
from orchestrator.engines.ray.node import node_variables
from orchestrator.jobs.job import Event
from orchestrator.jobs.results import Artifact, Audio
from orchestrator.system.home import Home
from orchestrator.system.scratch import Scratch


@pytest.fixture
def scratch(tmp_path):
    made = Scratch(Home(tmp_path / "home"))
    yield made
    made.close()


def there_and_back(outputs, scratch):
    """Return outputs as the other side has them; pickled on the way, as Ray does."""
    sent = pickle.loads(pickle.dumps(transport.encode_outputs(outputs)))
    return transport.decode_outputs(sent, scratch)


def test_outputs_come_as_they_went(scratch, tmp_path):
    (tmp_path / "page.png").write_bytes(b"pixels")
    audio = Audio(AudioValue(memoryview(b"\0\0\1\0"), "<i2", (2,), 8000))
    value = {"a": [1, None, ("audio", "file")]}
    found = there_and_back(
        {"text": "x", "json": value, "audio": audio, "image": Artifact(tmp_path / "page.png")},
        scratch,
    )
    assert (found["text"], found["json"]) == ("x", value)
    assert found["audio"].read() == audio.read()
    assert found["image"].read() == b"pixels"
    assert found["image"].path.name == "page.png"
    assert found["image"].path.is_relative_to(scratch.path)


def test_a_file_among_the_chunks_is_written_on_this_side(scratch, tmp_path):
    (tmp_path / "page.png").write_bytes(b"pixels")
    event = Event("chunk", {"output": "o", "value": {"path": str(tmp_path / "page.png")}}, [])
    said = pickle.loads(pickle.dumps(transport.encode_event(event)))
    found = transport.decode_event(said, scratch)
    path = found.params["value"]["path"]
    assert path.startswith(str(scratch.path))
    with open(path, "rb") as stream:
        assert stream.read() == b"pixels"


@pytest.mark.parametrize("kind", ["JobFailed", "Crashed", "TimedOut", "Rejected", "SourceError"])
def test_errors_keep_their_class_and_their_words(kind):
    error = getattr(errors, kind)("what", where="w", fix="f", detail="d")
    found = transport.decode_error(transport.encode_error(error), "n1")
    assert type(found) is type(error)
    assert (found.what, found.fix, found.detail) == ("what", "f", "d")


def test_an_error_of_the_node_names_it_and_one_of_the_model_does_not():
    crash, rejected = errors.Crashed("it died"), errors.Rejected("only haiku", where="m")
    assert str(transport.decode_error(transport.encode_error(crash), "n1")) == "node n1: it died"
    assert str(transport.decode_error(transport.encode_error(rejected), "n1")) == "m: only haiku"


def test_what_is_no_error_of_ours_is_one_all_the_same():
    told = {"kind": "SystemExit", "what": "x", "where": "", "fix": "", "detail": ""}
    assert type(transport.decode_error(told, "n1")) is errors.MMError


def test_what_ray_sets_does_not_reach_a_model():
    variables = {
        "PATH": "/bin", "RAY_JOB_ID": "1", "PYTHONPATH": "/x", "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "1", "OMP_PROC_BIND": "true",
    }  # fmt: skip
    assert node_variables(variables, {"MM_HOME": "/h"}) == {
        "PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1", "OMP_PROC_BIND": "true", "MM_HOME": "/h",
    }  # fmt: skip


def test_a_model_without_a_gpu_sees_none():
    assert node_variables({"CUDA_VISIBLE_DEVICES": "1"}, {}, "cpu") == {"CUDA_VISIBLE_DEVICES": ""}
