"""Images and PDF pages read aloud by the two embedded models, and heard again by a recogniser."""

import json
import wave

import numpy as np
import pytest
from PIL import Image

import orchestrator
from tests.integration.conftest import ROOT
from tests.integration.hearing import hear

FOX = "the quick brown fox jumps over the lazy dog"


def variant(path, number):
    """Write the fox with one dot more, so that no two images are the same."""
    with Image.open(ROOT / "examples" / "quick-fox.png") as opened:
        image = opened.convert("RGB")
    image.putpixel((number, 0), (254, 254, 254))
    image.save(path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Twelve images, each of the one English line."""
    folder = tmp_path_factory.mktemp("images")
    return [variant(folder / f"fox{number}.png", number) for number in range(12)]


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """A PDF of two pages: the receipt's upper part, and the fox."""
    path = tmp_path_factory.mktemp("document") / "doc.pdf"
    with Image.open(ROOT / "examples" / "receipt.png") as opened:
        receipt = opened.convert("RGB")
    receipt = receipt.crop((0, 0, receipt.width, receipt.height // 4))
    with Image.open(ROOT / "examples" / "quick-fox.png") as opened:
        receipt.save(path, save_all=True, append_images=[opened.convert("RGB")], resolution=100)
    return path


def samples_of(path):
    with wave.open(str(path), "rb") as reader:
        data = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
        return data, reader.getframerate()


def test_an_image_is_read_aloud(mm, tmp_path):
    image = ROOT / "examples" / "quick-fox.png"
    ended = mm("pipeline", "run", "read-aloud", "--image", image, "-o", "x.wav")
    assert ended.code == 0, ended
    assert hear(*samples_of(tmp_path / "x.wav")) == FOX


def test_twelve_images_and_a_pdf_are_read_aloud_in_order(mm, tmp_path, images, document):
    ended = mm(
        "pipeline", "run", "read-pages-aloud", *images, document,
        "-o", "all.wav", "-o", "audios=pages", "-o", "texts=texts", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended
    told = json.loads(ended.out)
    assert len(told["outputs"]["audios"]) == 14
    pages = sorted((tmp_path / "pages").iterdir())
    assert [path.name for path in pages] == [f"{number:04}.wav" for number in range(1, 15)]
    texts = [path.read_text().strip() for path in sorted((tmp_path / "texts").iterdir())]
    assert texts[:12] == ["The quick brown fox jumps over the lazy dog."] * 12
    assert texts[12].startswith("GREEN HILL GROCERY")
    assert texts[13] == texts[0]
    for number in (0, 11, 13):
        assert hear(*samples_of(pages[number])) == FOX
    whole, rate = samples_of(tmp_path / "all.wav")
    lengths = [len(samples_of(page)[0]) for page in pages]
    assert len(whole) == sum(lengths) + 13 * round(rate * 0.5)
    last = whole[-lengths[-1] :]
    assert hear(last, rate) == FOX

    # The same again takes everything from before; a new image runs alone.
    again = mm("pipeline", "run", "read-pages-aloud", *images, document, "-o", "again.wav")
    assert "read: 14 kept from before" in again.err
    assert "speak: 14 kept from before" in again.err
    assert (tmp_path / "again.wav").read_bytes() == (tmp_path / "all.wav").read_bytes()
    new = variant(tmp_path / "new.png", 100)
    more = mm("pipeline", "run", "read-pages-aloud", *images, new, document, "-o", "more.wav")
    assert "read: 1 done, 14 kept from before" in more.err


def test_a_blank_page_is_a_pause_and_a_document_without_text_fails(mm, tmp_path, images):
    blank = tmp_path / "blank.png"
    Image.new("RGB", (600, 800), "white").save(blank)

    def aloud(*files):
        places = ("-o", "all.wav", "-o", "audios=pages")
        return mm("pipeline", "run", "read-pages-aloud", *files, *places)

    none = aloud(blank, blank)
    assert none.code == 1
    assert none.err.count("none of the 2 items had a text to speak") == 1
    assert not (tmp_path / "all.wav").exists()
    once = mm("pipeline", "run", "read-aloud", "--image", blank, "-o", "all.wav")
    assert (once.code, once.err.count("there is no text to speak")) == (1, 1)
    for ended in (none, once):
        assert "same command" not in ended.err
        assert "alone: " not in ended.err

    ended = aloud(images[0], blank, images[1])
    assert ended.code == 0, ended
    assert ended.err.count(f"{blank}: there is no text to speak; passed over\n") == 1
    pages = sorted((tmp_path / "pages").iterdir())
    assert [page.name for page in pages] == ["0001.wav", "0003.wav"]
    whole, rate = samples_of(tmp_path / "all.wav")
    first, last = (len(samples_of(page)[0]) for page in pages)
    assert len(whole) == first + last + 2 * round(rate * 0.5)
    assert hear(whole[-last:], rate) == FOX


def test_pages_of_a_pdf_are_items_of_a_batch(mm, tmp_path, document):
    ended = mm("batch", "ocr", document, "-o", "out.jsonl")
    assert ended.code == 0, ended
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["input"] for line in lines] == [f"{document}#page=1", f"{document}#page=2"]
    assert lines[1]["outputs"]["text"] == "The quick brown fox jumps over the lazy dog."
    one = mm("batch", "ocr", f"{document}#page=2", "-o", "-")
    assert json.loads(one.out)["outputs"]["text"] == lines[1]["outputs"]["text"]
    assert json.loads(one.out)["receipt"] == lines[1]["receipt"]


def test_the_same_from_python(workplace, monkeypatch, tmp_path, images):
    for name, value in workplace.items():
        monkeypatch.setenv(name, value)
    pipeline = orchestrator.Pipeline.load("read-aloud")
    with orchestrator.Session() as session:
        outcome = pipeline.run(session, image=images[0])
        assert outcome["text"] == "The quick brown fox jumps over the lazy dog."
        audio = outcome["audio"]
        assert hear(audio.samples, audio.rate) == FOX
        audio.save(tmp_path / "x.wav")

        written = orchestrator.Pipeline(
            "count-words",
            inputs={"images": orchestrator.Input(type="image", list=True, required=True)},
            steps=[
                orchestrator.Step(
                    id="read",
                    run="ocr",
                    foreach="${{ inputs.images }}",
                    with_={"image": "${{ item }}", "min_score": 0.1},
                )
            ],
            outputs={"texts": "${{ steps.read.text }}"},
        )
        outcome = written.run(session, images=images[:3])
        assert [text.split()[1] for text in outcome["texts"]] == ["quick"] * 3
        with pytest.raises(orchestrator.UsageError, match="no such file"):
            written.run(session, images=["nowhere.png"])
    wrong = orchestrator.Pipeline(
        "wrong",
        steps=[orchestrator.Step(id="speak", run="tts", with_={"text": "${{ steps.read.text }}"})],
        outputs={"audio": "${{ steps.speak.audio }}"},
    )
    with pytest.raises(orchestrator.ManifestError, match="there is no step 'read'"):
        wrong.run()
