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


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--pages", "5-3"), "--pages: '5-3' is no range of pages, such as 12-40; run: mm book"),
        (("--language", "no tag"), "--language: 'no tag' is no tag of a language, such as en"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_runs(user, tmp_path, option, said):
    page = tmp_path / "page.png"
    page.write_bytes(b"-")
    with pytest.raises(UsageError) as caught:
        user.mm("book", str(page), "-o", str(tmp_path / "book.md"), *option)
    assert said in str(caught.value)
