"""The books of the tests, each with the layout in which it is set."""
# ruff: noqa: RUF001 - dashes

from pathlib import Path

from orchestrator.book.book_file import parsed
from tests.books.texts import chinese, english
from tests.books.typeset import DEJAVU, HEI, SANS, SERIF, SONG, Layout

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


def _held_out(name):
    path = Path(__file__).with_name("held_out") / f"{name}.md"
    return parsed(path.read_text(encoding="utf-8"))


HELD_OUT = {
    "novel": (
        _held_out("novel"),
        Layout(width=860, height=1240, size=27, head=("{page}|{title}", "{title}|{page}"),
               centred=True, drop_cap=True, worn=0.7),
    ),
    "law": (
        _held_out("law"),
        Layout(size=25, indent=0, hyphens=True, fonts=SANS, new_page=False, chapter_size=1.4,
               head=("{page}|{chapter}", "{chapter}|{page}"), numbers="paragraph",
               numbers_at="outer", worn=0.4, first=212),
    ),
    "textbook": (
        _held_out("textbook"),
        Layout(width=900, height=1200, size=27, indent=2, fonts=HEI, foot="{page}", first=3,
               head=("|{title}", "{chapter}|"), leading=1.6, per_page_notes=True, worn=0.6),
    ),
    "poems": (
        _held_out("poems"),
        Layout(width=800, height=1150, size=25, leading=1.35, foot="{page}", first=5,
               chapter_size=1.3, head=("", "{title}|"), numbers="verse", worn=0.5),
    ),
    "tang": (
        _held_out("tang"),
        Layout(width=800, height=1150, size=30, leading=1.7, indent=2, fonts=SONG,
               foot="· {page} ·", first=1, verse_indent=4, worn=0.5),
    ),
    "drama": (
        _held_out("drama"),
        Layout(width=820, height=1100, size=24, head=("{page}|{title}", "{chapter}|{page}"),
               numbers="verse", numbers_at="left", chapter_size=1.5, worn=0.7, first=31,
               verse_indent=1),
    ),
    "anthology": (
        _held_out("anthology"),
        Layout(width=760, height=1050, size=27, leading=1.6, indent=2, fonts=SONG, new_page=False,
               head=("{page}|{title}", "{title}|{page}"), verse_indent=3, worn=0.8, first=88),
    ),
    "erzaehlung": (
        _held_out("erzaehlung"),
        Layout(width=840, height=1180, size=25, foot="– {page} –", centred=True, worn=0.9,
               verse_indent=3, fonts=DEJAVU),
    ),
    "numbered": (
        _held_out("novel"),
        Layout(width=900, height=1300, size=25, head=("{page}|{chapter}", "{title}|{page}"),
               numbers="page", every=1, numbers_at="left", margin=130, worn=0.5, new_page=False),
    ),
    "edition": (
        _held_out("erzaehlung"),
        Layout(width=880, height=1240, size=26, foot="{page}", numbers="page", every=5,
               numbers_at="outer", margin=125, worn=0.3, fonts=SERIF, verse_indent=4, first=9),
    ),
    "poems-columns": (
        _held_out("poems"),
        Layout(width=1240, height=1100, columns=2, size=23, gutter=110, foot="{page}",
               new_page=False, numbers="verse", every=10, verse_indent=1, worn=0.6, fonts=DEJAVU),
    ),
    "law-lines": (
        _held_out("law"),
        Layout(width=880, height=1250, size=24, numbers="page", every=5, numbers_at="left",
               head=("{title}|{page}", "{chapter}|{page}"), margin=125, worn=0.8, first=3),
    ),
    "tang-columns": (
        _held_out("tang"),
        Layout(width=1300, height=1000, columns=2, size=28, leading=1.6, indent=2, fonts=HEI,
               new_page=False, foot="{page}", gutter=80, verse_indent=2, worn=0.7),
    ),
    "drama-plain": (
        _held_out("drama"),
        Layout(width=800, height=980, size=25, centred=True, foot="- {page} -", worn=1.1,
               numbers="verse", numbers_at="right", fonts=SANS, verse_indent=0),
    ),
    "textbook-worn": (
        _held_out("textbook"),
        Layout(width=1000, height=1350, size=25, indent=2, fonts=SONG, foot="第 {page} 页",
               head=("{title}|", "|{chapter}"), leading=1.7, centred=True, worn=1.3),
    ),
}  # fmt: skip
"""Books of other kinds, set after the rules stood; docs/book.md says what was looked at since."""

UNSEEN = {
    "novel-gaps": (
        _held_out("novel"),
        Layout(width=820, height=1180, size=24, indent=0, hyphens=False, fonts=DEJAVU, worn=0.9,
               head=("{title}|{page}", "{chapter}|{page}"), numbers="page", every=10,
               numbers_at="outer", margin=125, first=54),
    ),
    "anthology-plain": (
        _held_out("anthology"),
        Layout(width=820, height=1150, size=29, leading=1.75, indent=2, fonts=HEI, centred=True,
               foot="{page}", verse_indent=5, worn=1.1),
    ),
    "poems-sans": (
        _held_out("poems"),
        Layout(width=900, height=1300, size=26, fonts=SANS, head=("{page}|{title}", "|{page}"),
               numbers="verse", every=5, numbers_at="left", worn=0.9, verse_indent=1.5, first=17),
    ),
}  # fmt: skip
"""Books read once, when the rules stood as they stand; no rule has seen them."""

OUT_OF_ORDER = {"poems-columns", "tang-columns"}
"""Books of which the reader puts a column that a heading parts in another order."""
