"""Outputs of two jobs, compared by their types."""

import random

import pytest

from orchestrator.comparison.output_differences import compare_outputs, compare_texts, edit_distance
from orchestrator.core.value_checks import AudioValue
from orchestrator.jobs.results import Artifact, Audio


def slow_distance(one, other):
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def test_the_edit_distance_is_that_of_the_textbook():
    chance = random.Random(1)
    for _ in range(300):
        one, other = ("".join(chance.choices("abc今", k=chance.randrange(90))) for _ in range(2))
        assert edit_distance(one, other) == slow_distance(one, other), (one, other)


def test_words_that_differ():
    finding, values = compare_texts("one two three", "one too three four")
    assert finding == "2 of 3 words differ; character error rate 46.2%"
    assert values["changes"] == [["two", "too"], ["", "four"]]
    assert compare_texts("", "") == (
        "equal",
        {"words": 0, "words_differ": 0, "changes": [], "character_error_rate": 0},
    )


def sound(samples, rate=10):
    data = memoryview(b"".join(each.to_bytes(2, "little", signed=True) for each in samples))
    return Audio(AudioValue(data, "<i2", (len(samples),), rate))


def test_sounds():
    found = compare_outputs("audio", "audio", sound([32767, -32767]), sound([3277, -3277]))
    assert found.finding == (
        "0.20 s at 0.0 dB and 0.20 s at -20.0 dB of full scale, 10 and 10 Hz; "
        "samples differ by 0.9 at most"
    )
    assert not found.equal
    assert compare_outputs("audio", "audio", sound([1, 2]), sound([1, 2])).equal
    assert not compare_outputs("audio", "audio", sound([1, 2]), sound([1, 2], 20)).equal


def test_sounds_in_files(tmp_path):
    sound([1, 2]).save(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"no sound")
    one, other = Artifact(tmp_path / "a.wav"), Artifact(tmp_path / "b.wav")
    assert compare_outputs("audio", "audio", one, sound([1, 2])).equal
    assert compare_outputs("audio", "audio", one, other).finding == "other bytes"
    assert compare_outputs("image", "image", one, one).equal


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ([{"a": 1}], [{"a": 1}], "equal"),
        ([{"a": 1}], [{"a": 2, "b": 1}], "other values at $[0].a and 1 more places"),
        ([1], [1, 2], "other values at $[1]"),
        (True, "yes", "other values at $"),
        (None, "", "one alone gave it"),
        (None, None, "neither gave it"),
    ],
)
def test_plain_values(one, other, said):
    assert compare_outputs("found", "json", one, other).finding == said
