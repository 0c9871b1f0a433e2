"""Books of sound, checked by reading the files again with a decoder."""

import contextlib
import io
import wave
import zipfile
from xml.etree import ElementTree as ET

import av
import numpy as np
import pytest
from PIL import Image

from orchestrator.audiobook.sounds import PEAK, Meter
from orchestrator.errors import Cancelled, UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.steps import Emit, Progress, builtin

FORMATS = ("m4b", "mp3", "opus", "flac", "wav")
PLAN = {
    "title": "The tide 潮",
    "author": "Ann Lee",
    "language": "en",
    "chapters": [{"title": "One", "first": 0}, {"title": "第二章", "first": 2}],
    "passages": [
        {"chapter": 0, "kind": "heading", "pause": 1.0, "language": "en", "text": "One"},
        {"chapter": 0, "kind": "paragraph", "pause": 0.5, "language": "en", "text": "The tide."},
        {"chapter": 1, "kind": "heading", "pause": 0.25, "language": "zh", "text": "第二章"},
        {"chapter": 1, "kind": "paragraph", "pause": 0.5, "language": "zh", "text": "潮水。"},
    ],
}  # fmt: skip


def noise(path, seconds=1.0, level=0.1, rate=24000, channels=1):
    """Write a sound like speech: noise in syllables."""
    count = round(seconds * rate)
    generator = np.random.default_rng(count)
    wave_ = level * generator.standard_normal(count) * (np.sin(np.arange(count) / rate * 20) ** 2)
    samples = np.repeat(np.clip(wave_ * 32767, -32768, 32767).astype("<i2"), channels)
    with wave.open(str(path), "wb") as writer:
        writer.setparams((channels, 2, rate, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())
    return path


@pytest.fixture
def sounds(tmp_path):
    quiet = {"level": 0.02, "rate": 22050}
    return [
        noise(tmp_path / "0.wav", 1.0),
        noise(tmp_path / "1.wav", 3.0, channels=2),
        noise(tmp_path / "2.wav", 1.5, **quiet),
        noise(tmp_path / "3.wav", 2.5, **quiet),
    ]


def book(directory, sounds, plan=PLAN, ask=False, **values):
    directory.mkdir(exist_ok=True)
    with contextlib.closing(Cancellation()) as cancellation:
        if ask:
            cancellation.request()
        given = {"audios": sounds, "plan": plan, **values}
        made = list(builtin("audiobook").run(given, directory, cancellation))
    emitted = [each for each in made if isinstance(each, Emit)]
    passages = len(plan["passages"])
    assert [each for each in made if isinstance(each, Progress)] == [
        (number, passages) for number in range(1, passages + 1)
    ]
    files = [(each.label, each.value) for each in emitted if each.output == "files"]
    return {**{each.output: each.value for each in emitted}, "files": files}


def samples_of(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        resampler = av.AudioResampler("flt", "mono", 24000)
        parts = [part for frame in [*frames, None] for part in resampler.resample(frame)]
    return np.concatenate([part.to_ndarray()[0] for part in parts])


def loudness(path, directory, first=0.0, last=None):
    """Return the integrated loudness of a stretch of a file, in LUFS."""
    samples = samples_of(path)[round(first * 24000) : last and round(last * 24000)]
    part = directory / "part.wav"
    with wave.open(str(part), "wb") as writer:
        writer.setparams((1, 2, 24000, 0, "NONE", ""))
        writer.writeframes((samples * 32767).astype("<i2").tobytes())
    meter = Meter(directory / "meter")
    meter.feed(part)
    return -18 - meter.gain()


@pytest.fixture
def cover(tmp_path):
    path = tmp_path / "cover.png"
    Image.new("RGB", (1500, 2000), (10, 90, 160)).save(path)
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_has_chapters_tags_a_cover_and_its_length(form, tmp_path, sounds, cover):
    made = book(tmp_path / "out", sounds, format=form, cover=cover)
    again = book(tmp_path / "again", sounds, format=form, cover=cover)
    assert made["audio"].name == f"book.{form}"
    assert again["audio"].read_bytes() == made["audio"].read_bytes()
    with av.open(str(made["audio"])) as container:
        tags = {**container.metadata, **container.streams.audio[0].metadata}
        chapters = [
            (round(float(each["start"] * each["time_base"]), 2), each["metadata"]["title"])
            for each in container.chapters()
        ]
        pictures = [stream.codec_context for stream in container.streams.video]
        assert container.duration / 1e6 == pytest.approx(10.25, abs=0.1)
        assert container.streams.audio[0].codec_context.layout.nb_channels == 1
    assert (tags["title"], tags["artist"]) == ("The tide 潮", "Ann Lee")
    if form != "wav":
        assert chapters == [(0.0, "One"), (5.5, "第二章")]
        assert [(each.width, each.height) for each in pictures] == [(1050, 1400)]


def test_every_voice_has_one_loudness_and_pauses_are_silent(tmp_path, sounds):
    made = book(tmp_path / "out", sounds, format="flac")
    assert loudness(made["audio"], tmp_path) == pytest.approx(-18, abs=0.5)
    assert loudness(made["audio"], tmp_path, 0, 5) == pytest.approx(-18, abs=0.5)
    assert loudness(made["audio"], tmp_path, 5.5) == pytest.approx(-18, abs=0.5)
    samples = samples_of(made["audio"])
    for begin, end in ((1.0, 2.0), (5.0, 5.5), (7.0, 7.25), (9.75, 10.25)):
        assert np.abs(samples[round(begin * 24000) : round(end * 24000)]).max() < 1e-4
    for begin in (2.0, 5.5, 7.25):  # begins at once, and from silence
        start = samples[round(begin * 24000) :]
        assert abs(start[0]) < 1e-3
        assert np.abs(start[:2400]).max() > 1e-3


def test_peaks_stay_below_the_limit(tmp_path):
    click = noise(tmp_path / "0.wav", 4.0, level=0.01)
    with wave.open(str(click), "rb") as reader:
        samples = np.frombuffer(reader.readframes(96000), "<i2").copy()
    samples[[24000, 48000]] = 32000, -32000
    with wave.open(str(click), "wb") as writer:
        writer.setparams((1, 2, 24000, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())
    made = book(tmp_path / "out", [click], {"passages": [{}]}, format="flac")
    highest = np.abs(samples_of(made["audio"])).max()
    assert PEAK * 0.9 < highest <= PEAK + 1e-3


def test_subtitles_say_what_is_spoken_when(tmp_path, sounds):
    made = book(tmp_path / "out", [sounds[0], None, *sounds[2:]], format="wav")
    assert [(each["start"], each["end"], each["text"]) for each in made["segments"]] == [
        (0.0, 1.0, "One"), (2.0, 3.5, "第二章"), (3.75, 6.25, "潮水。"),
    ]  # fmt: skip
    assert "00:00:02,000 --> 00:00:03,500\n第二章" in made["subtitles"]
    texts = ["a", None, "b", "c"]
    made = book(tmp_path / "out", sounds, format="wav", passages=texts)
    assert [each["text"] for each in made["segments"]] == ["a", "b", "c"]


def test_one_file_for_each_chapter(tmp_path, sounds, cover):
    made = book(tmp_path / "out", sounds, format="mp3", split=True, cover=cover, title="Mine")
    assert "audio" not in made
    assert [label for label, _ in made["files"]] == ["One", "第二章"]
    for (_, path), seconds, track in zip(made["files"], (5.5, 4.75), ("1/2", "2/2"), strict=True):
        with av.open(str(path)) as container:
            assert container.duration / 1e6 == pytest.approx(seconds, abs=0.1)
            assert container.metadata["album"] == "Mine"
            assert container.metadata["track"] == track
            assert container.chapters() == []


def test_what_comes_before_the_first_chapter_is_one_and_a_silent_one_is_none(tmp_path, sounds):
    chapters = [{"title": title, "first": first} for title, first in (("A", 1), ("B", 2), ("C", 3))]
    plan = {**PLAN, "chapters": chapters}
    made = book(tmp_path / "out", [*sounds[:2], None, sounds[3]], plan, title=None)
    with av.open(str(made["audio"])) as container:
        titles = [each["metadata"]["title"] for each in container.chapters()]
    assert titles == ["The tide 潮", "A", "C"]


def test_an_epub_marks_each_passage_while_it_is_spoken(tmp_path, sounds, cover):
    texts = ["One & all", None, "第二章 <1>\x00", "潮水。"]
    given = [sounds[0], None, *sounds[2:]]
    made = book(tmp_path / "out", given, format="epub", cover=cover, passages=texts)["audio"]
    again = book(tmp_path / "again", given, format="epub", cover=cover, passages=texts)["audio"]
    assert made.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(made) as archive:
        assert archive.namelist()[0] == "mimetype"
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
        package = ET.fromstring(archive.read("book/package.opf"))
        listed = {each.get("href") for each in package.iter("{http://www.idpf.org/2007/opf}item")}
        inside = {name.removeprefix("book/") for name in archive.namelist() if "book/" in name}
        assert listed == inside - {"package.opf"}
        spoken = []
        for number, seconds in ((1, 2.0), (2, 4.75)):
            page = ET.fromstring(archive.read(f"book/chapter-{number}.xhtml"))
            lines = {each.get("id"): each for each in page.iter() if each.get("id")}
            overlay = ET.fromstring(archive.read(f"book/chapter-{number}.smil"))
            for par in overlay.iter("{http://www.w3.org/ns/SMIL}par"):
                text, audio = par
                line = lines[text.get("src").partition("#")[2]]
                spoken.append((line.tag.partition("}")[2], line.text, audio.get("clipBegin")))
            with av.open(io.BytesIO(archive.read(f"book/chapter-{number}.mp3"))) as sound:
                assert sound.duration / 1e6 == pytest.approx(seconds, abs=0.1)
                assert audio.get("clipEnd") == f"{seconds:.3f}s"
    assert spoken == [
        ("h2", "One & all", "0.000s"), ("h2", "第二章 <1>", "0.000s"), ("p", "潮水。", "1.750s"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="all of its chapters in one file"):
        book(tmp_path / "out", sounds, format="epub", split=True)


def test_options_win_over_the_plan(tmp_path, sounds):
    made = book(tmp_path / "out", sounds, title="T", author="A", bit_rate=32000)
    with av.open(str(made["audio"])) as container:
        assert (container.metadata["title"], container.metadata["artist"]) == ("T", "A")
        assert container.streams.audio[0].bit_rate == pytest.approx(32000, rel=0.3)


@pytest.mark.parametrize(
    ("count", "plan", "sentence"),
    [
        (3, PLAN, "the plan of the book has 4 passages, and 3 sounds were given"),
        (5, PLAN, "the plan of the book has 4 passages, and 5 sounds were given"),
        (0, {}, "there is no sound for a book$"),
        (4, {"passages": 3}, "is not valid: Expected `array`"),
        (4, {**PLAN, "chapters": [{"title": "x", "first": 9}]}, "not in the order"),
        (1, {"passages": [{"pause": 1e9}]}, "a pause that is not 0 to 60 seconds"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(count, plan, sentence, tmp_path, sounds):
    given = [*sounds, sounds[0]][:count]
    with pytest.raises(UsageError, match=sentence):
        book(tmp_path / "out", given, plan)


def test_a_book_needs_a_sound_that_can_be_read(tmp_path, sounds):
    with pytest.raises(UsageError, match="none of the 4 passages had a text to speak"):
        book(tmp_path / "out", [None] * 4)
    sounds[1].write_bytes(b"no sound")
    with pytest.raises(UsageError, match=r"1\.wav: is no WAV file that a book can have"):
        book(tmp_path / "out", sounds)


def test_a_cover_that_is_no_image_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "cover.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"cover\.png: cannot be a cover"):
        book(tmp_path / "out", iter(()), cover=tmp_path / "cover.png")


def test_it_stops_when_asked_to(tmp_path, sounds):
    with pytest.raises(Cancelled):
        book(tmp_path / "out", sounds, ask=True)
