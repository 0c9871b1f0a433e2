"""Numbers in the margin are left out, and nothing else that is a number."""

import pytest

from orchestrator.book.boxes import page_of_boxes
from orchestrator.book.layout import Line
from orchestrator.book.margins import margin_numbers, numbers_beside
from orchestrator.book.pages import Readings
from tests.books.whole import book_of


def line(text, row, left, width=None, high=28):
    right = left + (width or 12 * len(text))
    return Line(text, left, 40.0 * row, right, 40.0 * row + high, 24.0)


def page(numbers, *, left=700, high=20, rows=20):
    """Return lines of a text, and numbers beside some of them: values by row."""
    text = [line("words of a text that goes on and on", row, 100) for row in range(rows)]
    return text + [line(str(value), row, left, 24, high) for row, value in numbers.items()]


def left_out(lines, *near):
    pages = [numbers_beside(each) for each in (*near, lines)]
    return sorted(int(lines[index].text) for index in margin_numbers(pages[-1], pages))


@pytest.mark.parametrize("left", [40, 700])
@pytest.mark.parametrize(
    "values",
    [
        {4: 5, 9: 10, 14: 15},
        {1: 15, 6: 20, 11: 5, 16: 10},  # another poem begins
        {2: 10, 12: 20},
        {2: 41, 4: 42, 9: 43, 15: 45},  # paragraphs; one was not read
        dict(enumerate(range(1, 21))),
    ],
)
def test_numbers_that_count_are_left_out_on_either_side(left, values):
    assert left_out(page(values, left=left)) == sorted(values.values())


@pytest.mark.parametrize(
    "values",
    [
        {4: 5},
        {3: 12, 6: 40, 9: 17},  # prices
        {0: 3, 4: 17, 8: 28, 12: 41},  # pages of chapters
        {3: 1891, 4: 1895, 9: 1902},
    ],
)
def test_other_numbers_beside_a_text_stay(values):
    assert left_out(page(values)) == []


def test_a_list_whose_numbers_are_as_large_as_its_text_stays():
    assert left_out(page({2: 1, 6: 2, 9: 3}, left=40, high=28)) == []


def test_a_single_number_is_left_out_where_pages_near_by_count_alike():
    lonely, other = page({6: 5}), page({4: 5, 9: 10, 14: 15})
    assert left_out(lonely, other) == [5]
    assert left_out(page({6: 7}), other) == []


def test_numbers_above_and_below_text_stay():
    lines = [*page({4: 5, 9: 10, 14: 15}), line("words as wide as the numbers are far", 10, 600)]
    assert 10 not in left_out(lines)
    assert left_out([*page({}), line("12", 25, 300)]) == []


def test_contents_keep_their_numbers():
    lines = [line("Contents", 0, 100), *page({4: 5, 9: 10, 14: 15})[1:]]
    assert left_out(lines) == []


def box(text, row, left, right, block, role):
    top = 40 * row
    polygon = [[left, top], [right, top], [right, top + 30], [left, top + 30]]
    return {"text": text, "polygon": polygon, "block": block, "role": role}


WORDS = [f"line {'abc'[k % 3]} of a text that fills its measure from left to r" for k in range(6)]


def numbered(role):
    rows = [box(text, row, 100, 700, 0, role) for row, text in enumerate(WORDS)]
    return rows + [box(str(row), row, 740, 770, 0, role) for row in (1, 2, 3)]


def test_what_is_no_table_without_numbers_is_text():
    boxes = numbered("table")
    (block,) = page_of_boxes(1, boxes, "| a | 1 |\n| --- | --- |\n| b | 2 |", {6, 7, 8}).blocks
    assert (block.role, [each.text for each in block.lines]) == ("paragraph", WORDS)
    (block,) = page_of_boxes(1, boxes, "| a | 1 |\n| --- | --- |\n| b | 2 |").blocks
    assert (block.role, block.markdown) == ("table", True)


def test_the_lines_of_a_text_layer_lose_their_numbers():
    lines = [[each.text, each.left, each.top, each.right, each.bottom, each.size]
             for each in page({4: 5, 9: 10, 14: 15})]  # fmt: skip
    parts = [{"from": "layer", "page": 1, "lines": lines}]
    book = book_of(parts, Readings())
    assert not any(letter.isdigit() for each in book.elements for letter in each.text)
