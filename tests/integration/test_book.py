"""Drawn pages become an audiobook; a text that is corrected changes what hangs on it alone."""

import json
import wave
from itertools import pairwise

import av
import numpy as np
import pytest
import yaml
from PIL import Image

from tests.books.score import error, headings, words
from tests.books.texts import english
from tests.books.typeset import BUILT_IN, Layout, draw, typeset
from tests.integration.browser import Document
from tests.integration.conftest import ROOT

TRUTH = english(2, 2, table=False, section=False)
RATE = 16_000
LAYOUT = Layout(
    width=760, height=780, margin=90, size=22, fonts=BUILT_IN, first=417,
    head=("The Purple Elephant|{page}", "{page}|The Purple Elephant"),
)  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book") / "harbour"
    folder.mkdir()
    for number, sheet in enumerate(typeset(TRUTH, LAYOUT), start=8):  # 10 comes behind 9
        draw(sheet, LAYOUT).save(folder / f"page{number}.png")
    assert len(list(folder.iterdir())) == 3
    return folder


def counts(ended):
    """Return what the summary says of each step."""
    lines = [line.removeprefix("mm: ").partition(": ") for line in ended.err.splitlines()]
    return {step: what for step, _, what in lines if "done" in what or "kept" in what}


def cut_into_chapters(path):
    """Write what sounds between the chapter marks of a book as WAV files, and return these."""
    with av.open(str(path)) as book:
        marks = [float(each["start"] * each["time_base"]) for each in book.chapters()]
        resampler = av.AudioResampler("s16", "mono", RATE)
        frames = [part for frame in book.decode(audio=0) for part in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    parts = np.split(samples, [round(mark * RATE) for mark in marks[1:]])
    paths = [path.with_name(f"chapter{number}.wav") for number in range(1, len(parts) + 1)]
    for target, part in zip(paths, parts, strict=True):
        with wave.open(str(target), "wb") as writer:
            writer.setparams((1, 2, RATE, 0, "NONE", ""))
            writer.writeframes(part.tobytes())
    return paths


def broken_words():
    """Return the words that are broken over the lines, columns or pages of the drawn book."""
    lines = [run.text.strip() for sheet in typeset(TRUTH, LAYOUT) for run in sheet.runs]
    lines = [line for line in lines if "Elephant" not in line and not line.isdecimal()]
    pairs = [pair for pair in pairwise(lines) if pair[0].endswith("-")]
    return {above.split()[-1][:-1] + below.split()[0].strip(".,") for above, below in pairs}


def test_three_pages_become_a_book_and_a_corrected_text_changes_what_hangs_on_it(
    mm, tmp_path, pages
):
    ended = mm("book", pages, "-o", "text.md", "--author", "A. Writer")
    assert ended.code == 0, ended
    assert counts(ended) == {"pages": "1 done", "read": "3 done", "book": "1 done"}
    ended = mm(
        "book", pages, "-o", "book.m4b", "-o", "book.srt", "-o", "book.md", "--author", "A. Writer"
    )
    assert ended.code == 0, ended
    assert counts(ended)["read"] == "3 kept from before"

    text = (tmp_path / "book.md").read_text()
    assert text == (tmp_path / "text.md").read_text()
    said = " ".join(
        line for line in (tmp_path / "book.srt").read_text().splitlines()
        if line and "-->" not in line and not line.isdecimal()
    )  # fmt: skip
    truth = [each.text for each in TRUTH.elements if each.kind != "footnote"]
    right = words(" ".join(truth).replace("[^1]", "").replace("[^2]", ""))
    assert error(words(said), right) <= 0.02
    with av.open(str(tmp_path / "book.m4b")) as book:
        titles = [chapter["metadata"]["title"] for chapter in book.chapters()]
        assert book.metadata["title"] == "harbour"
        assert book.metadata["artist"] == "A. Writer"
    assert titles == [title for _, title in headings(TRUTH)]

    assert mm("pipeline", "report", "-o", "book.html").code == 0
    page = Document(tmp_path / "book.html")
    assert len(page.texts('[class="columns"] img')) == 3  # each with what is spoken of it
    sounds = page.attributes(".passage audio", "src")
    assert len(sounds) == len(page.texts(".passage p")) > len(titles)
    assert any(url.startswith("data:audio/mpeg") for url in sounds)
    assert page.texts(".passage p")[0] == titles[0]
    assert not [heading for heading in page.texts("h2") if "Items of book" in heading]
    heard = []
    for chapter, title, ending in zip(
        cut_into_chapters(tmp_path / "book.m4b"),
        titles,
        ("foundations", "immediately"),
        strict=True,
    ):
        ended = mm("run", "asr", "--audio", chapter, "--language", "en")
        assert ended.code == 0, ended
        found = words(ended.out)
        assert found[:2] == words(title)[:2]
        assert set(found[2:6]) & set(words(title)[2:])
        assert found[-1] == ending
        heard += found
    assert broken_words() <= set(heard)
    assert not set(heard) & {"purple", "elephant", "417", "418", "419"}

    (tmp_path / "book.md").write_text(text.replace("On quiet mornings", "On noisy mornings"))
    ended = mm("book", "book.md", "-o", "again.m4b", "-o", "plan.json")
    assert ended.code == 0, ended
    passages = len(json.loads((tmp_path / "plan.json").read_text())["passages"])
    assert counts(ended)["speak"] == f"1 done, {passages - 1} kept from before"

    ended = mm("book", "book.md", "-o", "out/{number} {title}.wav")
    assert ended.code == 0, ended
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == [f"{number} {title}.wav" for number, title in enumerate(titles, start=1)]


MANIFEST = """\
name: {name}
task: {{task}}
summary: A model of which the name says what it does
environment: {{python: ">=3.10", dependencies: []}}
timeouts: {{load: 60, run: 60}}
inputs:
  image: {{type: image}}
  text: {{type: text}}
outputs:
  text: {{type: text, primary: true}}
  audio: {{type: audio}}
"""

RUNNERS = {
    "markdown-reader": """
        def load(context): ...
        def run(model, job, *, image):
            return {"text": "The Sea\\n\\n# Chapter 1. On\\n\\nIt was a long arrange-\\nment."}
        """,
    "clicker": """
        import array
        def load(context): ...
        def run(model, job, *, text):
            sound = array.array("h", [9000, -9000] * 50 * len(text))
            return {"audio": (sound, 16000), "text": text}
        """,
}


def test_models_that_read_markdown_alone_and_speak_are_chosen_by_options(mm, tmp_path, declare):
    manifests = [
        declare({name: RUNNERS[name]}, MANIFEST.replace("{{task}}", task))
        for name, task in (("markdown-reader", "ocr"), ("clicker", "tts"))
    ]
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    ended = mm(
        "book", "a.png", "--manifests", manifests[0],
        "--manifests", manifests[1], "--read", "markdown-reader",
        "--speak", "clicker", "-o", "a.opus", "-o", "a.md", "-o", "a.epub.json",
    )  # fmt: skip
    assert ended.code == 0, ended
    assert (
        (tmp_path / "a.md")
        .read_text()
        .endswith("The Sea\n\n# Chapter 1. On\n\nIt was a long arrangement.\n")
    )
    with av.open(str(tmp_path / "a.opus")) as book:
        assert book.duration > 1_000_000


PRETENDERS = {
    "deepseek-ocr-2": """
        def load(context): ...
        def run(model, job, *, image, **more):
            boxes = [{"label": "title", "box": [0, 0, 8, 2]}]
            text = "# One\\n\\nThe tide rose.\\n\\n# Two\\n\\nIt fell."
            return {"text": text, "raw": text, "boxes": boxes}
        """,
    "qwen3-tts": """
        import array
        def load(context): ...
        def run(model, job, *, text, speaker, language, **more):
            job.warn(f"{text} by {speaker} in {language}")
            return {"audio": (array.array("h", [9000, -9000] * 6000), 24000)}
        """,
}
"""Runners with the inputs and outputs of large models, and without their packages."""


def test_large_models_read_and_speak_a_book_in_the_same_command(mm, tmp_path, declare):
    manifests = []
    for name, runner in PRETENDERS.items():
        said = yaml.safe_load((ROOT / "manifests" / f"{name}.yaml").read_text())
        same = ("name", "task", "summary", "inputs", "outputs", "languages")
        kept = {key: said[key] for key in same if key in said}
        kept["environment"] = {"python": ">=3.10", "dependencies": []}
        shown = yaml.safe_dump(kept).replace("{", "{{").replace("}", "}}")
        manifests += ["--manifests", declare({name: runner}, shown)]
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    ended = mm(
        "book", "a.png", *manifests, "--read", "deepseek-ocr-2", "--speak", "qwen3-tts",
        "--voice", "ryan", "--language", "en", "-o", "a.m4b", "-o", "a.md",
    )  # fmt: skip
    assert ended.code == 0, ended
    assert "The tide rose. by ryan in en\n" in ended.err
    text = (tmp_path / "a.md").read_text()
    assert text.endswith("# One\n\nThe tide rose.\n\n# Two\n\nIt fell.\n")
    with av.open(str(tmp_path / "a.m4b")) as book:
        assert [chapter["metadata"]["title"] for chapter in book.chapters()] == ["One", "Two"]


SPEAKER = """
    def load(context): ...
    def run(model, job, *, text, language="auto"):
        import array
        job.warn(f"{text} in {language}")
        return {"audio": (array.array("h", [9000, -9000] * 400), 16000), "text": text}
    """


def test_the_language_of_a_book_chooses_its_voice_and_is_given_to_it(mm, tmp_path, declare):
    manifest = MANIFEST.replace("{{task}}", "tts\npreference: 99\nlanguages: [{languages}]")
    german = manifest.replace("inputs:", "inputs:\n  language: {{type: text}}")
    plain = declare({"plain": SPEAKER}, manifest.replace("{languages}", "en, zh"))
    german = declare({"german": SPEAKER}, german.replace("{languages}", "de"))
    (tmp_path / "a.md").write_text("Der Tag.\n\n海上的早晨。\n")
    more = ("--manifests", plain, "--manifests", german, "-o", "a.wav")
    ended = mm("book", "a.md", "--language", "de", *more)
    assert ended.code == 0, ended
    for line in ("tts for de: german (", "tts for Chinese: plain (",
                 ": Der Tag. in de\n", ": 海上的早晨。 in auto\n"):  # fmt: skip
        assert line in ended.err
    ended = mm("book", "a.md", "--language", "German", *more)
    assert "--language: 'German' is no tag of a language, such as en" in ended.err
    ended = mm("book", "a.md", "--language", "fi", *more)
    assert ended.code != 0
    assert "no model of the task tts speaks fi" in ended.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gone.md", "-o", "a.m4b"], "gone.md: there is no such file"),
        (["a.md"], "no place for the book is given; add -o book.m4b"),
        (["a.md", "-o", "a.xyz"], "a.xyz: is no sound of a book"),
        (["empty", "-o", "a.md"], "empty: holds no image and no PDF"),
        (["a.md", "-o", "a.md2.md", "--chapters", "gone.txt"], "gone.txt: cannot be read"),
        (["blank.md", "-o", "b.md"], "no text was found"),
        (["a.md", "-o", "a.m4b", "--chapters", "a.md"], "'Words.' is no page and title"),
        (["a.md", "-o", "a.m4b", "--pages", "4"], "none of the files has pages"),
        (["a.md", "-o", "a.m4b", "--cover", "a.md"], "a.md: cannot be a cover"),
        (["a.md", "-o", "a.m4b", "--voice", "af_sk"], "--voice: there is no voice 'af_sk'; did"),
        (["a.md", "-o", "a.m4b", "--speed", "9"], "--speed 9.0: 9.0 is above the maximum"),
        (["a.md", "-o", "a.m4b", "--speak", "hibari", "--voice", "x"], "hibari has one voice"),
    ],
)
def test_what_cannot_be_a_book_is_refused_in_a_sentence(mm, tmp_path, arguments, sentence):
    (tmp_path / "a.md").write_text("Words.\n")
    (tmp_path / "blank.md").write_text("\n---\n")
    (tmp_path / "empty").mkdir()
    ended = mm("book", *arguments)
    assert ended.code != 0
    assert sentence in ended.err
