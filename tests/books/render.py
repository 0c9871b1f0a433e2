"""Draws the books of the tests: `python -m tests.books.render DIRECTORY [BOOK...]`.

The fonts are those of Debian's fonts-liberation and fonts-noto-cjk.
"""

import sys
from pathlib import Path

from tests.books.layouts import BOOKS, HELD_OUT, UNSEEN
from tests.books.typeset import draw, typeset


def main(directory, *names):
    """Write `BOOK/NNN.png` for each page."""
    books = BOOKS | HELD_OUT | UNSEEN
    for name in names or books:
        book, layout = books[name]
        Path(directory, name).mkdir(parents=True, exist_ok=True)
        for number, sheet in enumerate(typeset(book, layout), start=1):
            draw(sheet, layout).save(Path(directory, name, f"{number:03}.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
