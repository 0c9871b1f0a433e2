"""The pipeline `book` over models that are functions: pages are spoken while others are read."""

import json
import random
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.book import margins, passages, running
from orchestrator.book.pages import Readings
from orchestrator.errors import JobFailed
from orchestrator.pipelines import readiness
from orchestrator.steps.plain_text import plain_text
from tests.books.layouts import BOOKS
from tests.books.whole import book_of
from tests.pages.texts import ENGLISH
from tests.unit.pipelines.fakes import FakeModels, Run, sound

ROOT = Path(__file__).parents[3]
YAML = (ROOT / "manifests" / "pipelines" / "book.yaml").read_text(encoding="utf-8")
YAML = YAML.replace("name: book", "name: p", 1)
SEVERAL = YAML.replace("run: ocr,", "run: ocr, workers: 4,")
SEVERAL = SEVERAL.replace("run: tts,", "run: tts, workers: 2,")
AHEAD = running.AHEAD + margins.AHEAD
"""Pages behind a page that are known when it is decided."""


def recorded(name):
    lines = (ROOT / "tests" / "books" / "recorded" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [{"text": "", **json.loads(line)} for line in lines.splitlines()]


def long_book(count):
    """Return the pages of a reader that gives Markdown alone."""
    said = [f"{ENGLISH[n % len(ENGLISH)]} This is day {n}." for n in range(count)]
    return [{"text": f"A head\n\n{text}\n\n{n}"} for n, text in enumerate(said)]


def run(directory, pages, *before, yaml=YAML, see=str, say=str, **options):
    """Read and speak a book; `see` and `say` are called with each page and passage."""

    def read(image):
        see(int(image.stem))
        return pages[int(image.stem) - 1]

    def speak(text):
        say(text)
        return sound(*[1000] * 80)

    files = [directory / f"{number}.png" for number in range(1, len(pages) + 1)]
    for path in files:
        Image.new("L", (int(path.stem), 1)).save(path)  # no two alike
    models = FakeModels(ocr=read, tts=speak)
    found = Run(
        yaml, models, directory, files=[*before, *files],
        pdf_text="auto", footnotes="inline", tables="skip", chapters="auto", **options,
    )  # fmt: skip
    found.ran = [name for name, _ in models.ran]
    return found


def spoken(pages):
    """Return the plan and the texts of a book all of whose pages are there."""
    parts = [{"from": "image", "page": number} for number in range(1, len(pages) + 1)]
    markdowns, boxes = ([page.get(name) for page in pages] for name in ("markdown", "boxes"))
    book = book_of(parts, Readings([page["text"] for page in pages], markdowns, boxes))
    return passages.plan(book, passages.Rules(footnotes="inline"), plain_text)


@pytest.mark.parametrize("name", sorted(BOOKS))
def test_what_is_spoken_does_not_depend_on_when_pages_come_or_the_run_ends(name, tmp_path):
    pages, rng = recorded(name), random.Random(name)
    plan, texts = spoken(pages)
    bad = rng.randrange(2, len(pages) + 1)
    broken = {bad}

    def see(number):
        time.sleep(rng.uniform(0, 0.004))  # they end in any order
        if number in broken:
            broken.clear()
            raise JobFailed(f"no {number}")

    first = run(tmp_path, pages, yaml=SEVERAL, see=see)
    assert first.observed.failures == [("read", bad - 1, f"no {bad}")]
    second = run(tmp_path, pages, yaml=SEVERAL, see=see, store=first.store)
    assert [each.data for each in second.run_state.states["book"].flows["passages"]] == texts
    assert second.observed.failures == []
    assert [each["kind"] for each in second.output("plan")["passages"]] == [
        each.kind for each in plan.passages
    ]
    ran = first.ran + second.ran
    assert (ran.count("ocr"), ran.count("tts")) == (len(pages) + 1, len(set(texts)))


def test_the_first_page_is_spoken_while_a_later_one_is_read(tmp_path):
    pages, begun = long_book(40), threading.Event()

    def see(number):
        if number == AHEAD + 3:  # the first paragraph may go on on the second page
            assert begun.wait(60)

    found = run(tmp_path, pages, see=see, say=lambda text: begun.set())
    assert found.ran.count("tts") == len(found.output("plan")["passages"]) == 40


def test_a_page_that_fails_holds_up_no_other_and_is_read_alone_in_the_next_run(tmp_path):
    broken = {9}

    def see(number):
        if number in broken:
            raise JobFailed(f"no {number}")

    first = run(tmp_path, long_book(30), see=see, keep_going=True)
    assert [failure[:2] for failure in first.observed.failures] == [("read", 8)]
    assert first.ran.count("ocr") == 30
    broken.clear()
    second = run(tmp_path, long_book(30), see=see, store=first.store)
    assert second.ran.count("ocr") == 1
    assert (first.ran + second.ran).count("tts") == 30


def test_reading_does_not_run_away_from_a_slow_voice(tmp_path):
    beyond = threading.Event()
    passages_ahead = readiness.AHEAD + 2
    most = passages_ahead + AHEAD + readiness.AHEAD + 2  # that are decided, known, and read

    def see(number):
        if number > most:
            beyond.set()

    def say(text):
        if text.endswith(" day 0."):
            assert not beyond.wait(0.5)

    assert run(tmp_path, long_book(40), see=see, say=say).ran.count("tts") == 40


def test_text_before_the_first_image_neither_waits_for_it_nor_holds_it_back(tmp_path):
    before = [tmp_path / f"{number}.md" for number in range(12)]
    for path in before:
        path.write_text(f"Chapter {path.stem} begins.\n")
    said, seen = threading.Event(), threading.Event()

    def see(number):
        seen.set()
        assert said.wait(60)

    def say(text):
        said.set()
        assert seen.wait(60)

    found = run(tmp_path, long_book(3), *before, see=see, say=say)
    assert found.ran.count("tts") == 15
