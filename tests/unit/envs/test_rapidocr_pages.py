"""Pages as the reader sees them, without the reader: they come out in the order of their text."""

import html
import re

import pytest

from tests.pages.layouts import PAGES
from tests.pages.score import letters, score, spaces
from tests.pages.store import stored
from tests.pages.teds import mean_similarity, read_tables, tables_of
from tests.unit.envs.runners import Job, load_runner

runner = load_runner("rapidocr")
SEEN = stored()
BY_NAME = {page.name: page for page in PAGES if page.name in SEEN}


@pytest.mark.parametrize("name", list(SEEN))
def test_a_page_is_put_into_the_order_of_its_text(name):
    boxes = runner.arranged(SEEN[name], Job())["boxes"]
    assert score([box["text"] for box in boxes], BY_NAME[name].units).disorder == 0


@pytest.mark.parametrize(
    "name", [name for name, page in BY_NAME.items() if not page.degraded or tables_of(page.body)]
)
def test_a_page_has_the_tables_that_stand_on_it_and_no_others(name):
    tables = read_tables(runner.arranged(SEEN[name], Job())["tables"])
    assert mean_similarity(tables, tables_of(BY_NAME[name].body)) > 0.98


@pytest.mark.parametrize("name", [n for n, page in BY_NAME.items() if not page.degraded])
def test_the_headings_of_a_page_are_known(name):
    body, headings = BY_NAME[name].body, {}
    for box in runner.arranged(SEEN[name], Job())["boxes"]:
        if box["role"] == "heading":
            headings[box["block"]] = headings.get(box["block"], "") + letters(box["text"])
    expected, bold = (
        [letters(html.unescape(text)) for text in re.findall(f"<{tag}[^>]*>(.*?)</{tag}>", body)]
        for tag in ("h[1-3]", "b")
    )
    assert [text for text in headings.values() if text not in bold] == expected


def test_no_space_is_lost_or_invented_on_small_print():
    for name, page in BY_NAME.items():
        if page.kind == "small":
            lines = [box["text"] for box in runner.arranged(SEEN[name], Job())["boxes"]]
            wanted, lost, invented = spaces(lines, page.units)
            assert wanted > 150
            assert (lost, invented) == (0, 0)


@pytest.mark.parametrize("name", [name for name, page in BY_NAME.items() if page.turn % 90 == 0])
def test_a_page_is_turned_as_it_lies(name):
    assert SEEN[name]["turn"] == BY_NAME[name].turn % 360


@pytest.mark.parametrize(
    ("layout", "first"),
    [("columns", "The harbour in winter\n• Pack the tools"), ("rows", "The harbour in winter\tA")],
)
def test_layout_decides(layout, first):
    assert runner.arranged(SEEN["lists-00"], Job(), layout=layout)["text"].startswith(first)


def test_what_the_page_does_not_decide_is_said():
    job = Job()
    runner.arranged(SEEN["invoice-00"], job)
    assert job.said == [("log", "columns or rows? The page does not say; the input layout decides")]


def seen(*lines, blank=False):
    corners = [(0, 0), (90, 0), (90, 20), (0, 20)]
    return {
        "lines": [{"polygon": corners, "text": text, "score": score} for text, score in lines],
        "turn": 0,
        "frames": [],
        "rules": [],
        "blank": blank,
    }


def test_a_blank_page_is_an_empty_text():
    job = Job()
    outputs = runner.arranged(seen(blank=True), job)
    assert outputs["text"] == ""
    assert outputs["quality"]["blank"]
    assert not outputs["quality"]["doubtful"]
    assert job.said == []


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([("a fair line", 0.7)], "mean score 0.70, 0 of 1 lines left out"),
        ([("good", 0.99), ("x", 0.1), ("", 0.0)], "mean score 0.99, 2 of 3 lines left out"),
        ([("·", 0.99)], "or another model where the script is not Latin, Chinese or Japanese"),
        ([("x", 0.2)], "mean score none, 1 of 1 lines left out"),
        ([], "no text was found, though the page is not blank"),
    ],
)
def test_a_doubtful_page_is_warned_of(lines, reason):
    job = Job()
    assert runner.arranged(seen(*lines), job)["quality"]["doubtful"]
    ((kind, text),) = job.said
    assert kind == "warn"
    assert reason in text


def test_a_clear_page_is_not_warned_of():
    job = Job()
    quality = runner.arranged(seen(("good", 0.98), ("so so", 0.4)), job)["quality"]
    assert quality == {
        "score": 0.98, "lines": 1, "left_out": 1, "turn": 0, "blank": False, "doubtful": False,
    }  # fmt: skip
    assert job.said == []
