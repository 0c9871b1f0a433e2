"""What `mm book` makes of its words."""

import pytest

from orchestrator.cli.book_command import natural, place_of, voices

OUTPUTS = ("audio", "files", "segments", "text", "plan")


def test_pages_are_in_the_order_of_their_numbers():
    names = ["page10.png", "page9.png", "Page2.png", "cover.png", "10.png", "9.png", "²"]
    assert sorted(names, key=natural) == [
        "9.png", "10.png", "cover.png", "Page2.png", "page9.png", "page10.png", "²",
    ]  # fmt: skip


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
