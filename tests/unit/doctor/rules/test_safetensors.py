"""Headers that are truncated, that lie, and that are enormous: an error that says so, at once."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.doctor.rules.safetensors import BITS, MAX_HEADER, Damaged, Tensor, read_header

ENORMOUS = 1 << 50


def of(data, size=None):
    """Read a header from bytes; no more may be asked for than the header's limit."""

    def read(offset, length):
        assert length <= MAX_HEADER
        return data[offset : offset + length]

    return read_header(len(data) if size is None else size, read)


def built(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_a_header_is_read():
    header = of(built({"__metadata__": {"format": "pt"}, "a": tensor()}, bytes(8)))
    assert header.tensors == {"a": Tensor("F32", [2], (0, 8))}
    assert header.metadata == {"format": "pt"}


def test_a_file_of_seven_gigabytes_is_read_by_its_header_alone():
    size = 7 << 30
    data = built({"a": tensor("BF16", (size // 2,), (0, size))})
    assert of(data, len(data) + size).tensors["a"].parameters == size // 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "too few"),
        (b"\0" * 7, "too few"),
        (b"\0" * 8, "no header where one should be"),
        (struct.pack("<Q", 1 << 63) + b"{}", "cut short, or no safetensors"),
        (built(b"[]"), "no header where"),
        (built(b"{"), "cannot be read"),
        (built({"a": 1}), "cannot be read"),
        (built({"__metadata__": {"a": 1}}), "cannot be read"),
        (built({"a": tensor("F33")}, bytes(8)), "unknown dtype 'F33'"),
        (built({"a": tensor(shape=(3,))}, bytes(8)), "deny"),
        (built({"a": tensor(offsets=(8, 0))}, bytes(8)), "deny"),
        (built({"a": tensor(offsets=(4, 12))}, bytes(12)), "deny"),
        (built({"a": tensor(), "b": tensor()}, bytes(8)), "deny"),
        (built({"a": tensor(shape=(-2,))}, bytes(8)), "cannot be read"),
        (built({"a": tensor(shape=(1 << 70,))}, bytes(8)), "cannot be read"),
        (built({"a": tensor(shape=(1 << 62,) * 60)}, bytes(8)), "deny"),
        (built({"a": tensor(shape=(1,) * 65)}, bytes(8)), "of 65 dimensions"),
        (built({"a": tensor()}, bytes(7)), "is cut short"),
        (built({"a": tensor()}, bytes(9)), "belong to no tensor"),
        (built(b"{" + b" " * 100), "cannot be read"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_said_to_be_damaged(data, said):
    with pytest.raises(Damaged, match=said):
        of(data)


def test_a_header_beyond_the_limit_is_not_read():
    with pytest.raises(Damaged, match="more than"):
        of(struct.pack("<Q", MAX_HEADER + 1), ENORMOUS)


@pytest.mark.parametrize("part", [b"[" * 100_000, b'{"a":' * 50_000, b'"a":[' + b"1," * 500_000])
def test_a_header_that_is_deep_or_long_is_refused(part):
    text = b'{"a": {"shape": ' + part
    with pytest.raises(Damaged):
        of(built(text))


def read_or_refused(data, size=None):
    """Return the header, or None where the file was refused in words."""
    try:
        return of(data, size)
    except Damaged as error:
        if not str(error):
            raise
        return None


NAMES = st.text(max_size=8)
SHAPES = st.lists(st.integers(0, 5), max_size=4)


@st.composite
def files(draw):
    """A well made file."""
    header, position = {}, 0
    for name in draw(
        st.lists(NAMES.filter(lambda n: n != "__metadata__"), unique=True, max_size=5)
    ):
        shape = draw(SHAPES)
        dtype = draw(st.sampled_from(sorted(each for each in BITS if BITS[each] % 8 == 0)))
        count = 1
        for side in shape:
            count *= side
        end = position + count * BITS[dtype] // 8
        header[name] = tensor(dtype, shape, (position, end))
        position = end
    return built(header, bytes(position)), len(header)


@given(files())
def test_every_well_made_file_is_read(made):
    data, count = made
    assert len(of(data).tensors) == count


@given(files(), st.data())
def test_a_truncated_file_is_never_taken_for_whole(made, draw):
    data, _ = made
    length = draw.draw(st.integers(0, len(data) - 1))
    with pytest.raises(Damaged):
        of(data[:length])


@given(files(), st.data())
def test_a_lying_file_is_read_or_refused_and_nothing_else(made, draw):
    data = bytearray(made[0])
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    header = read_or_refused(bytes(data))
    if header is not None:
        bits = sum(each.parameters * BITS[each.dtype] for each in header.tensors.values())
        assert bits <= 8 * len(data)


@given(st.binary(max_size=300), st.integers(0, ENORMOUS))
def test_any_bytes_are_read_or_refused(data, size):
    header = read_or_refused(data, size)
    assert header is None or header.size == size
