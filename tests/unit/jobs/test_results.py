"""What a job gives back: sound, files and arrays, kept whole or not at all."""

import io
import wave

import numpy as np
import pytest

from orchestrator.core.value_checks import ArrayValue, AudioValue
from orchestrator.errors import OutputError, UsageError
from orchestrator.jobs.npy import npy_bytes, read_npy
from orchestrator.jobs.results import Artifact, Audio, Result, array_result


def sound(samples, rate=8000):
    samples = np.asarray(samples)
    return Audio(AudioValue(memoryview(samples.tobytes()), samples.dtype.str, samples.shape, rate))


def test_float_samples_become_pcm_with_what_is_too_loud_clipped(tmp_path):
    audio = sound(np.array([0.0, 0.5, 1.5, -2.0], "<f4"))
    with wave.open(str(audio.save(tmp_path / "x.wav"))) as reader:
        assert (reader.getnchannels(), reader.getframerate(), reader.getsampwidth()) == (1, 8000, 2)
        pcm = np.frombuffer(reader.readframes(9), "<i2")
    assert pcm.tolist() == [0, 16384, 32767, -32767]


def test_two_channels_stay_interleaved():
    audio = sound(np.arange(6, dtype="<i2").reshape(3, 2))
    assert (audio.channels, audio.duration) == (2, 3 / 8000)
    with wave.open(io.BytesIO(audio.read())) as reader:
        assert np.frombuffer(reader.readframes(3), "<i2").tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(audio.samples, np.arange(6).reshape(3, 2))


def test_parts_of_a_recording_are_joined():
    parts = [sound(np.array(part, "<f4")) for part in ([1, 2], [], [3])]
    other = sound(np.array([9], "<f4"), rate=16000)
    joined = Audio.joined([*parts, other])
    assert joined.samples.tolist() == [1, 2, 3]


def test_a_file_is_saved_whole_or_not_at_all(tmp_path):
    source = tmp_path / "a.png"
    source.write_bytes(b"pixels")
    artifact = Artifact(source)
    (tmp_path / ".b.png.partial").write_bytes(b"of another program")
    assert artifact.media_type == "image/png"
    assert artifact.save(tmp_path / "b.png").read_bytes() == artifact.read() == b"pixels"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        artifact.save(tmp_path / "nowhere" / "c.png")
    source.unlink()
    for read in (artifact.read, lambda: artifact.save(tmp_path / "c.png")):
        with pytest.raises(UsageError, match="the file is gone: its result was discarded"):
            read()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.png.partial", "b.png"]


def test_a_result_is_a_mapping_whose_receipt_is_made_once():
    made = []
    result = Result(
        {"a": 1}, model="m", primary="a", receipt=lambda: made.append(1) or {"x": 1}, timings={}
    )
    assert dict(result) == {"a": 1}
    assert made == []
    assert result.receipt is result.receipt
    assert made == [1]


def test_a_result_discards_its_files_once_it_is_left():
    gone = []
    with Result({}, "m", "a", dict, {}, discard=lambda: gone.append(1)) as result:
        assert gone == []
    assert gone == [1]
    result.discard()


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (b"abc", "<f4", (1,)),
        (b"abcd", "|O", (1,)),
        (b"abcd", "<f4", (9,)),
        (b"", "|V0", (1 << 70,)),
    ],
)
def test_an_array_that_does_not_fit_is_the_models_fault(data, dtype, shape):
    with pytest.raises(OutputError, match="no array"):
        array_result("x", ArrayValue(memoryview(data), dtype, shape))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.zeros((0, 2)),
        np.array(3),
        np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]),
        np.array(["é"]),
    ],
)
def test_npy_files_are_those_of_numpy(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)
    back = np.load(io.BytesIO(npy_bytes(array)), allow_pickle=False)
    np.testing.assert_array_equal(back, array)


def test_arrays_of_objects_and_damaged_files_are_refused(tmp_path):
    np.save(tmp_path / "o.npy", np.array([None]), allow_pickle=True)
    (tmp_path / "empty.npy").touch()
    (tmp_path / "cut.npy").write_bytes(npy_bytes(np.arange(100))[:200])
    (tmp_path / "text.npy").write_text("not an array, but long enough")
    for name in ("o", "empty", "cut", "text", "missing"):
        with pytest.raises(UsageError):
            read_npy(tmp_path / f"{name}.npy")
