"""The order in which the lines of a page are read."""
# ruff: noqa: RUF001 - Chinese marks are full width

import itertools
import math
import random

import pytest

from tests.unit.envs.runners import load_runner

runner = load_runner("rapidocr")

HEIGHT = 20
COUNT = itertools.count()


def box(x, y, text, *, width=None, height=HEIGHT):
    """Return a line of text at (x, y); its letters are half as wide as high."""
    width = len(text) * height / 2 if width is None else width
    return runner.boxes.Box(next(COUNT), x, y, x + width, y + height, text)


def read(*boxes):
    """Return the text of the boxes, which are given in no order."""
    shuffled = list(boxes)
    random.Random(7).shuffle(shuffled)
    return runner.compose(runner.arrange(shuffled))


def prose(x, y, first, count, *, step=28):
    """Return lines of a column of prose that begins at (x, y), named by their numbers."""
    return [box(x, y + i * step, f"line {first + i:02} of a column of prose") for i in range(count)]


def prose_text(first, count):
    return "\n".join(f"line {first + i:02} of a column of prose" for i in range(count))


def test_nothing_reads_as_nothing():
    assert read() == ""


def test_lines_are_read_from_top_to_bottom():
    assert read(box(0, 0, "one"), box(0, 30, "two"), box(0, 60, "three")) == "one\ntwo\nthree"


def test_a_receipt_keeps_prices_with_their_items():
    items = [
        ("Oat milk", "3.90"),
        ("Sourdough loaf", "4.20"),
        ("Lemons", "1.35"),
        ("TOTAL", "9.45"),
    ]
    boxes = [
        b
        for i, (item, price) in enumerate(items)
        for b in (box(0, i * 30, item), box(300, i * 30 + 3, price))
    ]
    assert read(*boxes) == "Oat milk\t3.90\nSourdough loaf\t4.20\nLemons\t1.35\nTOTAL\t9.45"


def test_a_wrapped_item_with_its_price_between_the_lines_stays_a_row():
    boxes = [box(0, i * 30, f"the description of item {i // 2} as prose") for i in range(8)]
    boxes += [box(500, i * 60 + 15, f"{i}.50") for i in range(4)]
    assert read(*boxes).split("\n")[:3] == [
        "the description of item 0 as prose",
        "0.50",
        "the description of item 0 as prose",
    ]


def test_a_form_is_read_row_by_row():
    rows = [("Name", "Ada Byron"), ("Born", "London"), ("Lives in", "Ashford"), ("Work", "Pilot")]
    boxes = [b for i, (k, v) in enumerate(rows) for b in (box(0, i * 30, k), box(200, i * 30, v))]
    assert read(*boxes) == "Name\tAda Byron\nBorn\tLondon\nLives in\tAshford\nWork\tPilot"


def test_a_table_of_four_columns_is_read_row_by_row():
    boxes = [
        box(x, i * 30, text)
        for i in range(5)
        for x, text in ((0, f"{i}"), (60, f"part {i}"), (300, f"{i}.10"), (420, f"{i}.20"))
    ]
    assert read(*boxes).split("\n")[1] == "1\tpart 1\t1.10\t1.20"


@pytest.mark.parametrize("offset", [0, 4, 14])
def test_columns_of_prose_are_read_one_after_the_other(offset):
    text = read(*prose(0, 0, 0, 12), *prose(340, offset, 12, 12))
    assert text == prose_text(0, 24)


def test_three_columns_are_read_in_turn():
    text = read(*prose(0, 0, 0, 6), *prose(330, 0, 6, 6), *prose(660, 0, 12, 6))
    assert text == prose_text(0, 18)


def test_a_heading_as_wide_as_the_page_comes_before_and_between_columns():
    text = read(
        box(150, 0, "A heading over both", height=30),
        *prose(0, 60, 0, 5),
        *prose(340, 60, 5, 5),
        box(150, 220, "Another in the middle", height=30),
        *prose(0, 280, 10, 5),
        *prose(340, 280, 15, 5),
    )
    lines = [line for line in text.split("\n") if line]
    assert lines == [
        "A heading over both",
        *prose_text(0, 10).split("\n"),
        "Another in the middle",
        *prose_text(10, 10).split("\n"),
    ]


def test_a_table_under_two_columns_is_still_a_table():
    text = read(
        *prose(0, 0, 0, 5),
        *prose(340, 0, 5, 5),
        box(0, 170, "a line of text that is as wide as the whole of the page"),
        *[
            b
            for i in range(4)
            for b in (box(0, 220 + 30 * i, f"item {i}"), box(500, 220 + 30 * i, "5"))
        ],
    )
    assert text.split("\n")[:10] == prose_text(0, 10).split("\n")
    assert text.split("\n")[-2:] == ["item 2\t5", "item 3\t5"]


def test_a_short_last_line_does_not_make_a_column_a_table():
    left = [*prose(0, 0, 0, 5), box(0, 140, "the end.")]
    right = [box(340, 0, "go on"), *prose(340, 28, 6, 5)]
    assert read(*left, *right).split("\n")[5:7] == ["the end.", "go on"]


