"""The test pages: each is HTML whose elements stand in reading order, which makes it its own truth.

`PAGES` is the set. Every third page of a kind is held back: the rules of the reader are written
without a look at it. Every third is there once more degraded.
"""
# ruff: noqa: RUF001 - Chinese marks are full width

from __future__ import annotations

import html
import re
from dataclasses import dataclass, replace
from itertools import cycle, islice

from tests.pages.texts import (
    ASKED,
    CHINESE,
    COUPLETS,
    ENGLISH,
    GOODS,
    ITEMS,
    JAPANESE,
    TERMS,
    TITLES,
    VERSES,
)

SANS, SERIF = "Liberation Sans", "Liberation Serif"
LATIN = (SANS, SERIF, "DejaVu Sans", "DejaVu Serif")
HAN = ("Noto Sans CJK SC", "Noto Serif CJK SC", "WenQuanYi Micro Hei")
KANA = ("Noto Serif CJK JP", "IPAMincho", "Noto Sans CJK JP")
SKEWS = (3, -6, 10, -15, 15, -10)
"""Degrees."""


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        kind: What it tries; figures are reported by kind.
        number: Its number within the kind.
        body: HTML, in reading order.
        font, size: A family, and pixels.
        width, height: Pixels.
        turn: Degrees by which the finished page is turned counter-clockwise.
        degraded: How the image is spoilt, or an empty text.
    """

    kind: str
    number: int
    body: str
    font: str = SANS
    size: int = 18
    width: int = 800
    height: int = 600
    turn: int = 0
    degraded: str = ""

    @property
    def name(self) -> str:
        """Its name, without a suffix."""
        return f"{self.kind}-{self.number:02}" + (self.degraded and f"-{self.degraded}")

    @property
    def held_back(self) -> bool:
        """Whether no rule may be written with a look at this page."""
        return self.number % 3 == 2

    @property
    def units(self) -> list[str]:
        """The texts of its elements in reading order."""
        texts = re.split(r"<[^>]*>", self.body)
        return [html.unescape(text).strip() for text in texts if text.strip()]


def taken(texts, first, count):
    """Return `count` of the texts in turn, from the one at `first`."""
    return list(islice(cycle(texts), first, first + count))


def prose(first, count, texts=ENGLISH):
    space = " " if texts is ENGLISH else ""
    return f"<p>{space.join(taken(texts, first, count))}</p>"


def lines(texts):
    return "".join(f"<div>{text}</div>" for text in texts)


def side_by_side(*columns, gap=30, shift=0):
    """Return columns beside each other; the second and later ones begin `shift` pixels lower."""
    parts = (
        f"<div style='flex:1;padding-top:{shift if i else 0}px'>{column}</div>"
        for i, column in enumerate(columns)
    )
    return f"<div style='display:flex;gap:{gap}px'>{''.join(parts)}</div>"


def table(rows, *, ruled=False, head=True, style=""):
    """Return a table of cells that are HTML; the first row is its head."""
    cells = [
        "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in row) + "</tr>"
        for i, row in enumerate(rows)
        for tag in ["th" if head and i == 0 else "td"]
    ]
    return f"<table class='{'ruled' if ruled else ''}' style='{style}'>{''.join(cells)}</table>"


def boxed(content, style=""):
    return f"<div style='border:2px solid #222;padding:10px;{style}'>{content}</div>"


def bullets(first, count):
    return lines(f"• {item}" for item in taken(ITEMS, first, count))


def money(first, count):
    goods = taken(GOODS, first, count)
    rows = [(name, n, price, f"{int(n) * float(price):.2f}") for name, n, price in goods]
    return [("Article", "Number", "Price", "Sum"), *rows]


def plain(i):
    body = f"<h2>{TITLES[i % 8]}</h2>" + prose(3 * i, 4) + prose(3 * i + 4, 3)
    return {"body": body, "font": LATIN[i % 4], "size": (18, 15, 22, 13, 26, 16)[i]}


def chinese(i):
    body = f"<h2>{VERSES[i][0]}</h2>" + prose(3 * i, 6, CHINESE) + prose(3 * i + 6, 5, CHINESE)
    return {"body": body, "font": HAN[i % 3], "size": (20, 16, 24)[i % 3]}


def turned(i):
    page = (plain, chinese, paper)[i // 3 % 3](i % 3)
    return {**page, "turn": (90, 180, 270)[i % 3]}


def skewed(i):
    return {**(plain, sections)[i % 2](i % 6), "turn": SKEWS[i]}


def vertical(text, height, extra=""):
    return f"<div style='writing-mode:vertical-rl;height:{height}px;{extra}'>{text}</div>"


def poem(i):
    body = lines(VERSES[i])
    style = "margin-left:auto;line-height:2"
    return {"body": vertical(body, 360, style), "font": HAN[i % 2], "size": 28, "height": 400,
            "width": 420}  # fmt: skip


def novel(i):
    texts, fonts = ((JAPANESE, KANA), (CHINESE, HAN))[i % 2]
    body = prose(i, 5, texts) + prose(i + 5, 4, texts)
    style = "width:100%;line-height:1.9"
    return {"body": vertical(body, 560, style), "font": fonts[i // 2 % 3], "size": 20 + 2 * (i % 3)}


def couplet(i):
    title, first, second = COUPLETS[i % 3]
    body = (
        f"<h1 style='text-align:center;letter-spacing:.3em'>{title}</h1>"
        "<div style='display:flex;flex-direction:row-reverse;justify-content:space-between'>"
        f"{vertical(first, 460)}{vertical(second, 460)}</div>"
    )
    return {"body": body, "font": HAN[i % 2], "size": 36, "width": 480, "height": 620}


def vertical_news(i):
    texts, fonts = ((JAPANESE, KANA), (CHINESE, HAN))[i % 2]
    body = f"<h2>{taken(texts, i + 7, 1)[0][:12]}</h2>"
    body += vertical(prose(i, 4, texts), 200, "width:100%")
    body += f"<h2>{taken(texts, i + 9, 1)[0][:12]}</h2>"
    body += vertical(prose(i + 4, 4, texts), 200, "width:100%")
    return {"body": body, "font": fonts[i % 2], "size": 20}


def short_columns(i):
    count, size, shift = ((3, 13, 0), (3, 14, 0), (3, 16, 8), (4, 18, 8), (5, 20, 0), (4, 15, 4))[i]
    starts = (0, 5) if i % 2 else (0, 5, 10)
    sentences = [taken(ENGLISH, start + i, 1)[0] for start in starts]
    columns = []
    for sentence in sentences:
        words = sentence.rstrip(".").split()[: 3 * count]
        columns.append(lines(" ".join(words[3 * k : 3 * k + 3]) for k in range(count)))
    return {"body": side_by_side(*columns, gap=2 * size, shift=shift), "size": size,
            "width": 26 * size * len(starts) // 2, "height": 300, "font": LATIN[i % 4]}  # fmt: skip


def lists(i):
    columns = [f"<b>{TITLES[(i + k) % 8]}</b>" + bullets(5 * k + i, 4 + i % 2) for k in range(2)]
    return {"body": side_by_side(*columns), "size": (16, 20, 14)[i % 3], "font": LATIN[i % 4]}


def verses(i):
    count = 2 + i % 2
    columns = [lines(taken(VERSES, i + k, 1)[0]) for k in range(count)]
    return {"body": side_by_side(*columns, gap=20), "size": (20, 26, 18)[i % 3], "font": HAN[i % 3],
            "width": 170 * count + 60, "height": 300}  # fmt: skip


def noted(i):
    """Prose beside a note of two lines, or a picture's caption."""
    place = ("north", "pier")[i % 2]
    note = f"<div style='font-size:80%'>{TITLES[i % 8]}, seen from the {place}</div>"
    main = f"<div style='width:66%'>{prose(4 * i, 7)}</div>"
    side = f"<div style='width:22%;padding-top:{40 * (i % 3)}px'>{note}</div>"
    body = f"<div style='display:flex;justify-content:space-between'>{main}{side}</div>"
    return {"body": body, "size": (18, 16, 20)[i % 3], "font": LATIN[i % 4]}


