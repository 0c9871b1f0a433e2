"""What `-o -` writes: chunks as they come, then the rest."""

import io
import resource
import struct
import wave

import pytest

from orchestrator.cli.streaming import SoundFile, Stream, sound_files
from orchestrator.core.value_checks import AudioValue
from orchestrator.errors import OutputError, UsageError
from orchestrator.jobs.results import Audio
from tests.sounds import heard, tone


def audio(*samples, rate=8000, channels=1):
    data = memoryview(struct.pack(f"<{len(samples)}h", *samples))
    shape = (len(samples) // channels, channels) if channels > 1 else (len(samples),)
    return Audio(AudioValue(data, "<i2", shape, rate))


class Left(io.BytesIO):
    """A pipe whose reader has left."""

    def write(self, data):
        raise BrokenPipeError


def streamed(*chunks, whole):
    target = io.BytesIO()
    stream = Stream("out", target.write, lambda: None)
    for chunk in chunks:
        stream.chunk(chunk)
    stream.end(whole)
    return target.getvalue()


def test_text_ends_with_a_line_end_and_comes_once():
    assert streamed("a", "bü", whole="abüc") == "abüc\n".encode()
    assert streamed("abc", whole="abc") == b"abc\n"


def test_the_samples_are_those_of_the_whole():
    sent = streamed(audio(1, 2), audio(3), whole=audio(1, 2, 3, 4))
    assert sent[44:] == struct.pack("<4h", 1, 2, 3, 4)
    wide = streamed(audio(1, 2, channels=2), whole=audio(1, 2, 3, 4, channels=2))
    assert wide[44:] == struct.pack("<4h", 1, 2, 3, 4)
    with wave.open(io.BytesIO(wide)) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getsampwidth()) == (2, 8000, 2)


@pytest.mark.parametrize(
    ("chunks", "whole"),
    [
        (["a"], "b"),
        ([audio(1, 2)], audio(1, 3)),
        ([audio(1, 2)], audio(1)),
        ([audio(1, 2)], audio(1, 2, rate=16000)),
        ([audio(1), audio(2, rate=16000)], audio(1, 2)),
    ],
)
def test_chunks_that_are_not_the_beginning_are_a_fault_of_the_model(chunks, whole):
    with pytest.raises(OutputError):
        streamed(*chunks, whole=whole)


def test_a_reader_that_has_left_is_reported_once():
    reports = []
    stream = Stream("out", Left().write, lambda: reports.append(1))
    stream.chunk("a")
    stream.chunk("b")
    assert stream.broken
    assert reports == [1]


def test_sound_is_encoded_while_it_comes_and_its_place_gets_it_whole(tmp_path):
    place = tmp_path / "it.mp3"
    place.write_bytes(b"what was there before")
    file = SoundFile("audio", place)
    file.chunk(tone(3.0))
    file.chunk(tone(3.0, begin=3.0))
    (part,) = [each for each in tmp_path.iterdir() if each != place]
    assert part.stat().st_size > 30_000
    assert place.read_bytes() == b"what was there before"
    file.end(tone(7.0))
    assert heard(place.read_bytes())["seconds"] == pytest.approx(7.0, abs=0.2)
    file.drop()
    assert list(tmp_path.iterdir()) == [place]


def test_a_job_that_ends_early_leaves_what_was_there(tmp_path):
    place = tmp_path / "it.mp3"
    place.write_bytes(b"what was there before")
    file = SoundFile("audio", place)
    file.drop()  # it has not begun
    file = SoundFile("audio", place)
    file.chunk(tone())
    with pytest.raises(OutputError):
        file.end(tone(0.5))
    file.drop()
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"what was there before"]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    file = SoundFile("audio", tmp_path / "gone" / "it.mp3")
    with pytest.raises(UsageError, match="cannot be written"):
        file.chunk(tone())


@pytest.fixture
def small_files():
    """Let no file grow beyond 1000 bytes."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_a_file_that_has_no_room_is_one_sentence_and_dropping_it_raises_nothing(
    tmp_path, small_files
):
    file = SoundFile("audio", tmp_path / "it.mp3")
    with pytest.raises(UsageError, match="cannot be written"):
        file.chunk(tone(5.0))
    file.drop()
    assert list(tmp_path.iterdir()) == []


def test_only_formats_that_are_encoded_are_encoded_while_they_come(tmp_path):
    places = {"a": tmp_path / "a.OGG", "b": tmp_path / "b.wav", "c": tmp_path}
    assert list(sound_files(places)) == ["a"]
