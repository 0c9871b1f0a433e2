"""How a page lies is found from its boxes and from a few lines read in the candidate directions."""

import math

import numpy as np
import pytest

from tests.unit.envs.runners import load_runner

runner = load_runner("rapidocr")

MARK = 200
"""The grey of the corner that is a line's top left one when it lies the right way up."""


def page_of(count, *, tall, way, letters="legible text"):
    """Return polygons and crops of lines, and a reader that reads them in one way only.

    A crop is black but for one corner, so that the reader sees which way it was turned.
    """
    width, height = (20, 200) if tall else (200, 20)
    polygons, crops, seen = [], [], []
    for i in range(count):
        x, y = (30 * i, 0) if tall else (0, 30 * i)
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        polygons.append(np.float32(corners))
        crop = np.zeros((20, 200, 3), np.uint8)
        crop[:5, :5] = MARK
        crops.append(np.rot90(crop, way // 90))

    def read(images):
        seen.extend(images)
        right = [image.shape[0] == 20 and image[0, 0, 0] == MARK for image in images]
        return [(letters, 0.98) if so else ("&%", 0.5) for so in right]

    return polygons, crops, read, seen


@pytest.mark.parametrize(("tall", "turn"), [(False, 0), (True, 90), (False, 180), (True, 270)])
def test_a_page_is_turned_where_boxes_and_scores_agree(tall, turn):
    polygons, crops, read, _ = page_of(8, tall=tall, way=turn)
    found, lines, _ = runner.direction.find_turn(polygons, crops, read)
    assert found == turn
    assert set(lines.values()) == {("legible text", 0.98)}


def test_an_upright_page_costs_no_second_reading():
    polygons, crops, read, seen = page_of(20, tall=False, way=0)
    _, lines, _ = runner.direction.find_turn(polygons, crops, read)
    assert len(seen) == len(lines) == runner.direction.SAMPLE


def test_lines_that_are_legible_in_no_direction_turn_nothing():
    polygons, crops, _, _ = page_of(8, tall=True, way=0)
    found = runner.direction.find_turn(polygons, crops, lambda images: [("x", 0.4)] * len(images))
    assert found == (0, {}, False)


def test_vertical_chinese_stays_as_it_is():
    polygons, crops, _, _ = page_of(4, tall=True, way=270)
    read = [[("床前明月光", 0.98)] * 4, [("床前明月光。", 0.97)] * 4]
    found, lines, vertical = runner.direction.find_turn(polygons, crops, lambda _: read.pop(0))
    assert (found, vertical) == (0, True)
    assert lines == dict.fromkeys(range(4), ("床前明月光。", 0.97))


@pytest.mark.parametrize(
    ("vertical", "text", "score", "ways"),
    [
        (True, "床前明月光疑是地上霜", 0.98, 0),
        (True, "床前明月", 0.98, 1),
        (True, "床前明月光疑是地上霜", 0.5, 1),
        (False, "床前明月光疑是地上霜", 0.98, 1),
    ],
    ids=["sure", "short", "unsure", "other page"],
)
def test_a_line_of_vertical_text_is_read_again_only_where_it_was_hard(vertical, text, score, ways):
    crop = np.full((200, 20, 3), 255, np.uint8)
    crop[5:195:20, 5:15] = 0
    found = list(runner.reading.other_ways(crop, text, score, vertical=vertical))
    assert [way.shape[1] > way.shape[0] for way in found] == [True] * ways


def test_one_narrow_letter_turns_no_page():
    letter = np.float32([(0, 0), (10, 0), (10, 20), (0, 20)])
    crop = np.zeros((20, 10, 3), np.uint8)
    assert runner.direction.find_turn([letter], [crop], None) == (0, {}, False)


@pytest.mark.parametrize("degrees", [0, 3, -15, 15])
@pytest.mark.parametrize("tall", [False, True])
def test_skew_is_measured_on_lines_that_run_across_or_down(degrees, tall):
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = (20, 200) if tall else (200, 20)
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    polygon = [(x * cos - y * sin, x * sin + y * cos) for x, y in corners]
    assert runner.direction.skew([polygon]) == pytest.approx(degrees)


def test_letters_of_a_vertical_line_are_set_upright_and_marks_low():
    step, crop = 30, np.full((120, 36, 3), 255, np.uint8)
    for i in (0, 2, 3):
        crop[step * i + 3 : step * i + 27, 6:30] = 0
    crop[step + 3 : step + 9, 24:30] = 0  # a mark, high on the right
    row = runner.crops.upright_letters(crop).min(2) < 128
    assert row.shape[1] == 4 * 36
    cells = [np.argwhere(row[:, 36 * i : 36 * i + 36]) for i in range(4)]
    assert [len(cell) for cell in cells] == [24 * 24, 6 * 6, 24 * 24, 24 * 24]
    assert cells[1].min(0)[0] > 15
    assert cells[1].max(0)[1] < 18


@pytest.mark.parametrize("value", [0, 255])
def test_a_line_without_letters_is_no_fault(value):
    crop = np.full((90, 30, 3), value, np.uint8)
    assert runner.crops.upright_letters(crop).shape[2] == 3
