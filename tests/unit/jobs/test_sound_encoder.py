"""Sound in the formats that are encoded, checked by decoding it."""

import io
import sys
import wave

import pytest

from orchestrator.errors import OutputError, UsageError
from orchestrator.jobs import output_files
from orchestrator.jobs.results import Artifact, Audio
from orchestrator.jobs.sound_encoder import FORMATS, SoundEncoder
from tests.sounds import PADDING, TONE, heard, tone

CODECS = {".mp3": "mp3", ".m4a": "aac", ".flac": "flac", ".ogg": "opus", ".opus": "opus"}


class Pipe(io.RawIOBase):
    """Bytes as they are written; it cannot seek."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def check(data, suffix, seconds, channels=1):
    found = heard(data)
    assert found["codec"].startswith(CODECS[suffix])
    assert found["channels"] == channels
    assert seconds - 0.01 <= found["seconds"] <= seconds + PADDING
    assert found["level"] == pytest.approx(0.5 / 2**0.5, rel=0.1)
    assert found["frequency"] == pytest.approx(TONE, rel=0.02)
    return found


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100])
def test_every_format_holds_the_sound_at_any_rate(suffix, rate, tmp_path):
    path = tone(rate=rate).save(tmp_path / f"it{suffix}")
    check(path.read_bytes(), suffix, 1.0)
    assert tone(rate=rate).save(tmp_path / f"again{suffix}").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
def test_stereo_stays_stereo(suffix, tmp_path):
    path = tone(channels=2).save(tmp_path / f"it{suffix.upper()}")
    check(path.read_bytes(), suffix, 1.0, channels=2)


def test_a_rate_that_no_encoder_takes_becomes_the_next_one(tmp_path):
    for rate, then in ((4000, 8000), (11111, 12000), (192000, 48000)):
        path = tone(rate=rate).save(tmp_path / "it.mp3")
        assert check(path.read_bytes(), ".mp3", 1.0)["rate"] == then


@pytest.mark.parametrize("suffix", FORMATS)
def test_parts_come_out_as_they_are_fed_where_the_stream_cannot_seek(suffix):
    pipe = Pipe()
    encoder = SoundEncoder(pipe, suffix, 24000, 1)
    for second in range(4):
        encoder.feed(tone(1.0, begin=second).pcm())
    before = len(pipe.data)
    encoder.close()
    assert before > len(pipe.data) / 3
    check(pipe.data, suffix, 4.0)


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_sound_at_all_is_a_file_as_well(suffix, tmp_path):
    path = tone(0.0).save(tmp_path / f"it{suffix}")
    assert path.stat().st_size > 0


def test_a_wav_file_is_encoded_and_a_file_of_that_format_is_copied(tmp_path):
    source = tone(2.0).save(tmp_path / "it.wav")
    output_files.write_output(tmp_path / "out.opus", Artifact(source))
    check((tmp_path / "out.opus").read_bytes(), ".opus", 2.0)
    output_files.write_output(tmp_path / "copy.opus", Artifact(tmp_path / "out.opus"))
    assert (tmp_path / "copy.opus").read_bytes() == (tmp_path / "out.opus").read_bytes()
    with pytest.raises(UsageError, match=r"the model gave a file of the kind \.opus"):
        output_files.write_output(tmp_path / "other.mp3", Artifact(tmp_path / "out.opus"))
    assert not (tmp_path / "other.mp3").exists()


def test_a_wav_file_that_is_none_leaves_nothing(tmp_path):
    (tmp_path / "it.wav").write_bytes(b"RIFF and then nothing")
    with pytest.raises(OutputError, match="is no WAV file that can be encoded"):
        output_files.write_output(tmp_path / "out.mp3", Artifact(tmp_path / "it.wav"))
    assert not (tmp_path / "out.mp3").exists()


def test_a_wav_file_of_24_bits_is_refused(tmp_path):
    with wave.open(str(tmp_path / "it.wav"), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(3)
        writer.setframerate(8000)
        writer.writeframes(bytes(300))
    with pytest.raises(OutputError, match="is no WAV file that can be encoded"):
        output_files.write_output(tmp_path / "out.mp3", Artifact(tmp_path / "it.wav"))


@pytest.mark.parametrize(("channels", "rate"), [(3, 24000), (1, 100), (1, 1_000_000)])
def test_what_no_encoder_takes_goes_into_wav_alone(channels, rate, tmp_path):
    with pytest.raises(
        UsageError, match=f"sound of {channels} channels at {rate} Hz goes into WAV"
    ):
        tone(0.1, rate, channels).save(tmp_path / "it.m4a")
    assert not (tmp_path / "it.m4a").exists()


def test_without_pyav_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError) as caught:
        tone().save(tmp_path / "it.mp3")
    assert str(caught.value) == (
        "sound.mp3: this format is encoded by PyAV, which is not installed; "
        "run: pip install 'mm-orchestrator[audio]'; or take .wav"
    )
    assert tone().save(tmp_path / "it.wav").read_bytes()[:4] == b"RIFF"


def test_a_name_without_a_known_suffix_is_wav(tmp_path):
    assert isinstance(tone(), Audio)
    assert tone().save(tmp_path / "it.bin").read_bytes()[:4] == b"RIFF"