def sections(i):
    parts = [
        f"<h2>{TITLES[(i + k) % 8]}</h2>"
        + side_by_side(prose(6 * k + i, 2), prose(6 * k + i + 2, 2), shift=3 * (i % 2))
        for k in range(2)
    ]
    return {"body": "".join(parts), "size": (17, 15, 19)[i % 3], "font": LATIN[i % 4],
            "height": 700}  # fmt: skip


def slide(i):
    head = f"<h1 style='text-align:center'>{TITLES[i % 8]}</h1>"
    foot = f"<div style='position:absolute;right:30px;bottom:20px;font-size:60%'>{i + 4}</div>"
    columns = [f"<h3>{TITLES[(i + 2 + k) % 8]}</h3>" + bullets(3 * i + 5 * k, 4) for k in range(2)]
    return {"body": head + side_by_side(*columns, gap=60) + foot, "size": 24, "width": 960,
            "height": 540, "font": LATIN[i % 4]}  # fmt: skip


def glossary(i):
    rows = (TERMS[i % 3 : i % 3 + 6], ASKED)[i % 2]
    style = "width:100%" if i % 3 else ""
    return {"body": f"<h2>{TITLES[i]}</h2>" + table(rows, head=False, style=style),
            "size": (17, 15, 20)[i % 3], "font": LATIN[i % 4]}  # fmt: skip


