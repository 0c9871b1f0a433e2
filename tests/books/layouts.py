"""The books of the tests, each with the layout in which it is set."""

from tests.books.texts import chinese, english
from tests.books.typeset import SONG, Layout

HEADS = ("{title}|{page}", "{page}|{chapter}")

BOOKS = {
    "english": (english(), Layout(head=HEADS, contents=True)),
    "columns": (
        english(4, 7, words="", table=False, section=False),
        Layout(width=1240, columns=2, size=22, foot="{page}", new_page=False, per_page_notes=True),
    ),
    "gaps": (
        english(3, 5, words="CHAPTER {}"),
        Layout(indent=0, hyphens=False, foot="Page {page}", first=31),
    ),
    "pocket": (
        english(3, 8, notes=False),
        Layout(width=800, height=1100, margin=100, head=("|{title}", "{chapter}|"),
               foot="- {page} -", chapter_size=1.35),
    ),
    "chinese": (
        chinese(), Layout(head=("{title}|", "|{chapter}"), foot="— {page} —", fonts=SONG)
    ),
    "chinese-contents": (
        chinese(4, 7),
        Layout(head=("{page}|{title}", "{chapter}|{page}"), contents=True, fonts=SONG, size=28,
               height=1200),
    ),
}  # fmt: skip
"""By name."""
