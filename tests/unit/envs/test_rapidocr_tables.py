"""Tables keep their rows and cells."""

import pytest

from tests.unit.envs.runners import Job, load_runner

runner = load_runner("rapidocr")


def line(x, y, text, *, width=None, height=20, **more):
    """Return a line at (x, y) as the reader sees it; its letters are half as wide as high."""
    x1, y1 = x + (width or len(text) * height / 2), y + height
    polygon = [[x, y], [x1, y], [x1, y1], [x, y1]]
    return {"polygon": polygon, "text": text, "score": 0.99, **more}


def arranged(lines, *, frames=(), turn=0, **options):
    seen = {"lines": lines, "turn": turn, "frames": frames, "rules": (), "blank": False}
    return runner.arranged(seen, Job(), **options)


def texts(table):
    return [[cell["text"] for cell in row] for row in table["rows"]]


GOODS = [("Rope", "40", "1.85"), ("Brass cleat", "6", "14.20"), ("Paint", "3", "32.50")]


def goods(rows=GOODS, *, step=30, **more):
    return [
        line(x, step * i, text, **more)
        for i, row in enumerate(rows)
        for x, text in zip((0, 200, 300), row, strict=True)
        if text
    ]


def test_a_table_has_its_cells_and_where_they_are():
    outputs = arranged(goods())
    (table,) = outputs["tables"]
    assert texts(table) == [list(row) for row in GOODS]
    assert table["box"] == [0, 0, 350, 80]
    assert table["rows"][1][2] == {"text": "14.20", "box": [300, 30, 350, 50]}
    assert outputs["text"] == "\n".join("\t".join(row) for row in GOODS)
    assert [box["block"] for box in outputs["boxes"]] == [table["block"]] * 9
    assert {box["role"] for box in outputs["boxes"]} == {"table"}


def test_an_empty_cell_keeps_its_place():
    rows = [GOODS[0], ("Cleat", "", "14.20"), GOODS[2], ("Tar", "5", "22.00")]
    outputs = arranged(goods(rows))
    assert outputs["text"].split("\n")[1] == "Cleat\t\t14.20"
    assert outputs["tables"][0]["rows"][1][1] == {"text": "", "box": None}


def test_a_line_below_a_table_is_none_of_its_rows():
    outputs = arranged([*goods(), line(0, 95, "Thank you")])
    assert len(outputs["tables"][0]["rows"]) == 3
    assert outputs["boxes"][-1]["role"] == "paragraph"
    assert outputs["text"].endswith("\nThank you")


def test_a_title_in_bold_parts_a_table():
    lines = goods([*GOODS, ("Second", "", ""), *GOODS], stroke=2.0)
    next(one for one in lines if one["text"] == "Second")["stroke"] = 3.0
    outputs = arranged(lines)
    assert [len(table["rows"]) for table in outputs["tables"]] == [3, 3]
    assert "\nSecond\n" in outputs["text"]


