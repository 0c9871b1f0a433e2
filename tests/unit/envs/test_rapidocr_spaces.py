"""Where the words of letter-spaced lines end."""

import numpy as np
import pytest

from tests.unit.envs.runners import load_runner

respaced = load_runner("rapidocr").spaces.respaced


def line(letter, gap, words, *, between):
    """Return a line of letters as black bars; the gap between words is `between` pixels."""
    columns = [np.ones(6, bool)]
    for count in words:
        for _ in range(count):
            columns += [np.zeros(letter, bool), np.ones(gap, bool)]
        columns[-1] = np.ones(between, bool)
    row = np.concatenate(columns)
    crop = np.full((30, len(row), 3), 255, np.uint8)
    crop[5:25, ~row] = 0
    return crop


@pytest.mark.parametrize("text", ["THREEBELLS", "THR EE BELLS", "T H R E E B E L L S"])
def test_words_of_letter_spaced_lines_are_told_apart_by_their_gaps(text):
    assert respaced(text, line(14, 10, [5, 5], between=26)) == "THREE BELLS"


@pytest.mark.parametrize(
    ("text", "crop"),
    [
        ("two words", line(12, 2, [3, 5], between=9)),  # usual print
        ("THREEBELL", line(14, 10, [5, 5], between=26)),  # a letter was lost
        ("红豆生南国", line(24, 10, [5], between=10)),
        ("7 9", line(14, 10, [1, 1], between=60)),
        ("", np.zeros((20, 90, 3), np.uint8)),
    ],
)
def test_other_lines_stay_as_they_were_read(text, crop):
    assert respaced(text, crop) == text


def test_one_wide_word_stays_one():
    assert respaced("HARBOUR", line(14, 10, [7], between=6)) == "HARBOUR"
