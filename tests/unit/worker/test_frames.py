"""The framing: what was sent comes out whole, and what no peer may send is refused."""

import contextlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.client import fast_json
from orchestrator.worker import frames
from orchestrator.worker.frames import BufferSpec, Decoder, ProtocolError, encode

# Some minutes by hand: MM_TEST_EXAMPLES=100000 pytest tests/unit/worker
EXAMPLES = settings(max_examples=int(os.environ.get("MM_TEST_EXAMPLES", "60")), deadline=None)

BOTH = pytest.mark.parametrize("parse", [frames.parse, fast_json.parse], ids=["worker", "client"])

texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(texts.filter(lambda name: name != "buffers"), values, max_size=5)
messages = st.tuples(bodies, st.lists(st.binary(max_size=40), max_size=3))


def frame(body, parts=()):
    specs = [BufferSpec("inline", len(part)) for part in parts]
    return encode(body, specs) + b"".join(parts)


def raw(data):
    return len(data).to_bytes(4, "big") + data


@EXAMPLES
@given(st.lists(messages, max_size=4), st.data())
def test_whatever_the_pieces_the_messages_come_out_as_they_went_in(sent, data):
    stream = b"".join(frame(*message) for message in sent)
    decoder, came = Decoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        came += decoder.feed(memoryview(stream[:size]))
        stream = stream[size:]
    assert [(each.body, [bytes(part) for part in each.buffers]) for each in came] == sent
    assert decoder.idle


@EXAMPLES
@given(st.binary(max_size=200))
def test_noise_gives_frames_or_a_protocol_error_and_nothing_else(noise):
    with contextlib.suppress(ProtocolError):
        assert all(isinstance(each.body, dict) for each in Decoder().feed(noise))


@BOTH
@EXAMPLES
@given(values)
def test_json_that_is_no_object_is_refused(parse, value):
    data = json.dumps(value).encode()
    if isinstance(value, dict):
        assert parse(data) == value
    else:
        with pytest.raises(ProtocolError, match="object"):
            parse(data)


@EXAMPLES
@given(values)
def test_a_list_of_buffers_is_checked_whatever_it_holds(listed):
    try:
        (came,) = Decoder().feed(raw(json.dumps({"buffers": listed}).encode())) or [None]
    except ProtocolError:
        return
    assert came is None or all(spec.size == 0 or spec.kind != "inline" for spec in came.specs)


@BOTH
def test_white_space_around_the_object_is_json_too(parse):
    assert parse(b' {"a": 1}\n') == {"a": 1}


@BOTH
@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"{}{}", b"nul", b'{"a": NaN}', b'{"a": -Infinity}', b"\xff", b'"\xed\xa0\x80"'],
)
def test_what_is_not_json_is_refused(parse, data):
    with pytest.raises(ProtocolError, match="not JSON"):
        parse(data)


@BOTH
def test_a_json_bomb_is_refused_and_not_followed(parse):
    with pytest.raises(ProtocolError):
        parse(b"[" * 1_000_000)
    with pytest.raises(ProtocolError):
        parse(b'{"a":' * 500_000)


@BOTH
def test_a_number_of_a_million_digits_is_refused(parse):
    with pytest.raises(ProtocolError):
        parse(b'{"a": ' + b"9" * 1_000_000 + b"}")


@EXAMPLES
@given(st.dictionaries(texts, values, max_size=5), st.booleans())
def test_both_parsers_say_the_same(value, escaped):
    data = json.dumps(value, ensure_ascii=escaped).encode()
    assert repr(fast_json.parse(data)) == repr(frames.parse(data))


@EXAMPLES
@given(bodies)
def test_both_writers_say_the_same(body):
    assert parsed(fast_json.encode(body)) == parsed(encode(body)) == body


@pytest.mark.parametrize("write", [encode, fast_json.encode], ids=["worker", "client"])
def test_half_a_surrogate_pair_a_huge_number_and_too_much_are_written_or_refused(write):
    odd = {"path": "caf\udce9 é", "number": 2**80}
    assert parsed(write(odd)) == odd
    with pytest.raises(ValueError, match="allowed"):
        write({"text": "a" * frames.MAX_MESSAGE})
    with pytest.raises(TypeError):
        write({"value": object()})


def parsed(data):
    (message,) = Decoder().feed(data)
    return message.body


@EXAMPLES
@given(st.text(alphabet='{}[]":,\\u0dc8e19.-+tfnNaI \x00\ud83d', max_size=30))
def test_both_parsers_refuse_the_same(noise):
    data = ('{"a":' + noise + "}").encode("utf-8", "surrogatepass")
    assert outcome(fast_json.parse, data) == outcome(frames.parse, data)


def outcome(parse, data):
    try:
        return repr(parse(data))
    except ProtocolError as error:
        return str(error)


def test_half_a_surrogate_pair_is_read_by_both():
    data = b'{"name": "\\udc80"}'
    assert fast_json.parse(data) == frames.parse(data) == {"name": "\udc80"}


def test_a_frame_that_announces_too_much_is_refused_before_it_comes():
    with pytest.raises(ProtocolError, match="allowed"):
        Decoder().feed((frames.MAX_MESSAGE + 1).to_bytes(4, "big"))


@pytest.mark.parametrize(
    "listed",
    [
        [frames.MAX_INLINE + 1],
        [frames.MAX_INLINE, 1],
        [0] * (frames.MAX_BUFFERS + 1),
        [-1],
        [True],
        [1.5],
        [{"memory": 0}],
        [{"memory": 1, "more": 2}],
        [{"memory": frames.MAX_BUFFER + 1}],
        [{"file": "../x", "size": 1}],
        [{"file": "", "size": 1}],
        [{"file": "é", "size": 1}],
        [{"file": 7, "size": 1}],
        ["x"],
        "x",
        {},
        None,
    ],
)
def test_a_buffer_that_is_none_is_refused(listed):
    with pytest.raises(ProtocolError):
        Decoder().feed(raw(json.dumps({"buffers": listed}).encode()))


def test_memory_is_taken_for_what_comes_and_not_for_what_is_promised():
    decoder = Decoder()
    decoder.feed(raw(b'{"buffers": [67108864]}') + b"x")
    assert not decoder.idle


def test_half_a_surrogate_pair_travels():
    (came,) = Decoder().feed(encode({"path": "caf\udce9"}))
    assert came.body == {"path": "caf\udce9"}


def test_what_json_cannot_hold_is_an_error_of_the_sender():
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": float("nan")})
    with pytest.raises(TypeError):
        encode({"a": object()})
    with pytest.raises(ValueError, match="allowed"):
        encode({"a": "x" * frames.MAX_MESSAGE})
