"""What `mm book` makes of its words."""

import pytest

from orchestrator.cli.book_command import formats, place_of, voices
from orchestrator.errors import UsageError

OUTPUTS = ("audio", "files", "segments", "text", "plan")


def test_there_is_one_voice_on_two_cores_and_four_at_most():
    assert [voices(cores) for cores in (1, 2, 3, 4, 7, 8, 64)] == [1, 1, 1, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("word", "output", "place"),
    [
        ("book.m4b", "audio", "book.m4b"),
        ("book.MD", "text", "book.MD"),
        ("book.srt", "segments", "book.srt"),
        ("plan=x", "plan", "x"),
        ("a=b.md", "text", "a=b.md"),
        ("out/{number:02}.mp3", "files", "out/{number:02}.mp3"),
        ("files={title}.mp3", "files", "{title}.mp3"),
    ],
)
def test_a_suffix_says_what_is_written(word, output, place):
    assert place_of(word, OUTPUTS) == (output, place)


@pytest.mark.parametrize("place", ["{title}.md", "{title}.epub", "{title}", "{number:02}.mp4"])
def test_a_file_for_each_chapter_is_a_sound(place):
    with pytest.raises(UsageError, match=r"is no sound of a book; end it in \.m4b, .*\.wav$"):
        formats([("files", place)])
    assert formats([("files", "{title}.mp3")]) == ["sound.split=true", "sound.format=mp3"]
    assert formats([("files", "directory")]) == ["sound.split=true"]