def test_indented_lines_of_code_stay_where_they_are():
    lines = [
        "for i:",
        "                        if a:",
        "go",
        "                        stop",
        "x = 1",
    ]
    lines += ["                        return", "end"]
    boxes = [box(10 * (len(t) - len(t.lstrip())), i * 28, t.strip()) for i, t in enumerate(lines)]
    assert read(*boxes) == "\n".join(t.strip() for t in lines)


def test_large_and_small_letters_on_one_line_are_one_row():
    assert read(box(0, 0, "TOTAL", height=30), box(300, 8, "23.50", height=18)) == "TOTAL 23.50"


def test_boxes_that_overlap_sideways_are_rows_of_their_own():
    assert read(box(0, 0, "first line"), box(2, 8, "second line")) == "first line\nsecond line"


def test_an_empty_line_stands_where_the_page_has_one():
    boxes = [box(0, y, f"at {y}") for y in (0, 28, 56, 112, 140)]
    assert read(*boxes) == "at 0\nat 28\nat 56\n\nat 112\nat 140"


def test_there_is_no_empty_line_where_a_column_goes_on():
    assert "\n\n" not in read(*prose(0, 0, 0, 8), *prose(340, 0, 8, 8))


@pytest.mark.parametrize(
    ("left", "right", "gap", "joined"),
    [
        ("老周在这条", "山路上", 2, "老周在这条山路上"),
        ("他说：", "“好”", 2, "他说： “好”"),
        ("山路", "上", 90, "山路 上"),
        ("第3", "页", 2, "第3 页"),
        ("two", "words", 2, "two words"),
    ],
)
def test_chinese_is_joined_without_a_space(left, right, gap, joined):
    first = box(0, 0, left, width=100)
    assert read(first, box(100 + gap, 0, right)) == joined


@pytest.mark.parametrize("degrees", [0, 3, -8, 180])
def test_a_page_is_put_straight_before_its_lines_are_ordered(degrees):
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    lines = []
    for b in [
        box(0, 0, "item one"),
        box(600, 0, "1.10"),
        box(0, 30, "item two"),
        box(600, 30, "2"),
    ]:
        corners = [(b.x0, b.y0), (b.x1, b.y0), (b.x1, b.y1), (b.x0, b.y1)]
        polygon = [[x * cos - y * sin, x * sin + y * cos] for x, y in corners]
        if degrees == 180:  # a detector begins at the top left of what it sees
            polygon = polygon[2:] + polygon[:2]
        lines.append({"polygon": polygon, "text": b.text, "score": 1.0})
    boxes = runner.level_boxes(lines, turn=180 if degrees == 180 else 0)
    assert runner.compose(runner.arrange(boxes)) == "item one\t1.10\nitem two\t2"


def test_a_note_in_the_margin_is_read_before_its_paragraph():
    boxes = [box(0, 0, "What is"), box(0, 20, "new"), box(0, 150, "What is not")]
    boxes += [box(200, 24 * i, f"the first paragraph, line {i}") for i in range(4)]
    boxes += [box(200, 150 + 24 * i, f"the second paragraph, line {i}") for i in range(2)]
    text = " ".join(read(*boxes).split())
    assert text.startswith("What is new the first paragraph, line 0")
    assert text.endswith("What is not the second paragraph, line 0 the second paragraph, line 1")


def test_every_line_is_read_once_whatever_the_page():
    chance = random.Random(1)
    for _ in range(400):
        boxes = [
            box(chance.randrange(900), chance.randrange(900), "some words" * chance.randrange(1, 4))
            for _ in range(chance.randrange(40))
        ]
        boxes += [
            box(chance.randrange(900), chance.randrange(900), "床前明月光", width=20, height=100)
            for _ in range(chance.choice((0, 3, 30)))
        ]
        corners = [[chance.randrange(900) for _ in range(4)] for _ in range(chance.randrange(6))]
        frames = [(min(a, b), min(c, d), max(a, b), max(c, d)) for a, b, c, d in corners]
        rules = [(x0, y0, x1, y0 + 2) for x0, y0, x1, _ in frames[:2]]
        pieces = runner.arrange(boxes, frames[1:], rules)
        blocks = runner.gather(pieces)
        text = runner.as_markdown(blocks)
        assert all(b.text.split()[0] in text for b in boxes)
        for read_once in (pieces, [row for block in blocks for row in block.rows]):
            indices = sorted(b.index for b in runner.boxes.flat(read_once))
            assert indices == sorted(b.index for b in boxes)


@pytest.mark.parametrize("length", [1, 1999, 2000, 2001, 3800, 3801, 20_000])
def test_tiles_cover_everything_and_share_an_edge(length):
    starts = runner.lines.cuts(length)
    assert starts[0] == 0
    assert starts[-1] + runner.lines.TILE >= length
    steps = [b - a for a, b in itertools.pairwise(starts)]
    assert all(0 < step <= runner.lines.TILE - runner.lines.OVERLAP for step in steps)