def tabled(i):
    rows = money(i, 6)
    if i % 3 == 2:  # cells that wrap
        rows = [("Term", "Meaning", "Page"),
                *[(term, f"{meaning}, as {TITLES[k % 8].lower()} has it", str(7 * k + 3))
                  for k, (term, meaning) in enumerate(TERMS[i % 4 : i % 4 + 5])]]  # fmt: skip
    body = prose(i, 2) + table(rows, ruled=i % 2 == 0, style=f"width:{(100, 70, 60)[i % 3]}%")
    return {"body": body + prose(i + 2, 1), "size": (17, 15, 18)[i % 3], "font": LATIN[i % 4]}


def invoice(i):
    seller = lines(["Green Hill Chandlery", "12 Mill Lane", "Ashford"])
    buyer = lines([f"Invoice {1040 + i}", f"Date: {i + 3} May 2021", "Due within 14 days"])
    body = side_by_side(seller, buyer) + "<h2>Invoice</h2>"
    body += table(money(i, 5), ruled=i % 2 == 1, style="width:100%")
    body += f"<p>{TITLES[i]}: thank you for your order.</p>"
    return {"body": body, "size": 17, "font": LATIN[i % 4], "height": 620}


def form(i):
    fields = (("Name", "Ada Byron"), ("Born", "London, 10 December"), ("Street", "4 Quay Road"),
              ("Profession", "Pilot"), ("Boat", "Three Bells"), ("Length", "11.4 m"))  # fmt: skip
    rows = [(f"{key}:", value) for key, value in taken(fields, i, 5)]
    body = f"<h2>Application {i + 1}</h2>" + table(rows, head=False, ruled=i % 2 == 0)
    return {"body": body + f"<p>{ENGLISH[i]}</p>", "size": 18, "font": LATIN[i % 4]}


def receipt(i):
    rows = [(name, f"{float(price) * 2:.2f}") for name, _, price in taken(GOODS, i, 6)]
    body = f"<div style='text-align:center'>{TITLES[i].upper()}</div>" + table(
        [*rows, ("TOTAL", "213.40")], head=False, style="width:100%"
    )
    return {"body": body + "<p>Thank you!</p>", "size": 16, "width": 340, "height": 420,
            "font": ("Liberation Mono", "DejaVu Sans Mono", SANS)[i % 3]}  # fmt: skip


def paper(i):
    abstract = f"<div style='margin:0 90px;font-size:85%'>{prose(5 * i, 3)}</div>"
    body = f"<h1 style='text-align:center'>{TITLES[i % 8]}</h1>" + abstract
    left = f"<h3>1 {TITLES[(i + 1) % 8]}</h3>" + prose(5 * i + 3, 5)
    right = prose(5 * i + 8, 2) + f"<h3>2 {TITLES[(i + 2) % 8]}</h3>" + prose(5 * i + 10, 3)
    body += side_by_side(left, right, gap=26)
    return {"body": body + f"<div style='text-align:center'>{i + 11}</div>", "size": 16,
            "font": (SERIF, "DejaVu Serif", SANS)[i % 3], "width": 820, "height": 900}  # fmt: skip


