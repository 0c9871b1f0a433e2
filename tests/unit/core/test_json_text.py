"""JSON that cannot be read is a ValueError, however it is wrong."""

import msgspec
import pytest

from orchestrator.core.json_text import parse_json, parse_record
from orchestrator.core.toml import parse_toml

DEEP = "[" * 100_000 + "]" * 100_000


class Record(msgspec.Struct):
    value: list = []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (DEEP, "nested too deeply"),
        ("{", "line 1"),
        (b"\xff", "utf-8"),
        ("9" * 10_000, "too many digits"),
    ],
    ids=["deep", "broken", "no text", "long number"],
)
def test_what_is_wrong_is_named(text, said):
    with pytest.raises(ValueError, match=said):
        parse_json(text)


@pytest.mark.parametrize(
    "data", [f'{{"value": {DEEP}}}'.encode(), b"{", b"\xff", b'{"value": 3}'],
    ids=["deep", "broken", "no text", "type"],
)  # fmt: skip
def test_so_is_a_record(data):
    with pytest.raises(ValueError):  # noqa: PT011 - the words are msgspec's
        parse_record(data, Record)


def test_what_is_right_is_read():
    assert parse_json('{"a": [1]}') == {"a": [1]}
    assert parse_record(b'{"value": [1]}', Record) == Record([1])


def test_toml_that_nests_too_deeply_is_no_toml():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_toml(f"a = {DEEP}")