def test_lines_are_read_together_with_lines_of_like_width():
    shapes = [30.0, 6.0, 6.1, 20.0, 21.0, 6.2, 6.3, 6.4, 6.5]
    groups = runner.reading.batches(shapes)
    assert groups == [[1, 2, 5, 6, 7, 8], [3, 4], [0]]


def test_a_rule_parts_what_is_below_from_the_columns_above():
    boxes = [*prose(0, 0, 0, 4), *prose(340, 0, 4, 5), box(0, 170, "1 A note below.")]
    shuffled = random.Random(7).sample(boxes, len(boxes))
    rows = runner.arrange(shuffled, rules=[(0, 150, 640, 152)])
    assert runner.compose(rows).split("\n")[-1] == "1 A note below."


def test_what_a_frame_holds_stays_together():
    boxes = [
        *prose(0, 0, 0, 8),
        box(340, 28, "FOR SALE"),
        box(340, 56, "One boat"),
        box(340, 0, "x"),
    ]
    text = runner.compose(runner.arrange(boxes, [(330, 20, 600, 80)]))
    assert "FOR SALE\nOne boat" in text


def test_the_cells_of_a_ruled_table_are_read_whole():
    boxes = [
        box(5, 25, "term"),
        box(105, 5, "its meaning,"),
        box(105, 35, "which wraps"),
        box(5, 85, "b"),
    ]
    cells = [(0, 0, 100, 60), (101, 0, 300, 60), (0, 61, 100, 120), (101, 61, 300, 120)]
    assert runner.compose(runner.arrange(boxes, cells)) == "term\tits meaning, which wraps\nb\t"


def test_a_line_above_columns_that_it_crosses_stands_above_them_all():
    rows = [("Name", "Duty", "Days"), ("Ann", "opens the hall", "Monday"),
            ("Ben", "teaches drawing", "Tuesday"), ("Cleo", "cooks", "Friday")]  # fmt: skip
    cells = [
        box(x, 28 + 28 * i, text)
        for i, row in enumerate(rows)
        for x, text in zip((0, 150, 480), row, strict=True)
    ]
    text = read(box(0, 0, "Staff duties in summer"), *cells)
    assert text.split("\n") == ["Staff duties in summer", *("\t".join(row) for row in rows)]


def test_furigana_beside_a_vertical_line_are_left_out():
    line, next_line = (box(x, 0, text, width=30, height=240) for x, text in
                       ((90, "朝早く起きて海辺"), (40, "まで歩いた波は静")))  # fmt: skip
    furigana = box(116, 4, "あさ", width=16, height=28), box(118, 110, "お", width=14, height=14)
    assert read(line, next_line, *furigana) == "朝早く起きて海辺\nまで歩いた波は静"


def test_signatures_side_by_side_below_a_line_are_a_row():
    cells = [box(x, 32, text) for x, text in ((0, "Clerk: Lee"), (340, "Check: Wu"), (660, "Ann"))]
    above = box(0, 0, "Total in words: one thousand")
    assert read(above, *cells) == "Total in words: one thousand\nClerk: Lee Check: Wu Ann"


def test_lines_at_slightly_uneven_distances_stay_rows():
    tops = (0, 23, 47, 71, 95, 119)
    boxes = [b for y in tops for b in (box(0, y, "some goods"), box(300, y, "1.25"))]
    lines = read(*boxes, box(0, 150, "Thank you")).split("\n")
    assert [line for line in lines if line] == ["some goods\t1.25"] * 6 + ["Thank you"]


def test_wrapped_cells_stay_with_their_row():
    rows = [("one", 2), ("two", 1), ("three", 2)]
    boxes, y = [], 0
    for number, (term, count) in enumerate(rows):
        boxes += [box(0, y, term), box(400, y, f"{number}.50")]
        boxes += [box(100, y + 24 * k, f"meaning {number} part {k}") for k in range(count)]
        y += 24 * count + 8
    assert read(*boxes).split("\n")[0] == "one\tmeaning 0 part 0 meaning 0 part 1\t0.50"


@pytest.mark.parametrize(
    ("left", "right", "down"),
    [
        (["床前明月光", "疑是地上霜"], ["白日依山尽", "黄河入海流"], True),
        (["• oil", "• rope"], ["• tar", "• sand"], True),
        (["The harbour", "master keeps"], ["Their names", "are cast"], True),
        (["Name:", "Born:"], ["Ada", "London"], False),
        (["Is it open?", "May dogs come?"], ["Yes, all day.", "On a lead."], False),
        (["rope", "tar"], ["1.20", "44.00"], False),
    ],
)
def test_evidence_tells_columns_from_rows(left, right, down):
    boxes = [box(x, 30 * i, t) for x, c in ((0, left), (300, right)) for i, t in enumerate(c)]
    assert (" ".join(read(*boxes).split()) == " ".join([*left, *right])) == down
