"""Counts the spaces that are lost and invented in small print, by font.

    $(mm env path rapidocr)/bin/python -m tests.pages.small_print DIRECTORY

Renders pages of 11 to 16 pixels into the directory, once Chromium is installed, and reads them:
proportional and monospaced Latin, letter-spaced headings, and Chinese beside Latin letters and
figures, with spaces and without. Nothing is asserted; it takes some minutes.
"""
# ruff: noqa: RUF001 - Chinese marks are full width

import sys
from itertools import groupby
from pathlib import Path

from tests.pages.evaluate import Job, row, runner
from tests.pages.layouts import HAN, LATIN, TITLES, Page, prose
from tests.pages.render import ACROSS, DOWN, SLOT, screenshot
from tests.pages.score import spaces
from tests.pages.texts import CHINESE

MONOSPACED = ("Liberation Mono", "DejaVu Sans Mono")
MIXED = (
    "<p>本报记者 张红　{0}</p><p>2021 年 5 月 {1} 日，共有{1}人，另见第 {2} 页</p>"
    "<p>2021年5月{1}日，共有{1}人，另见第{2}页。"
    "使用Python 3.10和Linux系统，价格为35元（约5美元）。</p>"
    "<p>总编 李明远　责编 王川 校对 引小小</p>"
)


def pages():
    """Return the pages, those of a font and kind together."""
    found = [
        (font, prose(size, 5) + prose(size + 9, 4), size)
        for font in (*LATIN, *MONOSPACED, "Liberation Sans Narrow", HAN[0])
        for size in range(11, 17)
    ]
    for font in LATIN:
        titles = (
            f"<h2 style='letter-spacing:.{k}em'>{title if k % 2 else title.upper()}</h2>"
            for k, title in enumerate(TITLES[:5], 1)
        )
        found.append((f"{font}, letter-spaced", "".join(titles), 18))
    for font in HAN:
        for size in (12, 14, 16, 20):
            body = "".join(MIXED.format(CHINESE[k], k + 3, k + 20) for k in range(3))
            found.append((f"{font}, Chinese and Latin", body, size))
    return [
        Page(title, k, body, font=title.split(",")[0], size=size, width=900)
        for k, (title, body, size) in enumerate(found)
    ]


def read(page, sheet, number, model, directory):
    """Return how many spaces a page has, and how many were lost and invented."""
    x, y = SLOT[0] * (number % ACROSS), SLOT[1] * (number // ACROSS)
    path = directory / "page.png"
    sheet.crop((x, y, x + page.width, y + page.height)).save(path)
    seen = runner.see(model, runner.open_image(path, Job()), Job())
    return spaces([box["text"] for box in runner.arranged(seen, Job())["boxes"]], page.units)


def main(directory):
    """Print a row for each font."""
    directory.mkdir(parents=True, exist_ok=True)
    model, counts = runner.load(None), []
    every = pages()
    for start in range(0, len(every), ACROSS * DOWN):
        some = every[start : start + ACROSS * DOWN]
        sheet = screenshot(some, directory)
        counts += [
            (page.kind, read(page, sheet, k, model, directory)) for k, page in enumerate(some)
        ]
    print("| font | spaces | lost | invented |\n| --- | --- | --- | --- |")
    for kind, group in groupby(counts, key=lambda count: count[0]):
        row(kind, [str(sum(column)) for column in zip(*(c for _, c in group), strict=True)])


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
