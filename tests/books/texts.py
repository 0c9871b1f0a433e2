"""What the books say: chapters of sentences written for tests, with what makes pages hard."""
# ruff: noqa: RUF001 - Chinese marks are full width

import re

from orchestrator.book.content import Book, Element
from tests.pages.texts import CHINESE, ENGLISH

LONG = (
    "The extraordinary arrangement of the well-known warehouse surprised the commissioner.",
    "Mr. J. R. Whitcombe, a self-taught engineer, understood the machinery immediately.",
    "Considerable quantities of machinery were transported by the long-distance railway.",
    "The commissioner remembered the arrangement; nothing was understood, e.g. the railway.",
    "Every description of the warehouse mentions its extraordinary, well-known foundations.",
    "In 1893 the foundations cost 1,250 pounds, No. 7 alone being long-distance freight.",
)
TITLES = ("The Arrival", "A Quarrel about Bolts", "Winter on the Quay", "What the Map Shows")
CHINESE_TITLES = ("港口的清晨", "两兄弟的争吵", "码头上的冬天", "地图之外")
NOTES = (
    "The ledger is kept in the town museum.",
    "See the report of the harbour board.",
    "A pound was then worth a week of bread.",
    "He denied it in a letter to his sister.",
    "Later editions leave this sentence out.",
)
CHINESE_NOTES = (
    "账簿现藏于镇上的博物馆。", "参见港务局的报告。", "当时一镑可买一周的面包。",
    "他在给妹妹的信里否认此事。", "后来的版本删去了这句话。",
)  # fmt: skip


def _paragraphs(sentences, first, count, each, space):
    at = first
    for number in range(count):
        size = each + (number * 2 + first) % 3
        yield space.join(sentences[(at + k) % len(sentences)] for k in range(size))
        at += size


def english(chapters=3, paragraphs=6, *, notes=True, table=True, section=True, words="Chapter {}"):
    """Return a book in English."""
    sentences = [each for pair in zip(ENGLISH, (*LONG, *LONG, *LONG, *LONG), strict=True)
                 for each in pair]  # fmt: skip
    elements, number = [], 0
    for chapter in range(chapters):
        title = (
            f"{words.format(chapter + 1)}. {TITLES[chapter % 4]}" if words else TITLES[chapter % 4]
        )
        elements.append(Element("heading", title, 1))
        for k, text in enumerate(_paragraphs(sentences, 7 * chapter, paragraphs, 4, " ")):
            if notes and k % 3 == 1:
                number += 1
                head, rest = re.split(r"(?<=\w{4})\. ", text, maxsplit=1)
                elements.append(Element("paragraph", f"{head}.[^{number}] {rest}"))
                elements.append(Element("footnote", NOTES[number % 5], mark=str(number)))
            else:
                elements.append(Element("paragraph", text))
            if table and chapter == 1 and k == 2:
                rows = ["| Year | Ships | Tons |", "| --- | --- | --- |", "| 1891 | 12 | 340 |",
                        "| 1892 | 15 | 410 |", "| 1893 | 9 | 255 |"]  # fmt: skip
                elements.append(Element("caption", "Table 1. Ships in the harbour"))
                elements.append(Element("table", "\n".join(rows)))
            if section and chapter == 0 and k == 2:
                elements.append(Element("heading", "The office and its letters", 2))
    return Book("The Harbour", "A. Writer", "en", tuple(elements))


def chinese(chapters=3, paragraphs=6, *, notes=True):
    """Return a book in Chinese, with English names in it."""
    sentences = [
        *CHINESE,
        "经理John Whitcombe在1893年买下了仓库，花了1250镑。",
        "他说：“明天再来吧！”然后关上了门。",
    ]
    numbers = "一二三四五六"
    elements, number = [], 0
    for chapter in range(chapters):
        title = f"第{numbers[chapter]}章 {CHINESE_TITLES[chapter % 4]}"
        elements.append(Element("heading", title, 1))
        for k, text in enumerate(_paragraphs(sentences, 5 * chapter, paragraphs, 4, "")):
            if notes and k % 3 == 1:
                number += 1
                head, _, rest = text.partition("。")
                elements.append(Element("paragraph", f"{head}。[^{number}]{rest}"))
                elements.append(Element("footnote", CHINESE_NOTES[number % 5], mark=str(number)))
            else:
                elements.append(Element("paragraph", text))
    return Book("海港", "某某", "zh", tuple(elements))
