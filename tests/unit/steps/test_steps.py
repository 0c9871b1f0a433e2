"""Pages, joined sound and written files: the other built-in steps."""

import array
import contextlib
import os
import stat
import wave
from dataclasses import replace

import pytest

from orchestrator.core.names import BUILT_IN_STEPS
from orchestrator.core.paths import page_in
from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.input_files import is_pdf
from orchestrator.steps import builtin
from orchestrator.steps.join_audio import join_audio
from orchestrator.steps.registry import producer
from orchestrator.steps.write import write


def sound(path, samples, rate=8000, channels=1, width=2):
    with wave.open(str(path), "wb") as writer:
        writer.setparams((channels, width, rate, 0, "NONE", ""))
        writer.writeframes(array.array("h", samples).tobytes())
    return path


def samples_of(path):
    with wave.open(str(path), "rb") as reader:
        return list(array.array("h", reader.readframes(reader.getnframes())))


def emitted(name, directory, **values):
    with contextlib.closing(Cancellation()) as cancellation:
        return list(builtin(name).run(values, directory, cancellation))


def test_every_built_in_step_says_what_makes_its_results():
    for name in BUILT_IN_STEPS:
        assert builtin(name).signature.name == name
        assert len(producer(name)["code"]) == 64
    assert set(producer("split-pages")["versions"]) == {"pypdfium2", "pillow"}


def test_a_step_without_its_extra_says_how_to_install_it():
    assert builtin("audiobook").missing() is None
    lacking = replace(builtin("audiobook"), packages=("no-such-package",))
    assert str(lacking.missing()) == (
        "audiobook needs the package no-such-package, which is not installed; "
        "run: pip install 'mm-orchestrator[audio]'"
    )


@pytest.mark.parametrize(("start", "found"), [(b"%PDF-1.4", True), (b"x" * 1020, False)])
def test_a_pdf_is_known_by_its_first_bytes(tmp_path, start, found):
    (tmp_path / "a").write_bytes(start + b"%PDF-")
    assert is_pdf(tmp_path / "a") == found


def test_a_page_is_named_by_its_number(tmp_path):
    assert page_in(tmp_path / "a.pdf#page=3") == (tmp_path / "a.pdf", 3)
    assert page_in(tmp_path / "a.pdf#page=0") == (tmp_path / "a.pdf#page=0", None)
    odd = tmp_path / "odd#page=2"
    odd.write_bytes(b"")
    assert page_in(odd) == (odd, None)


def test_sounds_are_joined_in_order_with_a_pause(tmp_path):
    one = sound(tmp_path / "1.wav", [1, 2, 3])
    two = sound(tmp_path / "2.wav", [4, 5])
    join_audio([one, two, one], tmp_path / "all.wav", pause=0.001)
    assert samples_of(tmp_path / "all.wav") == [1, 2, 3, *[0] * 8, 4, 5, *[0] * 8, 1, 2, 3]
    join_audio([None, one, None, two], tmp_path / "all.wav", pause=0.001)
    assert samples_of(tmp_path / "all.wav") == [*[0] * 8, 1, 2, 3, *[0] * 16, 4, 5]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rate": 16000}, "16000 Hz.* and the first sound has 8000 Hz"),
        ({"channels": 2}, "2 channels"),
    ],
)
def test_sounds_that_differ_are_not_joined(tmp_path, settings, sentence):
    one = sound(tmp_path / "1.wav", [1, 2])
    two = sound(tmp_path / "2.wav", [3, 4], **settings)
    with pytest.raises(UsageError, match=sentence):
        join_audio([one, two], tmp_path / "all.wav")


@pytest.mark.parametrize("settings", [{"rate": 2_000_000_000}, {"channels": 9}])
def test_what_no_sound_has_is_refused_before_its_pauses_are_made(tmp_path, settings):
    one = sound(tmp_path / "1.wav", [1, 2] * 9, **settings)
    with pytest.raises(UsageError, match=r"1.wav: has .* and a sound has at most 768000 Hz"):
        join_audio([one, None], tmp_path / "all.wav")


def test_what_is_no_wav_file_is_told(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"no sound")
    with pytest.raises(UsageError, match="no WAV file"):
        join_audio([tmp_path / "x.wav"], tmp_path / "all.wav")
    with pytest.raises(UsageError, match=r"no sound to join$"):
        join_audio([], tmp_path / "all.wav")
    with pytest.raises(UsageError, match="none of the 2 items had a text to speak"):
        join_audio([None, None], tmp_path / "all.wav")


def test_what_is_written_has_the_mode_of_the_umask(tmp_path):
    kept = tmp_path / "kept.wav"
    kept.touch(0o600)  # as everything in MM_HOME/results
    before = os.umask(0o027)
    try:
        write(kept, tmp_path / "a.wav")
        write("text", tmp_path / "a.txt")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.wav", "a.txt")}
    assert modes == {0o640}


def test_values_are_written(tmp_path):
    write("text", tmp_path / "deep" / "down" / "a.txt")
    assert (tmp_path / "deep" / "down" / "a.txt").read_text() == "text\n"
    write([1, {"ü": 2}], tmp_path / "a.json")
    assert '"ü": 2' in (tmp_path / "a.json").read_text()
    write(tmp_path / "a.json", tmp_path / "b.json")
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    with pytest.raises(UsageError, match="cannot be written"):
        write("text", tmp_path / "a.json" / "x")


@pytest.mark.parametrize(("form", "start"), [("srt", "1\n00:00:01,000 -->"), ("vtt", "WEBVTT\n")])
def test_segments_become_a_subtitle_file(tmp_path, form, start):
    segments = [{"start": 1, "end": 2, "text": "One"}]
    ((name, path, *_),) = emitted("subtitles", tmp_path, segments=segments, format=form)
    assert (name, path.suffix) == ("file", f".{form}")
    assert path.read_text().startswith(start)
    with pytest.raises(UsageError, match="the input 'segments' is no list of segments"):
        emitted("subtitles", tmp_path, segments=["One"], format=form)