def bilingual(i):
    pairs = [(ENGLISH[k + 3 * (i % 3)], CHINESE[k + 3 * (i % 3)]) for k in range(4)]
    if i % 2:
        body = "".join(f"<p>{a}</p><p>{b}</p>" for a, b in pairs)
    else:
        body = side_by_side("".join(f"<p>{a}</p>" for a, _ in pairs),
                            "".join(f"<p>{b}</p>" for _, b in pairs))  # fmt: skip
    return {"body": body, "font": HAN[i % 2], "size": 18}


def newspaper(i):
    advert = boxed(
        f"<b>{TITLES[i + 3].upper()}</b>" + bullets(2 * i, 3), "margin:14px 0;text-align:center"
    )
    first = f"<b>{TITLES[i]}</b>" + prose(7 * i, 3) + advert + prose(7 * i + 3, 2)
    second = prose(7 * i + 5, 3) + f"<b>{TITLES[i + 1]}</b>" + prose(7 * i + 8, 4)
    third = prose(7 * i + 12, 4) + boxed(lines(["FOR SALE", "One boat, dry", "Ask at the pier"]))
    body = f"<h1 style='text-align:center'>The {('Harbour', 'Pier', 'Quay')[i % 3]} Times</h1>"
    return {"body": body + side_by_side(first, second, third, gap=22), "size": 14, "font": SERIF,
            "width": 880, "height": 900}  # fmt: skip


def small(i):
    return {"body": prose(4 * i, 6) + prose(4 * i + 6, 6), "font": LATIN[i % 4],
            "size": (11, 11, 11, 11, 12, 13)[i], "width": 640, "height": 420}  # fmt: skip


def spaced(i):
    head = f"<h2 style='letter-spacing:.{3 + i % 2}em;word-spacing:.5em'>{TITLES[i].upper()}</h2>"
    names = f"<p>本报记者 张红　{CHINESE[i]}</p><p>2021 年 5 月 {i + 3} 日</p>"
    return {"body": head + f"<p>{ENGLISH[i]}</p>" + names, "font": HAN[i % 2], "size": 20,
            "height": 340}  # fmt: skip


KINDS = {
    "plain": (plain, 6), "chinese": (chinese, 3), "turned": (turned, 9), "skewed": (skewed, 6),
    "poem": (poem, 3), "novel": (novel, 6), "couplet": (couplet, 3),
    "vertical-news": (vertical_news, 3), "short-columns": (short_columns, 6), "lists": (lists, 3),
    "verses": (verses, 3), "noted": (noted, 3), "sections": (sections, 3), "slide": (slide, 3),
    "glossary": (glossary, 6), "tabled": (tabled, 6), "invoice": (invoice, 3), "form": (form, 3),
    "receipt": (receipt, 3), "paper": (paper, 3), "bilingual": (bilingual, 3),
    "newspaper": (newspaper, 3), "small": (small, 6), "spaced": (spaced, 3),
}  # fmt: skip


def chinese_form(i):
    fields = (("姓名", "张红"), ("出生日期", "一九八〇年五月三日"), ("地址", "海边路十二号"),
              ("职业", "印刷工"), ("电话", "5550 1234"))  # fmt: skip
    rows = [(f"{key}：", value) for key, value in taken(fields, i, 4)]
    body = f"<h2>登记表</h2>{table(rows, head=False, ruled=i % 2 == 0)}"
    return {"body": body + prose(i, 2, CHINESE), "font": HAN[i % 3], "size": 20}


def menu(i):
    goods = taken(GOODS, i, 8)
    rows = [(f"{name} with bread", f"{float(price) / 2:.2f}") for name, _, price in goods]
    halves = (
        f"<h3>{TITLES[(i + k) % 8]}</h3>{table(rows[4 * k : 4 * k + 4], head=False)}"
        for k in range(2)
    )
    return {"body": "".join(halves), "font": LATIN[i % 4], "size": 18}


def timetable(i):
    stops = ("Pier", "Market", "Chapel", "School", "Yard")
    rows = [("Stop", "Ferry 1", "Ferry 2", "Ferry 3", "Ferry 4")]
    rows += [
        (stop, *(f"{7 + 3 * k}:{10 + 7 * n + i}" for k in range(4))) for n, stop in enumerate(stops)
    ]
    return {"body": f"<h2>{TITLES[i]}</h2>{table(rows)}{prose(i, 1)}", "font": LATIN[i % 4]}


