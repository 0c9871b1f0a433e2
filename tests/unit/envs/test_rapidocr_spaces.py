"""Spaces are found in the ink of a line, where the reader loses them."""
# ruff: noqa: RUF001 - Chinese marks are full width

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from tests.unit.envs.runners import Job, load_runner

runner = load_runner("rapidocr")
ink_of = runner.ink.ink_of
HEIGHT = 30


def line(widths, gaps, *, stroke=None):
    """Return a line of letters as black bars, and the x of each; two of `gaps` are at its ends."""
    row, at = [np.ones(gaps[0], bool)], []
    for width, gap in zip(widths, gaps[1:], strict=True):
        at.append(sum(map(len, row)) + width / 2)
        bar = np.zeros(width, bool)
        if stroke:  # an outline, of which only the strokes are inked
            bar[stroke : width - stroke] = True
        row += [bar, np.ones(gap, bool)]
    row = np.concatenate(row)
    crop = np.full((HEIGHT, len(row), 3), 255, np.uint8)
    crop[10:20, ~row] = 0
    return at, crop


def words(letter, gap, counts, *, between):
    """Return a line of equal letters in words; the gap between words is `between` pixels."""
    gaps = [6]
    for count in counts:
        gaps += [gap] * (count - 1) + [between]
    return line([letter] * sum(counts), gaps)


def respaced(text, at, crop):
    return runner.spaces.respaced(text, at, ink_of(crop))[0]


@pytest.mark.parametrize("text", ["THREEBELLS", "THR EE BELLS", "T H R E E B E L L S"])
def test_words_of_letter_spaced_lines_are_told_apart_by_their_gaps(text):
    assert respaced(text, *words(14, 10, [5, 5], between=26)) == "THREE BELLS"


@pytest.mark.parametrize(
    ("text", "counts", "spaced"),
    [
        ("to 4p.m.", [2, 1, 4], "to 4 p.m."),
        ("The liftin", [3, 4, 2], "The lift in"),
        ("one two", [3, 3], "one two"),
        ("Thelift", [3, 4], "The lift"),
    ],
)
def test_a_lost_space_is_found_where_the_ink_has_a_gap(text, counts, spaced):
    assert respaced(text, *words(12, 2, counts, between=9)) == spaced


@pytest.mark.parametrize(
    ("text", "widths", "gaps"),
    [
        ("small", [12, 18, 12, 3, 3], [6, 2, 2, 2, 5, 6]),  # a thin letter has more white beside it
        ("10:45", [12] * 5, [6, 2, 7, 7, 2, 6]),
        ("红豆生南国", [24] * 5, [6, 3, 3, 5, 3, 6]),
        ("红，豆", [24, 6, 24], [6, 2, 20, 6]),  # a mark has white of its own
        ("7 9", [14, 14], [6, 60, 6]),
        ("3月1日", [12, 22, 6, 22], [6, 4, 6, 6, 6]),
    ],
)
def test_no_space_is_invented(text, widths, gaps):
    assert respaced(text, *line(widths, gaps)) == text


@pytest.mark.parametrize(
    ("text", "widths", "gaps", "spaced"),
    [
        ("本报记者张红", [24] * 6, [6, 3, 3, 3, 9, 3, 6], "本报记者 张红"),
        ("共5人", [24, 12, 24], [6, 8, 8, 6], "共 5 人"),
    ],
)
def test_a_space_beside_chinese_letters_is_found(text, widths, gaps, spaced):
    assert respaced(text, *line(widths, gaps)) == spaced


def test_a_space_before_a_comma_goes_where_the_ink_has_none():
    at, crop = line([12] * 6, [6, 2, 9, 2, 3, 9, 6])
    assert respaced("ab cd , x", at, crop) == "ab cd, x"


@pytest.mark.parametrize("text", ["", "x", "THREEBELL"])
def test_other_lines_stay_as_they_were_read(text):
    at, crop = words(14, 10, [5, 5], between=26)
    assert respaced(text, at, crop) == text


def test_one_wide_word_stays_one():
    assert respaced("HARBOUR", *words(14, 10, [7], between=6)) == "HARBOUR"


def test_a_gap_that_may_lie_between_two_cells_is_reported():
    at, crop = words(12, 2, [3, 2], between=30)
    text, gaps = runner.spaces.respaced("tar 17", at, ink_of(crop))
    ((x0, x1, letters),) = gaps
    assert (text, letters) == ("tar 17", 3)
    assert (round(x0 * crop.shape[1]), round(x1 * crop.shape[1])) == (46, 76)


def test_the_white_of_a_full_width_mark_is_no_gap_between_cells():
    at, crop = line([24, 6, 24], [6, 2, 24, 6])
    assert runner.spaces.respaced("走，经", at, ink_of(crop)) == ("走，经", [])
    assert runner.spaces.respaced("走一经", at, ink_of(crop))[1] != []


def test_what_belongs_to_the_next_cell_is_cut_off():
    at, crop = line([4, *[12] * 5], [0, 9, 2, 2, 2, 2, 4])  # ends with the last letter of another
    left, right = ink_of(crop).overshoot(at[1:])
    assert round(left * crop.shape[1]) == 13 - round(0.12 * HEIGHT)
    assert right == 0


def test_bold_letters_have_wider_strokes():
    (_, thin), (_, bold) = (line([14] * 4, [6, 3, 3, 3, 6], stroke=s) for s in (2, 4))
    assert ink_of(bold).stroke > 1.5 * ink_of(thin).stroke


def test_the_places_of_letters_are_those_of_the_whole_line():
    """A long line is read in parts; the places in the second part count from the line's begin."""
    reading = runner.reading
    crop = np.full((10, 600, 3), 255, np.uint8)

    words = SimpleNamespace(word_cols=[[0, 1]], line_txt_len=2)

    def recognize_txt(images):
        count = len(images)
        return SimpleNamespace(
            txts=["ab"] * count, scores=[1.0] * count, word_results=[words] * count
        )

    model = SimpleNamespace(recognize_txt=recognize_txt)
    ((text, _, at),) = reading.recognise(model, [crop], job=Job())
    assert text.split() == ["ab"] * (len(at) // 2)
    assert len(at) > 2
    assert all(a < b for a, b in pairwise(at))
    assert at[-1] > 400


def test_light_letters_and_shadows_on_the_paper_are_no_hindrance():
    at, crop = words(12, 2, [3, 4], between=9)
    shadow = np.linspace(1, 0.4, crop.shape[1])[:, None]
    for image in (255 - crop, np.uint8(crop * shadow)):
        assert respaced("Thelift", at, image) == "The lift"
