"""Inputs before they are sent and outputs after they came, checked by what a manifest declares."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.manifest import Environment, Input, Manifest, Output
from orchestrator.core.value_checks import (
    MAX_INPUTS,
    AudioValue,
    FileValue,
    check_inputs,
    check_output,
)
from orchestrator.errors import OutputError, UsageError
from orchestrator.worker.frames import MAX_MESSAGE, encode
from tests.unit.worker.test_frames import EXAMPLES, values

MANIFEST = Manifest(
    name="m",
    task="t",
    summary="s",
    environment=Environment(python=">=3.10", dependencies=()),
    inputs={
        "text": Input(type="text", required=True),
        "mode": Input(type="choice", choices=("a", "b"), default="a"),
        "n": Input(type="integer", minimum=1, maximum=5),
        "x": Input(type="number"),
        "b": Input(type="boolean", default=False),
        "files": Input(type="file", list=True),
        "j": Input(type="json"),
    },
    outputs={"text": Output(type="text", primary=True)},
)


def test_defaults_are_filled_in_and_what_has_none_is_left_out():
    assert check_inputs(MANIFEST, {"text": "a"}) == {"text": "a", "mode": "a", "b": False}
    assert check_inputs(MANIFEST, {"text": "a", "n": None})["text"] == "a"


@pytest.mark.parametrize(
    "given_",
    [
        {"text": "a" * MAX_INPUTS},
        {"text": "\n" * (MAX_INPUTS // 2)},
        {"text": "é" * (MAX_INPUTS // 2)},
        {"text": "a", "j": ["a" * 1000] * (MAX_INPUTS // 1000)},
        {"text": "a" * (MAX_INPUTS // 2), "j": "a" * (MAX_INPUTS // 2)},
    ],
    ids=["letters", "escapes", "accents", "json", "together"],
)
def test_inputs_that_fit_into_no_message_are_refused_before_anything_is_done(given_):
    with pytest.raises(UsageError, match=r"^input '(text|j)': .*, and a job takes 15,728,640"):
        check_inputs(MANIFEST, given_)


def test_inputs_that_are_just_small_enough_fit_into_a_message():
    text = "a" * (MAX_INPUTS - 100)
    assert len(encode({"params": check_inputs(MANIFEST, {"text": text})})) <= MAX_MESSAGE


def test_scalars_of_numpy_are_taken_for_what_they_are():
    given_ = {"text": "a", "n": np.int64(3), "x": np.float32(0.5), "j": {np.int8(1): np.bool_(0)}}
    checked = check_inputs(MANIFEST, given_)
    assert repr([checked[name] for name in "nxj"]) == "[3, 0.5, {1: False}]"


@pytest.mark.parametrize(
    "given_",
    [
        {},
        {"text": 3},
        {"text": "a", "mode": "c"},
        {"text": "a", "n": 0},
        {"text": "a", "n": 6},
        {"text": "a", "n": 1.5},
        {"text": "a", "n": True},
        {"text": "a", "x": "1"},
        {"text": "a", "x": math.nan},
        {"text": "a", "x": 10**400},
        {"text": "a", "n": -(10**5000)},
        {"text": "a", "b": 1},
        {"text": "a", "b": 10**5000},
        {"text": "a", "files": "one"},
        {"text": "a", "files": [3]},
        {"text": "a", "j": {"a": [math.nan]}},
        {"text": "a", "j": b"bytes"},
        {"text": "a", "j": {1, 2}},
        {"text": "a", "j": [10**400]},
        {"text": "a", "j": json.loads("[" * 201 + "]" * 201)},
        {"text": "a", "unknown": 1},
    ],
)
def test_what_is_not_declared_so_is_refused_with_one_sentence(given_):
    with pytest.raises(UsageError) as caught:
        check_inputs(MANIFEST, given_)
    assert "\n" not in str(caught.value)


KINDS = ["text", "integer", "number", "boolean", "json", "image", "file", "audio", "array"]


@EXAMPLES
@given(st.sampled_from(KINDS), values)
def test_whatever_a_worker_sends_for_an_output_is_checked(kind, value):
    try:
        checked = check_output("m", "x", Output(type=kind), value, [memoryview(b"abcd")])
    except OutputError:
        return
    plain = {"text": str, "integer": int, "number": (int, float), "boolean": bool}
    if kind in plain:
        assert isinstance(checked, plain[kind])


@pytest.mark.parametrize(
    "value",
    [
        {"buffer": 0, "dtype": "<f4", "shape": [1], "rate": 0},
        {"buffer": 0, "dtype": "<f4", "shape": [1], "rate": 8000.0},
        {"buffer": 0, "dtype": "<f4", "shape": [2], "rate": 8000},
        {"buffer": 0, "dtype": "<f8", "shape": [1], "rate": 8000},
        {"buffer": 0, "dtype": ["<f4"], "shape": [1], "rate": 8000},
        {"buffer": 1, "dtype": "<f4", "shape": [1], "rate": 8000},
        {"buffer": -1, "dtype": "<f4", "shape": [1], "rate": 8000},
        {"buffer": 0, "dtype": "<f4", "shape": [-1], "rate": 8000},
        {"buffer": 0, "dtype": "<f4", "shape": [1, 1, 1], "rate": 8000},
        {"buffer": 0, "dtype": "<f4", "shape": [0, 0], "rate": 8000},
        {"buffer": 0, "dtype": "<f4", "shape": "1", "rate": 8000},
        {"path": 3},
        {"path": "/x", "more": 1},
        None,
    ],
)
def test_sound_that_is_none_is_refused(value):
    with pytest.raises(OutputError):
        check_output("m", "x", Output(type="audio"), value, [memoryview(b"abcd")])


@pytest.mark.parametrize(
    ("data", "shape", "said"),
    [
        (bytes(4) + b"\0\0\xc0\x7f", [2], "m: output 'x' holds nan, .* at frame 1 of 2"),
        (bytes(36), [1, 9], "m: output 'x' has the shape 1 x 9"),
    ],
)
def test_sound_that_cannot_be_right_is_refused_and_its_place_named(data, shape, said):
    wire = {"buffer": 0, "dtype": "<f4", "shape": shape, "rate": 8000}
    with pytest.raises(OutputError, match=said) as caught:
        check_output("m", "x", Output(type="audio"), wire, [memoryview(data)])
    assert caught.value.exit_code == 1


def test_sound_may_be_samples_or_a_file():
    wire = {"buffer": 0, "dtype": "<i2", "shape": [1, 2], "rate": 8000}
    data = memoryview(b"abcd")
    checked = check_output("m", "x", Output(type="audio"), wire, [data])
    assert checked == AudioValue(data, "<i2", (1, 2), 8000)
    assert check_output("m", "x", Output(type="audio"), {"path": "/x"}, []) == FileValue("/x")


def test_an_output_that_cannot_be_followed_is_the_workers_fault():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(OutputError, match="nested too deep"):
        check_output("m", "x", Output(type="json"), deep, [])


def test_half_of_a_surrogate_pair_is_no_text():
    for kind, value in (("text", "a\ud800"), ("json", {"a": ["\udfff"]}), ("json", {"\ud800": 1})):
        with pytest.raises(OutputError, match="half of a surrogate pair"):
            check_output("m", "x", Output(type=kind), value, [])
    assert check_output("m", "x", Output(type="text"), "a😀", []) == "a😀"
