"""Subtitle files: their form, their lines, their times."""
# ruff: noqa: RUF001 - Chinese marks

import pytest

from orchestrator.core.subtitle_format import COLUMNS, subtitles, width, wrapped


def segment(start, end, text, **more):
    return {"start": start, "end": end, "text": text, **more}


def test_both_formats_number_or_escape_and_count_hours():
    segments = [segment(0, 1.5, "One & <two> --> three"), segment(3599.9, 36000.25, "Later")]
    assert subtitles(segments, ".srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\nOne & <two> → three\n\n"
        "2\n00:59:59,900 --> 10:00:00,250\nLater\n"
    )
    assert subtitles(segments, ".vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nOne &amp; &lt;two&gt; --&gt; three\n\n"
        "00:59:59.900 --> 10:00:00.250\nLater\n"
    )
    assert (subtitles([], ".srt"), subtitles([], ".vtt")) == ("", "WEBVTT\n")


def times(text):
    return [line.split(" --> ") for line in text.splitlines() if "-->" in line]


def test_subtitles_never_overlap_and_none_is_lost():
    segments = [
        segment(1, 3, "a"),
        segment(2.5, 2, "b"),
        segment(2.9, 3.2, "c"),
        segment(-1, 0, "d"),
    ]
    found = times(subtitles(segments, ".srt"))
    assert len(found) == 4
    flat = [time for pair in found for time in pair]
    assert flat == sorted(flat)
    assert all(start < end for start, end in found)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("  two \n words ", ["two words"]),
        ("x" * 100, ["x" * 42, "x" * 42, "x" * 16]),
        (
            "今天天气真好我们一起去公园散步吧今天天气真好，我们去",
            ["今天天气真好我们一起去公园散步吧今天天气真", "好，我们去"],
        ),
        (
            "今天天气真好我们一起去公园散步吧今天天气真，好",
            ["今天天气真好我们一起去公园散步吧今天天气", "真，好"],
        ),
        ("我用Python写了一个小程序。", ["我用Python写了一个小程序。"]),
    ],
    ids=["none", "spaces", "long", "chinese", "mark", "mixed"],
)
def test_lines_are_broken_between_words_and_never_before_a_mark(text, lines):
    assert wrapped(text) == lines
    assert all(width(line) <= COLUMNS for line in lines)


def test_a_long_segment_becomes_parts_with_the_times_of_their_words():
    text = " ".join(["word"] * 30)
    words = [segment(n if n < 17 else 100 + n, n + 0.5, "word") for n in range(30)]
    by_length = times(subtitles([segment(0, 30, text)], ".srt"))
    by_words = times(subtitles([segment(0, 130, text, words=words)], ".srt"))
    assert [start for start, _ in by_length] == ["00:00:00,000", "00:00:16,000"]
    assert [start for start, _ in by_words] == ["00:00:00,000", "00:00:16,000"]


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"start": 0},
        [{"start": 0, "end": 1}],
        [segment("0", 1, "a")],
        [segment(0, 1, "a", words=[1])],
    ],
)
def test_what_is_no_segments_is_refused(value):
    with pytest.raises(ValueError, match="is no list of segments"):
        subtitles(value, ".srt")
