"""Draws the example images and writes beside each the text that a person would type from it.

The images are committed, so nobody needs this script to use them. To draw them again:

    pip install pillow==12.0.0 pylopdf-fonts-zh-cn==0.1.1
    python examples/make_examples.py

The fonts are Noto Sans SC and Noto Serif SC (SIL Open Font License 1.1), as the package
`pylopdf-fonts-zh-cn` carries them; they hold Latin letters too. The texts are our own, and the
shop, its address and its telephone number (a range reserved for fiction) do not exist.
"""
# ruff: noqa: RUF001 - Chinese marks are full width

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
PAPER, INK = 246, 32
"""Grey levels: a scan is neither white nor black."""

RECEIPT_HEAD = ["GREEN HILL GROCERY", "12 Mill Lane, Ashford", "Tel 01632 960144"]
RECEIPT_ITEMS = [
    ("2", "Oat milk 1 L", "3.90"),
    ("1", "Sourdough loaf", "4.20"),
    ("6", "Free range eggs", "2.85"),
    ("3", "Lemons, unwaxed", "1.35"),
    ("1", "Olive oil 500 ml", "7.49"),
    ("4", "Tomatoes on the vine", "2.16"),
    ("1", "Dark chocolate 70%", "2.75"),
]
RECEIPT_SUMS = [("Subtotal", "24.70"), ("Member discount", "-1.20"), ("TOTAL", "23.50")]
RECEIPT_FOOT = ["Paid by card ending 4417", "Thank you, see you soon!"]

COLUMNS_TITLE = "How a Harbour Learns the Tide"
COLUMNS_TEXT = """\
Every port keeps a book of tides, but the first page was written by somebody who simply stood on
the quay and watched. A stick with painted marks, a lantern for the night and a great deal of
patience were all the tools that the work required.

The watcher wrote down the height of the water every hour. After a month the numbers began to
repeat themselves, a little later each day, as if the sea were keeping an appointment with the
moon and always arriving fifty minutes late.

After a year the pattern had a second, slower beat. Near the new moon and the full moon the
water rose higher than usual and fell lower; between them it hardly troubled to move. Sailors
called these the springs and the neaps.

Wind spoils the best of tables. A steady gale can hold back the ebb for half a day, and low
pressure lifts the whole sea like a cloth pinched in the middle. A careful pilot reads the book,
then looks out of the window.

Today a sensor on the sea bed does the watching, and a computer adds up dozens of small waves to
predict the next. Yet on the quay there is still a stick with painted marks, because it has
never once run out of power.
"""

CHINESE_TITLE = "山里的邮递员"
CHINESE_TEXT = """\
老周在这条山路上走了三十年。每天清晨，他把信件和报纸装进绿色的帆布包，沿着溪水往上走，经过七
个村子，傍晚才回到镇上。

路上没有商店，他总是带两个馒头和一壶热茶。下雨的时候，石阶很滑，他就把包抱在怀里，宁可自己淋
湿，也不让信受潮。

村里的老人大多不识字，信到了，要请老周念。他念得很慢，遇到好消息，会故意停一停，等老人的眼睛
亮起来，再接着往下念。

后来山里通了公路，年轻人都用手机联系，信越来越少。可是老周还是每天出发，他说：“只要还有一个
人在等，这条路就不能断。”
"""

FOX = "The quick brown fox jumps over the lazy dog."


def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Returns `Sans` or `Serif` of Noto SC, `size` in pixels."""
    path = files("pylopdf_fonts_zh_cn") / f"Noto{name}SC-Regular.otf"
    return ImageFont.truetype(str(path), size)


def page(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Returns an empty grey sheet of the given size in pixels, and what draws on it."""
    image = Image.new("L", (width, height), PAPER)
    return image, ImageDraw.Draw(image)


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int, *, indent: str = "") -> list[str]:
    """Breaks a paragraph into lines of at most `width` pixels.

    Breaks are between words, or, in Chinese, between characters, but never before a closing mark.
    """
    spaced = " " in text
    lines: list[str] = []
    line = indent
    for piece in text.split() if spaced else text:
        longer = f"{line} {piece}" if spaced and line.strip() else line + piece
        if face.getlength(longer) > width and piece not in "，。、：；！？”）":
            lines.append(line)
            longer = piece
        line = longer
    return [*lines, line]