def test_the_lines_of_a_wrapped_cell_are_one_text():
    lines, y = [], 0
    for number, count in enumerate((2, 1, 2)):
        lines += [line(0, y, f"term {number}"), line(500, y, f"{number}.50")]
        lines += [line(100, y + 24 * k, f"its meaning, part {k}") for k in range(count)]
        y += 24 * count + 8
    (table,) = arranged(lines)["tables"]
    assert texts(table)[0] == ["term 0", "its meaning, part 0 its meaning, part 1", "0.50"]
    assert texts(table)[1] == ["term 1", "its meaning, part 0", "1.50"]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_line_that_reaches_over_two_cells_is_cut_where_its_ink_has_a_gap(turn):
    lines = goods([("Article", "", "Sum"), *GOODS])
    lines[0] = line(0, 0, "Article Number", width=260, gaps=[(70 / 260, 200 / 260, 7)])
    for one in lines:
        for _ in range(turn // 90):
            one["polygon"] = [[y, 400 - x] for x, y in one["polygon"]]
        if turn == 180:  # a detector begins at the top left of what it sees
            one["polygon"] = one["polygon"][2:] + one["polygon"][:2]
        elif turn == 90:
            one["polygon"] = one["polygon"][1:] + one["polygon"][:1]
        elif turn == 270:
            one["polygon"] = one["polygon"][3:] + one["polygon"][:3]
    outputs = arranged(lines, turn=turn)
    assert outputs["text"].split("\n")[:2] == ["Article\tNumber\tSum", "Rope\t40\t1.85"]


def test_a_line_with_a_wide_gap_stays_whole_where_no_column_stands():
    lines = [line(0, 30 * k, "a line of prose that is long") for k in range(4)]
    lines[1]["gaps"] = [(0.4, 0.5, 9)]
    assert len(arranged(lines)["boxes"]) == 4


def test_justified_lines_are_not_cut_where_their_words_are_set_apart():
    lines = [line(0, 24 * k, "a line of justified prose", width=300) for k in range(8)]
    for k in (1, 3, 4):
        lines[k]["gaps"] = [(0.7, 0.78, 16)]
    assert len(arranged(lines)["boxes"]) == 8


def test_boxes_that_overlap_are_still_cells():
    lines = goods()
    lines[3] = line(0, 30, "Brass cleat", width=210, overshoot=(0, 0.4))
    assert arranged(lines)["text"].split("\n")[1] == "Brass cleat\t6\t14.20"


def test_ruled_cells_may_reach_over_columns_and_rows():
    lines = [line(5, 5, "tides"), line(5, 65, "ebb"), line(105, 35, "low"), line(205, 35, "high")]
    lines += [line(105, 65, "0.4"), line(205, 65, "3.1"), line(205, 5, "metres")]
    frames = [(0, 0, 99, 59), (101, 0, 299, 29), (101, 31, 199, 59), (201, 31, 299, 59)]
    frames += [(0, 61, 99, 90), (101, 61, 199, 90), (201, 61, 299, 90)]
    outputs = arranged(lines, frames=frames)
    (table,) = outputs["tables"]
    assert texts(table) == [["tides", "metres"], ["low", "high"], ["ebb", "0.4", "3.1"]]
    assert table["rows"][0][0]["rowspan"] == 2
    assert table["rows"][0][1]["colspan"] == 2
    assert outputs["text"] == "tides\tmetres\t\n\tlow\thigh\nebb\t0.4\t3.1"


def test_frames_below_each_other_are_no_table():
    lines = [line(5, 5 + 30 * k, f"box {k}") for k in range(3)]
    outputs = arranged(lines, frames=[(0, 30 * k, 200, 30 * k + 29) for k in range(3)])
    assert outputs["tables"] == []
    assert outputs["text"] == "box 0\nbox 1\nbox 2"


def test_a_column_that_a_fold_has_cut_off_is_dropped():
    lines = [line(5, 5, "a"), line(205, 5, "b"), line(5, 35, "c"), line(205, 35, "d")]
    edges = [(0, 99), (101, 149), (151, 199), (201, 299)]
    frames = [(x0, y, x1, y + 29) for x0, x1 in edges for y in (0, 30)]
    assert texts(arranged(lines, frames=frames)["tables"][0]) == [["a", "b"], ["c", "d"]]


def test_notes_in_the_margin_are_no_table():
    lines = [line(0, 0, "What is", height=15), line(0, 150, "What is not", height=15)]
    lines += [line(200, 24 * i, f"the first paragraph, its line {i}") for i in range(4)]
    lines += [line(200, 150 + 24 * i, f"the second paragraph, line {i}") for i in range(4)]
    outputs = arranged(lines)
    assert outputs["tables"] == []
    assert outputs["text"].split("\n")[0] == "What is"


@pytest.mark.parametrize(
    ("rows", "head"),
    [
        ([("Article", "Number", "Price"), *GOODS], True),
        (GOODS, False),
        ([("Term", "Stands", "Means"), ("ebb", "low", "falls"), ("flood", "high", "comes")], False),
    ],
)
def test_a_head_is_known_by_the_numbers_below_it(rows, head):
    assert arranged(goods(rows), layout="rows")["tables"][0]["head"] is head


def test_a_head_is_known_by_its_bold_letters():
    rows = [("Term", "Stands", "Means"), ("ebb", "low", "falls"), ("flood", "high", "comes")]
    lines = goods(rows, stroke=2.0)
    for one in lines[:3]:
        one["stroke"] = 3.0
    assert arranged(lines, layout="rows")["tables"][0]["head"] is True
