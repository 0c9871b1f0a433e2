"""What `mm book` makes of its words."""

import pytest

from orchestrator.cli.book_command import place_of

OUTPUTS = ("audio", "files", "segments", "text", "plan")


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