def save(image: Image.Image, name: str, lines: list[str]) -> None:
    """Writes `name`.png with 16 grey levels, which keeps it small, and `name`.txt."""
    image.quantize(16).save(HERE / f"{name}.png", optimize=True)
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def receipt() -> None:
    """A till receipt: quantity, item and price are one row, however far apart they stand."""
    image, draw = page(560, 900)
    face, large = font("Sans", 26), font("Sans", 36)
    lines, y = [], 36
    for text in RECEIPT_HEAD:
        draw.text((280, y), text, INK, large if y == 36 else face, anchor="ma")
        lines.append(text)
        y += 58 if y == 36 else 38
    y += 20
    draw.text((40, y), "14/03/2025 16:42", INK, face)
    draw.text((520, y), "No. 004817", INK, face, anchor="ra")
    lines += ["14/03/2025 16:42 No. 004817", ""]
    y += 54
    draw.line((40, y, 520, y), INK, 2)
    y += 18
    for count, item, price in RECEIPT_ITEMS:
        draw.text((40, y), count, INK, face)
        draw.text((86, y), item, INK, face)
        draw.text((520, y), price, INK, face, anchor="ra")
        lines.append(f"{count} {item} {price}")
        y += 42
    lines.append("")
    y += 14
    draw.line((40, y, 520, y), INK, 2)
    y += 18
    for label, amount in RECEIPT_SUMS:
        big = large if label == "TOTAL" else face
        draw.text((40, y), label, INK, big)
        draw.text((520, y), amount, INK, big, anchor="ra")
        lines.append(f"{label} {amount}")
        y += 42
    lines.append("")
    y += 42
    for text in RECEIPT_FOOT:
        draw.text((280, y), text, INK, face, anchor="ma")
        lines.append(text)
        y += 42
    save(image, "receipt", lines)


def two_columns() -> None:
    """A page of prose in two columns under a heading as wide as the page."""
    image, draw = page(1100, 900)
    face, large = font("Serif", 24), font("Serif", 44)
    draw.text((550, 56), COLUMNS_TITLE, INK, large, anchor="ma")
    body: list[str] = []
    for paragraph in COLUMNS_TEXT.split("\n\n"):
        body += [*([""] if body else []), *wrap(" ".join(paragraph.split()), face, 450)]
    half = next(i for i, line in enumerate(body) if 2 * i >= len(body) - 1 and line)
    for x, column in ((70, body[:half]), (580, body[half:])):
        y = 160
        for line in column:
            draw.text((x, y), line, INK, face)
            y += 36 if line else 20
    save(image, "two-columns", [COLUMNS_TITLE, "", *body])


def chinese() -> None:
    """A page of Chinese prose: no spaces between words, paragraphs indented by two characters."""
    image, draw = page(960, 860)
    face, large = font("Serif", 32), font("Serif", 48)
    draw.text((480, 56), CHINESE_TITLE, INK, large, anchor="ma")
    lines, y = [CHINESE_TITLE, ""], 170
    for paragraph in CHINESE_TEXT.split("\n\n"):
        for line in wrap("".join(paragraph.split()), face, 800, indent="\u3000\u3000"):
            draw.text((80, y), line, INK, face)
            lines.append(line.strip())
            y += 52
    save(image, "chinese", lines)


def quick_fox() -> None:
    """One line, to be read aloud."""
    image, draw = page(760, 120)
    draw.text((380, 60), FOX, INK, font("Sans", 34), anchor="mm")
    save(image, "quick-fox", [FOX])


if __name__ == "__main__":
    receipt()
    two_columns()
    chinese()
    quick_fox()
