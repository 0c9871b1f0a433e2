"""The two models that need no download, on real images and heard by a real recogniser."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import orchestrator
from orchestrator.errors import Rejected
from tests.integration.conftest import ROOT
from tests.integration.hearing import hear
from tests.integration.reading import character_error_rate
from tests.pages.layouts import PAGES
from tests.pages.score import score

EXAMPLES = ROOT / "examples"
FOX = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def session(workplace):
    """A session in which both models are loaded once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in workplace.items():
            patch.setenv(name, value)
        with orchestrator.Session() as session:
            yield session


@pytest.fixture(scope="module")
def home(workplace):
    """The directory of the environments that the tests share."""
    return Path(workplace["MM_HOME"])


@pytest.mark.parametrize("name", ["receipt", "two-columns", "chinese", "quick-fox"])
def test_an_example_is_read_as_a_person_would_type_it(session, name):
    text = session.run("ocr", image=EXAMPLES / f"{name}.png")["text"]
    expected = (EXAMPLES / f"{name}.txt").read_text("utf-8")
    assert character_error_rate(text, expected) < 0.02


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests/pages/images").glob("*.png")), ids=lambda p: p.stem
)
def test_a_page_is_read_as_a_person_reads_it(session, path):
    (page,) = (page for page in PAGES if page.name == path.stem)
    result = session.run("ocr", image=path)
    assert score([box["text"] for box in result["boxes"]], page.units).right
    assert result["quality"]["turn"] == (page.turn % 360 if page.turn % 90 == 0 else 0)
    assert not result["quality"]["doubtful"]


@pytest.mark.parametrize("rotate", ["0", "90"])
def test_rotate_overrules_what_the_page_says(session, rotate):
    image = ROOT / "tests/pages/images/turned-00.png"
    assert session.run("ocr", image=image, rotate=rotate)["quality"]["turn"] == int(rotate)


def test_a_blank_page_is_no_fault_and_noise_is_doubtful(session, tmp_path):
    Image.new("L", (400, 300), 255).save(tmp_path / "blank.png")
    noise = np.random.default_rng(1).integers(0, 255, (300, 400), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    for name in ("blank", "noise"):
        result = session.run("ocr", image=tmp_path / f"{name}.png")
        assert result["text"] == ""
        assert result["quality"]["blank"] == (name == "blank")
        assert bool(result.receipt["warnings"]) == (name == "noise")


def test_rows_of_the_receipt_stay_rows(session):
    text = session.run("ocr", image=EXAMPLES / "receipt.png")["text"]
    lines = text.splitlines()
    assert "4\tTomatoes on the vine\t2.16" in lines
    assert "TOTAL\t23.50" in lines


def test_boxes_lie_where_the_text_is(session):
    result = session.run("ocr", image=EXAMPLES / "quick-fox.png")
    (box,) = result["boxes"]
    assert box["text"] == FOX
    assert 0.9 < box["score"] <= 1
    ink = np.asarray(Image.open(EXAMPLES / "quick-fox.png").convert("L")) < 128
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    (left, top), (right, bottom) = box["polygon"][0], box["polygon"][2]
    assert [left, top] == pytest.approx([columns[0], rows[0]], abs=12)
    assert [right, bottom] == pytest.approx([columns[-1], rows[-1]], abs=12)


def as_cmyk(fox, path):
    fox.convert("CMYK").save(path.with_suffix(".jpg"))
    return path.with_suffix(".jpg")


def as_16_bit(fox, path):
    Image.fromarray(np.asarray(fox.convert("L")).astype(np.uint16) * 257).save(path)
    return path


def on_nothing(fox, path):
    ink = Image.eval(fox.convert("L"), lambda value: 255 - value)
    sheet = Image.new("RGBA", fox.size, (0, 0, 0, 0))
    sheet.putalpha(ink)
    sheet.save(path)
    return path


def turned_by_exif(fox, path):
    exif = Image.Exif()
    exif[0x0112] = 6
    fox.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    return path


def upside_down(fox, path):
    fox.transpose(Image.Transpose.ROTATE_180).save(path)
    return path


def far_right_of_a_wide_sheet(fox, path):
    sheet = Image.new("L", (20_000, 400), 246)
    sheet.paste(fox.convert("L").resize((380, 60)), (19_500, 200))
    sheet.save(path)
    return path


@pytest.mark.parametrize(
    "prepare",
    [as_cmyk, as_16_bit, on_nothing, turned_by_exif, upside_down, far_right_of_a_wide_sheet],
)
def test_unusual_images_are_simply_read(session, tmp_path, prepare):
    with Image.open(EXAMPLES / "quick-fox.png") as fox:
        path = prepare(fox, tmp_path / "fox.png")
    assert session.run("ocr", image=path)["text"] == FOX


def test_tight_lines_that_a_tile_cuts_are_read_whole(session, tmp_path):
    sheet = Image.new("L", (20_000, 400), 246)
    with Image.open(EXAMPLES / "quick-fox.png") as fox:
        line = fox.convert("L").crop((20, 40, 740, 82))
    for number in range(4):
        sheet.paste(line, (1700, 100 + number * line.height))
    sheet.save(tmp_path / "foxes.png")
    assert session.run("ocr", image=tmp_path / "foxes.png")["text"] == "\n".join([FOX] * 4)


def test_one_pixel_holds_no_text(session, tmp_path):
    Image.new("RGB", (1, 1), "white").save(tmp_path / "dot.png")
    result = session.run("ocr", image=tmp_path / "dot.png")
    assert result["text"] == ""
    assert result["boxes"] == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Dear reader, this is no image.\n", "not an image"),
        ((EXAMPLES / "receipt.png").read_bytes()[:9000], "a damaged or incomplete image"),
    ],
)
def test_what_is_no_whole_image_is_rejected(session, tmp_path, content, reason):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(Rejected, match=reason):
        session.run("ocr", image=tmp_path / "x.png")


def test_the_fox_is_heard_word_for_word(session):
    audio = session.run("tts", text=FOX)["audio"]
    assert audio.rate == 24_000
    assert hear(audio.samples, audio.rate) == FOX.lower().rstrip(".")


def test_an_image_is_read_aloud(session, tmp_path):
    text = session.run("ocr", image=EXAMPLES / "quick-fox.png")["text"]
    audio = session.run("tts", text=text)["audio"]
    assert "quick brown fox" in hear(audio.samples, audio.rate)
    assert audio.save(tmp_path / "fox.wav").read_bytes()[:4] == b"RIFF"


def test_speech_comes_sentence_by_sentence(session):
    text = "The water rose. The water fell.\n\nThe boats came home."
    chunks = list(session.stream("tts", text=text))
    assert len(chunks) == 3
    whole = session.run("tts", text=text)["audio"]
    assert sum(chunk.duration for chunk in chunks) == pytest.approx(whole.duration)


def test_the_same_seed_gives_the_same_samples(session):
    one, two = (session.run("tts", text=FOX, seed=5)["audio"].samples for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("text", ["", "你好", "…!"])
def test_text_that_nobody_could_speak_is_rejected(session, text):
    with pytest.raises(Rejected):
        session.run("hibari", text=text)


def test_models_write_nothing_into_their_environments(session, home):
    def state():
        return {
            path: path.lstat().st_mtime_ns
            for path in (home / "envs").rglob("*")
            if "site-packages" in path.parts
        }

    session.run("ocr", image=EXAMPLES / "quick-fox.png")
    session.run("tts", text=FOX)
    before = state()
    session.run("ocr", image=EXAMPLES / "receipt.png")
    session.run("tts", text="Other words.")
    assert before == state()
    assert before
