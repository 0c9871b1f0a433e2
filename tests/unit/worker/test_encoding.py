"""Values on the worker's side: arrays of every kind there and back, and what a runner returns."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.client import fast_json
from orchestrator.worker import encoding, frames
from orchestrator.worker.encoding import OutputMismatch, array_view, encode_array, encode_outputs
from tests.unit.worker.test_frames import EXAMPLES
from tests.unit.worker.test_sound import wav

TYPES = {"text": "text", "n": "integer", "x": "number", "b": "boolean", "j": "json", "f": "file"}

dtypes = (
    hnp.scalar_dtypes()
    | hnp.array_dtypes(max_size=3)
    | hnp.nested_dtypes(max_leaves=4, max_itemsize=64)
).filter(lambda kind: not kind.hasobject and kind.subdtype is None)


def there_and_back(array):
    buffers = []
    wire = json.loads(json.dumps(encode_array(array, buffers)))
    data = memoryview(bytes(buffers[wire["buffer"]]))
    return array_view(data, wire["dtype"], wire["shape"])


@EXAMPLES
@given(st.data())
def test_an_array_of_any_type_and_shape_comes_back_as_it_was(data):
    kind = data.draw(dtypes)
    shape = data.draw(hnp.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=4))
    array = (
        np.frombuffer(
            data.draw(st.binary(min_size=(n := math.prod(shape) * kind.itemsize), max_size=n)),
            dtype=kind,
            count=math.prod(shape),
        ).reshape(shape)
        if math.prod(shape) * kind.itemsize
        else np.empty(shape, kind)
    )
    back = there_and_back(array)
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert back.dtype.itemsize == array.dtype.itemsize
    assert not back.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(20)[::-2],
        np.arange(6, dtype=">i4"),
        np.array(3.5),
        np.float32(2),
        np.zeros((0, 3)),
        np.zeros((2, 0), dtype="<M8[ns]"),
        np.array(["2026-01-01"], dtype="M8[D]"),
        np.array([True, False]),
        np.array([b"ab", b""]),
        np.array(["é", ""]),
        np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8", (2,))]),
        np.array([1 + 2j]),
        np.array([1.5], dtype=np.float16),
        np.array([(1, 2)], dtype=np.dtype([("a", "i1"), ("b", "i8")], align=True)),
    ],
)
def test_order_stride_byte_order_and_kind_do_not_matter(array):
    back = there_and_back(array)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == np.asarray(array).dtype


@pytest.mark.parametrize(
    "dtype",
    [
        {"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [0, 2], "itemsize": 4},
        {"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [4, 0], "itemsize": 8},
        np.dtype((np.record, [("a", "<i4"), ("b", "<i2")])),
    ],
    ids=["overlapping", "out of order", "record"],
)
def test_of_records_that_have_no_description_the_values_travel(dtype):
    array = np.frombuffer(bytes(range(24)), dtype=dtype)
    back = there_and_back(array)
    assert back.dtype.names == ("a", "b")
    for name in back.dtype.names:
        np.testing.assert_array_equal(back[name], array[name])


def test_as_many_dimensions_travel_as_there_can_be():
    array = np.ones((1,) * 64)
    assert there_and_back(array).shape == array.shape


def test_arrays_of_objects_are_refused_both_ways():
    with pytest.raises(TypeError, match="Python objects"):
        encode_array(np.array([None]), [])
    with pytest.raises((TypeError, ValueError), match="object"):
        array_view(memoryview(bytes(8)), "|O", [1])


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (b"xxxx", "<f4", [2]),
        (b"", "<f4", [1]),
        (b"xxx", "<f4", [1]),
        (b"xxxx", "<f4", [-1, 0]),
        (b"xxxx", 5, [1]),
        (b"xxxx", ["<f4"], [1]),
        (b"xxxx", [["a"]], [1]),
        (b"xxxx", "no such type", [1]),
        (b"", "<f4", [1 << 62, 1 << 62]),
    ],
)
def test_what_does_not_fit_together_is_no_array(data, dtype, shape):
    with pytest.raises((TypeError, ValueError)):
        array_view(memoryview(data), dtype, shape)


def test_anything_with_a_buffer_is_an_array():
    buffers = []
    assert encode_array(memoryview(bytes(range(4))).cast("B", (2, 2)), buffers) == {
        "buffer": 0,
        "dtype": "|u1",
        "shape": [2, 2],
    }
    with pytest.raises(TypeError, match="no array but a str"):
        encode_array("text", [])


@pytest.mark.parametrize("shape", [[2, 3], [6], [0, 2], []])
def test_without_numpy_an_array_is_a_typed_view(shape):
    count = math.prod(shape)
    data = np.arange(count, dtype="<f4").tobytes()
    view = encoding._typed_view(memoryview(data), "<f4", shape)
    assert view.format == "f"
    assert view.nbytes == 4 * count
    if count:
        assert list(view.shape) == shape


def test_inputs_are_made_what_the_runner_expects(tmp_path):
    given_ = {
        "a": "/x/y.png",
        "many": ["/1", "/2"],
        "t": "text",
        "array": {"buffer": 0, "dtype": "|u1", "shape": [2]},
    }
    types = {"a": "image", "many": "file[]", "t": "text", "array": "array"}
    made = encoding.decode_inputs(given_, types, [memoryview(b"ab")])
    assert made["a"].name == "y.png"
    assert [str(path) for path in made["many"]] == ["/1", "/2"]
    assert made["t"] == "text"
    assert made["array"].tolist() == [97, 98]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("text", "must return a dict"),
        (None, "returned nothing"),
        ({"text": "a", "more": 1}, "does not declare"),
        ({"n": 1}, "no 'text'"),
        ({"text": 3}, "must be text"),
        ({"text": "a", "n": 1.5}, "must be integer"),
        ({"text": "a", "n": True}, "must be integer"),
        ({"text": "a", "x": float("nan")}, "no number"),
        ({"text": "a", "b": 1}, "must be boolean"),
        ({"text": "a", "j": {1, 2}}, "not JSON"),
        ({"text": "a", "j": float("inf")}, "not JSON"),
        ({"text": "a", "j": object()}, "not JSON"),
        ({"text": "a", "j": [10**400]}, "beyond"),
        ({"text": "a", "n": -(10**5000)}, "beyond"),
        ({"text": "a", "x": 10**400}, "beyond"),
        ({"text": "a", "f": 3}, "must be a path"),
        ({"text": "a", "f": "/no/such/file"}, "no such file"),
    ],
)
def test_what_a_manifest_does_not_allow_is_told_to_the_runners_author(returned, said):
    with pytest.raises(OutputMismatch, match=said):
        encode_outputs(returned, TYPES, "text")


def nested(depth, value=0):
    """Return lists and objects in turn, so many one inside another."""
    for level in range(depth):
        value = [value, level] if level % 2 else {"a": value}
    return value


class Tensor:
    """What torch has for one number: it has no dimensions, an item, and is no number itself."""

    shape = ()
    dtype = object()

    def __init__(self, number):
        self.number = number

    def __repr__(self):
        return f"Tensor({self.item()!r})"  # names the test, in every process alike

    def item(self):
        return self.number


@pytest.mark.parametrize(
    ("kind", "value", "own"),
    [
        ("number", np.float32(0.5), 0.5),
        ("number", np.float16(0.5), 0.5),
        ("number", np.longdouble(0.5), 0.5),
        ("number", np.int64(3), 3),
        ("number", np.array(0.5), 0.5),
        ("number", Tensor(0.5), 0.5),
        ("integer", np.uint8(3), 3),
        ("integer", Tensor(3), 3),
        ("boolean", np.bool_(True), True),
        ("boolean", Tensor(False), False),
        ("text", np.str_("a"), "a"),
        ("json", np.int8(1), 1),
        ("json", {"a": [np.float32(0.5)]}, {"a": [0.5]}),
        ("json", [{np.int64(1): "a"}], [{1: "a"}]),
        (
            "json",
            {np.int64(1): [np.float32(0.5), (Tensor(2),)], "b": {np.str_("c"): np.bool_(False)}},
            {1: [0.5, [2]], "b": {"c": False}},
        ),
    ],
    ids=str,
)
def test_scalars_of_numpy_and_torch_are_taken_for_what_they_are(kind, value, own):
    encoded = encoding.encode("x", kind, value, [])
    assert repr(encoded) == repr(own)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", np.float32(3)),
        ("integer", np.bool_(True)),
        ("number", np.float32("nan")),
        ("number", np.complex64(1)),
        ("number", np.ones(1)),
        ("integer", np.datetime64("2026-01-01", "ns")),
        ("json", [np.float32("inf")]),
        ("json", [np.ones(2)]),
        ("json", {np.datetime64("2026-01-01", "ns"): 1}),
    ],
    ids=str,
)
def test_scalars_that_do_not_fit_are_refused_as_pythons_own(kind, value):
    with pytest.raises(OutputMismatch):
        encoding.encode("x", kind, value, [])


def test_json_may_nest_so_deep_and_no_deeper():
    encoding.as_json(nested(encoding.MAX_DEPTH))
    for depth in (encoding.MAX_DEPTH + 1, 3000, 100_000):
        with pytest.raises(ValueError, match=f"nested more than {encoding.MAX_DEPTH} deep"):
            encoding.as_json(nested(depth))


@pytest.mark.parametrize("read", [frames.parse, fast_json.parse], ids=["worker", "client"])
def test_what_may_be_nested_so_deep_both_sides_read(read):
    body = {"params": {"inputs": {"j": nested(encoding.MAX_DEPTH)}}}
    for write in (frames.encode, fast_json.encode):
        assert read(write(body)[frames.HEADER :]) == body


def test_what_holds_itself_is_nested_without_end():
    loop = [[], {}]
    loop[0].extend([loop, loop])
    loop[1]["a"] = loop[1]["b"] = loop
    with pytest.raises(ValueError, match="nested more than"):
        encoding.as_json(loop)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros(3), "float32 or int16"),
        ((np.zeros(3, "f8"), 8000), "format 'd'"),
        ((np.zeros((1, 1, 1), "f4"), 8000), "3 dimensions"),
        ((np.zeros(3, "f4"), 8000.5), "whole Hz"),
        ((np.zeros(3, "f4"), 10**5000), "whole Hz"),
        (([0.0], 8000), "float32 or int16"),
        ((np.full(3, np.nan, "f4"), 8000), "output 'audio' holds nan"),
        ((np.zeros((1, 24000), "f4"), 8000), "output 'audio' has the shape 1 x 24000"),
    ],
)
def test_sound_of_another_form_is_refused(value, said):
    with pytest.raises(OutputMismatch, match=said if isinstance(value, tuple) else "samples"):
        encoding.encode("audio", "audio", value, [])


def test_a_sound_in_a_file_is_looked_at_as_well(tmp_path):
    path = tmp_path / "x.wav"
    wav(path, np.zeros((1, 9), "<i2"))
    with pytest.raises(OutputMismatch, match="output 'audio' has the shape 1 x 9"):
        encoding.encode("audio", "audio", path, [])
    path.write_bytes(b"OggS, for all that is known here")
    assert encoding.encode("audio", "audio", path, []) == {"path": str(path)}


def test_sounds_in_which_nothing_can_be_heard_are_named(tmp_path):
    quiet, loud = np.zeros(100, "<i2"), np.full(100, 1000, "<i2")
    types = dict.fromkeys(("a", "b", "c", "d"), "audio") | {"j": "json"}
    returned = {
        "a": (quiet, 8000),
        "b": (loud, 8000),
        "c": wav(tmp_path / "c.wav", quiet),
        "d": wav(tmp_path / "d.wav", loud),
        "j": {"buffer": 0, "rate": 8000, "dtype": "<i2"},
    }
    encoded, buffers = encode_outputs(returned, types, "a")
    assert encoding.silent(encoded, types, buffers) == ["a", "c"]


def test_sound_keeps_frames_channels_and_rate():
    buffers = []
    samples = np.arange(6, dtype="<i2").reshape(3, 2).T.copy().T  # not contiguous
    wire = encoding.encode("audio", "audio", (samples, np.int64(8000)), buffers)
    assert wire == {"buffer": 0, "dtype": "<i2", "shape": [3, 2], "rate": 8000}
    assert bytes(buffers[0]) == samples.tobytes()
