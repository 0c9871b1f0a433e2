"""Durations and sizes, to numbers and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.units import (
    MAX_SECONDS,
    counted,
    format_duration,
    format_elapsed,
    format_left,
    format_size,
    parse_duration,
    parse_size,
    timeout_problem,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h 30m", 5400),
        ("1.5h", 5400), ("2d", 172800), ("0s", 0), (" 5m ", 300), ("forever", math.inf),
    ],
)  # fmt: skip
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "m", "5 minutes", "-5m", "30m1h", "1h1h", "nan", "inf", "5M", "1e3", "1e300", "٣s"],
)
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "36500d1s", "9" * 30, "9" * 400, "9" * 400 + "d"])
def test_more_than_a_hundred_years_is_for_ever(text):
    assert parse_duration("36500d") == MAX_SECONDS
    with pytest.raises(ValueError, match="write forever"):
        parse_duration(text)


@pytest.mark.parametrize(
    "seconds", [0, -1, math.nan, math.inf, 1e18, 1e300, 10**400, MAX_SECONDS + 1, "3", None]
)
def test_what_is_no_time_to_wait(seconds):
    assert timeout_problem(seconds)


@pytest.mark.parametrize("seconds", [0.1, 1, 2_600_000, MAX_SECONDS])
def test_what_is_a_time_to_wait(seconds):
    assert timeout_problem(seconds) == ""


@given(st.integers(min_value=0, max_value=MAX_SECONDS) | st.just(math.inf))
def test_whole_durations_are_read_back(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


def test_parts_of_a_second_are_shown():
    assert format_duration(0.25) == "0.25s"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("21 GiB", 21 * 1024**3), ("6.8 GB", 6_800_000_000), ("0 B", 0), ("512B", 512),
        ("1 kB", 1000), ("1 KB", 1000), ("1 KiB", 1024), ("1.5 MiB", 1572864), ("2 TB", 2 * 10**12),
    ],
)  # fmt: skip
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "21", "21 G", "GiB", "-1 GB", "1 iB", "1,5 GB", "1e3 B", "1  GB", "9" * 400 + " B"]
)
def test_other_sizes_are_refused(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "decimal", "binary"),
    [
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (1000, "1 kB", "1000 B"),
        (6_800_000_000, "6.8 GB", "6.33 GiB"),
        (21 * 1024**3, "22.5 GB", "21 GiB"),
        (999_999, "1 MB", "977 KiB"),
        (5 * 10**15, "5000 TB", "4547 TiB"),
    ],
)
def test_sizes_are_shown_with_three_digits(size, decimal, binary):
    assert format_size(size) == decimal
    assert format_size(size, binary=True) == binary


@given(st.integers(min_value=0, max_value=10**15), st.booleans())
def test_shown_sizes_are_read_back_within_their_digits(size, binary):
    assert parse_size(format_size(size, binary=binary)) == pytest.approx(size, rel=0.006, abs=0)


def test_measured_times_are_shown_with_three_digits():
    assert [format_elapsed(each) for each in (0.0004, 0.05, 1.239, 75, 7500)] == [
        "0.4 ms", "50 ms", "1.24 s", "1 min 15 s", "2 h 5 min",
    ]  # fmt: skip


def test_estimates_are_coarse():
    seconds = (1, 31, 54, 55, 200, 3_569, 3_600, 7_800, 72_000)
    shown = "10 s, 40 s, 1 min, 1 min, 3 min, 59 min, 1 h, 2 h 10 min, 20 h"
    assert ", ".join(map(format_left, seconds)) == shown


def test_counts_have_their_noun():
    assert [counted(each, "item") for each in (0, 1, 2000)] == ["0 items", "1 item", "2,000 items"]
    assert [counted(each, "entry", "entries") for each in (1, 2)] == ["1 entry", "2 entries"]
