"""What is a sound, and what of one can be heard."""

import struct

import numpy as np
import pytest

from orchestrator.worker import sound


def problem(samples):
    samples = np.asarray(samples)
    return sound.problem(memoryview(samples.tobytes()), samples.dtype.str, samples.shape)


def wav(path, samples, *, tag=1, extensible=False, before=b"", cut=None):
    """Write a WAV file as other programs do."""
    frames = samples.reshape(len(samples), -1)
    width = samples.itemsize
    form = struct.pack("<HHIIHH", tag, frames.shape[1], 8000, 0, 0, 8 * width)
    if extensible:
        form = struct.pack("<H", 0xFFFE) + form[2:] + struct.pack("<HHIH14x", 22, 0, 0, tag)
    data = samples.tobytes()
    size = len(data) if cut is None else cut
    parts = b"fmt " + struct.pack("<I", len(form)) + form + before
    parts += b"data" + struct.pack("<I", size) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WAVE" + parts)
    return str(path)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, "<f4"),
        np.float32([3.4e38] * 1000 + [-3.4e38]),
        np.zeros((24000, 2), "<i2"),
        np.zeros((1, 8), "<f4"),
        np.zeros((0, 2), "<i2"),
    ],
)
def test_frames_with_or_without_channels_are_a_sound(samples):
    assert problem(samples) == ""


@pytest.mark.parametrize("kind", ["<f4", "<i2"])
@pytest.mark.parametrize("shape", [(1, 24000), (2, 24000), (24000, 9), (24000, 0), (0, 0)])
def test_what_cannot_be_frames_and_channels_is_none(shape, kind):
    said = problem(np.zeros(shape, kind))
    assert said.startswith(f"has the shape {shape[0]} x {shape[1]}, and a sound is frames x chan")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("place", "shape", "said"),
    [
        (0, (24000,), "frame 0 of 24000"),
        (23999, (24000,), "frame 23999 of 24000"),
        (15, (12000, 2), "frame 7 of 12000"),
    ],
)
def test_a_sample_that_is_no_number_is_named_with_its_place(value, place, shape, said):
    samples = np.zeros(24000, "<f4")
    samples[place] = float(value)
    assert problem(samples.reshape(shape)) == f"holds {value}, which is no sample, at {said}"


def test_infinities_of_both_signs_do_not_make_up_for_each_other():
    assert "holds inf" in problem(np.float32([0, np.inf, -np.inf]))


@pytest.mark.parametrize(
    ("samples", "silent"),
    [
        (np.zeros(0, "<f4"), True),
        (np.zeros(1000, "<i2"), True),
        (np.float32([0.0005, -0.0005] * 500), True),
        (np.int16([32, -32] * 500), True),
        (np.float32([0] * 999 + [-0.01]), False),
        (np.int16([0] * 999 + [-300]), False),
    ],
)
def test_below_what_can_be_heard_it_is_silent(samples, silent):
    assert sound.is_silent(memoryview(samples.tobytes()), samples.dtype.str) is silent


def test_samples_of_a_file_are_looked_at_as_they_are(tmp_path):
    stereo = np.arange(6, dtype="<i2").reshape(3, 2)
    data, dtype, shape = sound.of_file(wav(tmp_path / "a.wav", stereo))
    assert (data.tobytes(), dtype, shape) == (stereo.tobytes(), "<i2", (3, 2))
    noted = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # of odd size, and so padded
    floats = np.float32([0, np.nan])
    path = wav(tmp_path / "b.wav", floats, tag=3, extensible=True, before=noted)
    assert "holds nan" in sound.problem(*sound.of_file(path))
    streamed = wav(tmp_path / "c.wav", stereo, cut=0xFFFFFFFF)
    assert sound.of_file(streamed)[2] == (3, 2)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata\0\0\0\0", b"OggS" * 10]
)
def test_a_file_of_another_format_is_not_looked_at(tmp_path, content):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    assert sound.of_file(str(path)) is None
    assert sound.of_file(wav(tmp_path / "y.wav", np.zeros(3, "<f8"), tag=3)) is None