def sidebar(i):
    side = boxed(f"<b>{TITLES[i]}</b>{prose(i + 9, 1)}", "width:180px")
    main = f"<div style='width:480px'>{prose(i, 4)}{prose(i + 4, 3)}</div>"
    body = f"<div style='display:flex;gap:24px'>{main}{side}</div>"
    return {"body": f"<h2>{TITLES[i + 1]}</h2>{body}", "font": LATIN[i % 4], "size": 16}


def captioned(i):
    figure = "<div style='height:110px;background:#bbb;margin-top:8px'></div>"
    caption = f"<div style='font-size:80%'>Figure {i}. {TITLES[i]}, drawn by hand</div>"
    left = prose(i, 3) + figure + caption
    notes = "<hr>" + lines([f"1 {TITLES[i % 8]}, page 4.", f"2 {TITLES[(i + 3) % 8]}, page 9."])
    body = side_by_side(left, prose(i + 3, 5), gap=28) + f"<div style='font-size:80%'>{notes}</div>"
    return {"body": body, "font": LATIN[i % 4], "size": 16}


def code(i):
    text = ["def tide(hour):", "    if hour < 6:", "        return low", "    for gate in gates:",
            "        gate.open()", "    return high", "print(tide(7))"]  # fmt: skip
    body = lines(f"<span style='white-space:pre'>{line}</span>" for line in text)
    return {"body": prose(i, 2) + body + prose(i + 2, 2), "size": 17,
            "font": ("Liberation Mono", "DejaVu Sans Mono")[i % 2]}  # fmt: skip


def letter(i):
    sender = lines(["Ada Byron", "4 Quay Road", "Ashford"])
    date = f"<div style='text-align:right'>{i + 3} May 2021</div>"
    body = f"<div style='width:200px;margin-left:auto'>{sender}</div>{date}<p>Dear Sir,</p>"
    return {"body": body + prose(i, 4) + "<p>Yours,</p><p>Ada Byron</p>", "font": LATIN[i % 4]}


def margin_notes(i):
    note = "width:110px;font-size:75%;padding-top:.6em"
    rows = "".join(
        f"<div style='display:flex;gap:20px'><div style='{note}'>{TITLES[(i + k) % 8]}</div>"
        f"<div style='flex:1'>{prose(i + 3 * k, 3)}</div></div>"
        for k in range(2)
    )
    return {"body": rows, "font": LATIN[i % 4], "size": 18}


def three_lists(i):
    columns = [
        f"<h3>{TITLES[(i + k) % 8]}</h3>{lines(taken(ITEMS, i + 4 * k, 3 + k))}" for k in range(3)
    ]
    return {"body": f"<h1>{TITLES[i % 8]}</h1>{side_by_side(*columns)}", "font": LATIN[i % 4],
            "size": 20, "width": 960}  # fmt: skip


def two_tiers(i):
    """A vertical page in two tiers, with a page number below."""
    tiers = "".join(vertical(prose(i + 3 * k, 3, JAPANESE), 210, "width:100%;margin-bottom:34px")
                    for k in range(2))  # fmt: skip
    return {"body": tiers + f"<div style='text-align:center'>{i + 40}</div>", "font": KANA[i % 3],
            "size": 20}  # fmt: skip


def turned_invoice(i):
    return {**invoice(i), "turn": (90, 270)[i % 2]}


FRESH = (chinese_form, menu, timetable, sidebar, captioned, code, letter, margin_notes, three_lists,
         two_tiers, turned_invoice)  # fmt: skip
"""Kinds that were added once the rules stood, to see how they do on others: all held back."""
DEGRADED = ("jpeg", "blur", "shadow", "fold", "noise", "coarse", "perspective")


def all_pages() -> list[Page]:
    clean = [
        Page(kind, i, **make(i)) for kind, (make, count) in KINDS.items() for i in range(count)
    ]
    clean += [Page(f"fresh-{make.__name__}", i, **make(i)) for make in FRESH for i in (2, 5)]
    third = [page for k, page in enumerate(clean[:99]) if (k + k // 3) % 3 == 1]
    spoilt = zip(third, cycle(DEGRADED), strict=False)
    return clean + [replace(page, degraded=how) for page, how in spoilt]


PAGES = all_pages()
