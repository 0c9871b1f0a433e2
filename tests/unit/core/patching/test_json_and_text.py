"""JSON by path and text by exact match, the rest byte for byte."""

from __future__ import annotations

import json

import pytest

from orchestrator.core.patching import json_edits, text_edits
from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.source_text import decode_text


def set_value(text: str, path: str, value) -> tuple[str, int, int]:
    found = json_edits.set_value(decode_text(text.encode()), path, value)
    again = json_edits.set_value(found.result, path, value)
    assert (again.matches, again.there) == (0, 1)
    return found.result.text, found.matches, found.there


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ('{"a":  1 ,\r\n "b":2}', "a", "x", '{"a":  "x" ,\r\n "b":2}'),
        ('{"a": {"b": [1, {"c": null}]}}', "a.b.1.c", True, '{"a": {"b": [1, {"c": true}]}}'),
        ('{\n  "a": 1\n}\n', "b", [1], '{\n  "a": 1,\n  "b": [1]\n}\n'),
        ('{"a":{ }}', "a.b", "é", '{"a":{"b": "é"}}'),
        ('{"a": 1}', "a", 1.0, '{"a": 1.0}'),
        ('{"a": 1}', "a", True, '{"a": true}'),
        ('[1, 2]', "1", 3, '[1, 3]'),
        ('{"a\\u0062": "\\ud83d\\ude00", "n": NaN}', "ab", 0, '{"a\\u0062": 0, "n": NaN}'),
    ],
)  # fmt: skip
def test_set(before, path, value, after):
    assert set_value(before, path, value) == (after, 1, 0)


def test_what_is_set_is_there():
    text = '{"a": {"x": 1, "y": [2]}}'
    assert set_value(text, "a", {"y": [2], "x": 1}) == (text, 0, 1)


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ('{"a": 1, "b": 2, "c": 3}', "a", '{"b": 2, "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', "b", '{"a": 1, "c": 3}'),
        ('{"a": 1,\n "b": 2\n}', "b", '{"a": 1\n}'),
        ('{"o": {"a": 1}}', "o.a", '{"o": {}}'),
        ('{"a": 1}', "b", '{"a": 1}'),
        ('{"a": 1}', "b.c", '{"a": 1}'),
    ],
)
def test_delete(before, path, after):
    found = json_edits.delete(decode_text(before.encode()), path)
    assert found.result.text == after
    assert json_edits.delete(found.result, path).there == 1


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("{", "a", 1),
        ("", "a", 1),
        ('{"a": 1} x', "a", 2),
        ('{"a" 1}', "a", 2),
        ("{'a': 1}", "a", 2),
        ('{"a": 1, "a": 2}', "a", 3),
        ('{"o": {"a": 1, "a": 2}}', "o.a", 3),
        ('{"a": 1}', "a.b", 2),
        ('{"a": [1]}', "a.1", 2),
        ("[" * 200 + "]" * 200, "0", 1),
    ],
)
def test_misfits_of_json(text, path, value):
    with pytest.raises(PatchConflict):
        json_edits.set_value(decode_text(text.encode()), path, value)


def test_a_list_loses_no_element():
    with pytest.raises(PatchConflict, match="list"):
        json_edits.delete(decode_text(b'{"a": [1, 2]}'), "a.0")


@pytest.mark.parametrize(
    "text", ['{"a": [1.5e3, -0, true, null, "\\n\\"x"], "b": {}}', ' [ ] ', '"é"', '{"a":{"b":[]}}']
)  # fmt: skip
def test_the_scanner_reads_what_json_reads(text):
    assert json_edits.scan(decode_text(text.encode())).value == json.loads(text)


@pytest.mark.parametrize(
    ("before", "old", "new", "after", "matches", "there"),
    [
        ("a b a", "a", "c", "c b c", 2, 0),
        ("ab xab", "ab", "xab", "xab xab", 1, 1),
        ("xab ab", "xab", "ab", "ab ab", 1, 1),
        ("a\r\nb\r\n", "a\nb", "c\nd\ne", "c\r\nd\r\ne\r\n", 1, 0),
        ("none", "a", "c", "none", 0, 0),
    ],
)
def test_text(before, old, new, after, matches, there):
    found = text_edits.replace(decode_text(before.encode()), old, new)
    assert (found.result.text, found.matches, found.there) == (after, matches, there)


def test_bytes_that_are_no_text_are_a_misfit():
    with pytest.raises(PatchConflict, match="not utf-8"):
        decode_text(b"\xff")
