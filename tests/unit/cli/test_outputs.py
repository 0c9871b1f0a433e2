"""Where outputs may go, and what files and JSON have of them."""

import json
import os
import struct
from pathlib import Path

import pytest

from orchestrator.cli import outputs
from orchestrator.core.value_checks import AudioValue
from orchestrator.errors import UsageError
from orchestrator.jobs.npy import npy_bytes
from orchestrator.jobs.output_files import is_binary, pieces, suffix_of
from orchestrator.jobs.results import Artifact, Audio

NAMES = ("text", "boxes")


def test_a_place_is_for_the_primary_output_unless_it_names_another():
    places = outputs.parse_places(["boxes=b.json", "a=b.txt"], NAMES, "text")
    assert places == {"boxes": "b.json", "text": "a=b.txt"}
    assert outputs.printed_output(places) == ""
    assert outputs.printed_output({"text": "a", "boxes": "-"}) == "boxes"


def test_a_file_of_subtitles_is_for_the_segments(tmp_path):
    names = ("text", "segments", "boxes")
    assert outputs.parse_places(["a.SRT"], names, "text") == {"segments": "a.SRT"}
    assert outputs.parse_places(["text=a.srt"], names, "text") == {"text": "a.srt"}
    assert outputs.parse_places(["a.vtt"], NAMES, "text") == {"text": "a.vtt"}
    with pytest.raises(UsageError, match="subtitles are made of an output 'segments', and this is"):
        outputs.check_place("boxes", "json", "a.vtt", as_json=False)
    with pytest.raises(UsageError, match="the output 'texts' is a list, and a list goes to a dir"):
        outputs.check_place("texts", "text", "a.srt", as_json=False, many=True)
    outputs.write_file(str(tmp_path / "a.vtt"), [{"start": 0, "end": 1, "text": "One"}])
    assert (
        (tmp_path / "a.vtt").read_text().startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nOne")
    )
    outputs.write_file(str(tmp_path / "b.vtt"), "as it is")
    assert (tmp_path / "b.vtt").read_text() == "as it is\n"
    with pytest.raises(UsageError, match="the output is no list of segments"):
        outputs.write_file(str(tmp_path / "c.srt"), [1])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a", "text=b"], "two places for the output 'text'; give -o once for each"),
        (["-", "boxes=-"], "two outputs for standard output; give one of them a path"),
        (
            ["x/../a", "boxes=a"],
            "a: the outputs 'text' and 'boxes' go to one place; give each a place of its own",
        ),
        (["boxes="], "-o boxes=: the path is empty; name a file or a directory"),
    ],
)
def test_places_that_contradict_each_other_are_refused(words, sentence):
    with pytest.raises(UsageError) as caught:
        outputs.parse_places(words, NAMES, "text")
    assert str(caught.value) == sentence


def test_any_number_of_outputs_go_to_a_device():
    places = outputs.parse_places(["/dev/null", "boxes=/dev/null"], NAMES, "text")
    assert set(places.values()) == {"/dev/null"}


def test_the_directory_of_a_list_is_made_and_nothing_else(tmp_path):
    outputs.check_place("pages", "image", str(tmp_path / "a" / "b"), as_json=False, many=True)
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(UsageError, match=r"its directory does not exist; run: mkdir -p '.*/c c'"):
        outputs.check_place("page", "image", str(tmp_path / "c c" / "d"), as_json=False)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file, and a list goes to a directory"):
        outputs.check_place("pages", "image", str(tmp_path / "file"), as_json=False, many=True)
    with pytest.raises(UsageError, match=r"cannot be made \(.*\); choose another place with -o"):
        outputs.check_place("pages", "image", str(tmp_path / "file/a"), as_json=False, many=True)


@pytest.mark.parametrize("name", ["", "{title}.png"])
def test_a_directory_that_takes_no_file_is_refused_before(tmp_path, monkeypatch, name):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # as for root
    with pytest.raises(UsageError, match="its directory cannot be written to"):
        outputs.check_place("pages", "image", f"{tmp_path}/{name}", as_json=False, many=True)


@pytest.mark.parametrize(
    ("kind", "path", "more", "sentence"),
    [
        ("text", "-", {"as_json": True}, "--json has standard output for itself"),
        ("audio", "-", {"many": True}, "is a list of audio and is not written to standard output"),
        ("image", "it.json", {"many": True}, "a list of image does not fit into JSON; name a dir"),
        (
            "audio",
            "it.aiff",
            {},
            "it.aiff: sound is written as .wav, .mp3, .m4a, .flac, .ogg, .opus; ",
        ),
    ],
)
def test_what_could_not_be_written_is_refused_before(kind, path, more, sentence):
    with pytest.raises(UsageError) as caught:
        outputs.check_place("it", kind, path, **{"as_json": False, **more})
    assert sentence in str(caught.value)


def test_every_form_of_an_output_as_a_file_and_as_json(tmp_path):
    (tmp_path / "page.png").write_bytes(b"pixels")
    image = Artifact(tmp_path / "page.png")
    sound = Audio(AudioValue(memoryview(struct.pack("<2h", 1, 2)), "<i2", (2,), 8000))
    array = memoryview(b"\x01\x02")
    forms = [
        (image, b"pixels", ".png", {"path": "x", "media_type": "image/png"}),
        (sound, sound.read(), ".wav", {"path": "x", "media_type": "audio/wav"}),
        (array, npy_bytes(array), ".npy", {"path": "x", "media_type": "application/x-npy"}),
        ("schön", "schön\n".encode(), ".txt", "schön"),
        ("\x1b[1mhalf \ud83d\n", b"\x1b[1mhalf \\ud83d\n", ".txt", "\x1b[1mhalf \ud83d\n"),
        (["\ud83d"], b'[\n  "\\ud83d"\n]\n', ".json", ["\ud83d"]),
        ([1], b"[\n  1\n]\n", ".json", [1]),
    ]
    for value, data, suffix, shown in forms:
        assert b"".join(pieces(value)) == data
        assert suffix_of(value) == suffix
        assert outputs.described(value, "x") == json.loads(json.dumps(shown))
        nowhere = {**shown, "path": None} if is_binary(value) else shown
        assert outputs.described(value, None) == nowhere


def test_bytes_are_a_file_as_they_are(tmp_path):
    outputs.write_file(str(tmp_path / "page.html"), b"<p>\xff")
    assert (tmp_path / "page.html").read_bytes() == b"<p>\xff"
