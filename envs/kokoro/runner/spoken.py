"""The spoken form of written Chinese: numbers, dates, times, money, units, addresses.

wetext, which is WeTextProcessing's grammars for Mandarin, spells numbers out. The patterns here
are about what it does not know, and come before it.
"""
# ruff: noqa: RUF001 - full-width marks are what this is about

import re
from functools import cache

from .written import HAN, HOST

DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
MONEY = {
    "$": "美元",
    "€": "欧元",
    "£": "英镑",
    "￡": "英镑",
    "¥": "元",
    "￥": "元",
    "₩": "韩元",
    "₽": "卢布",
}
SYMBOLS = {
    "+": "加", "=": "等于", "×": "乘", "÷": "除以", "<": "小于", ">": "大于", "±": "正负",
    "≈": "约等于", "≥": "大于等于", "≤": "小于等于", "≠": "不等于", "&": "和", "%": "百分号",
    "°": "度", "‰": "千分号", "²": "平方", "³": "立方", "№": "号", "@": " at ",
}  # fmt: skip
AMOUNT = r"(\d[\d,]*(?:\.\d+)?(?:[十百千万亿]+)?)"
UNIT = "[元块]"


def digit_by_digit(text):
    """Returns Arabic digits as their Chinese names, one by one; all else as it is."""
    return "".join(DIGITS.get(c, c) for c in text)


def _host(match):
    return match[0].replace(".", "点")


def _money(match):
    return match[2] + MONEY[match[1]]


def _seconds(match):
    hours, minutes, seconds = (int(part) for part in match.groups())
    return f"{hours}点{minutes}分{seconds}秒"


PATTERNS = [
    (re.compile('"'), "”"),
    (re.compile(r"\+86[ -]?(?=1\d\d)"), "加八六"),
    (re.compile(r"(?<!\d)(1\d\d)[ -](\d{4})[ -](\d{4})(?!\d)"), r"\1\2\3"),  # a telephone number
    (re.compile(r"(第\d+)[-–~～](?=\d)"), r"\1到"),
    (re.compile(r"(比分[是为以]?\s*\d+)-(?=\d)"), r"\1比"),
    (re.compile(r"(?<=[%℃°万亿元年月日号时分])[-–—~～](?=-?\d)"), "到"),
    (re.compile(r"(?<=\d) ?[×xX*] ?(?=\d)"), "乘"),
    (
        re.compile(rf"([\w.+-]+)@({HOST})", re.ASCII),
        lambda m: f"{m[1]} at {_host(m)[len(m[1]) + 1 :]}",
    ),
    (re.compile(HOST, re.ASCII), _host),
    (re.compile(rf"[¥￥](?={AMOUNT}{UNIT})"), ""),
    (re.compile(rf"([{''.join(MONEY)}]) ?{AMOUNT}"), _money),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d):([0-5]\d)(?![\d:])"), _seconds),
    (re.compile(r"(?<![A-Za-z])No\.? ?(?=\d)"), "第"),
    (re.compile(r"№ ?(\d+)"), r"\1号"),
    (re.compile(r"(?<=\d)[,，、](?=\d)"), "， "),  # numbers one after the other, not one
    (
        re.compile(r"\d+(?:\.\d+){2,}"),
        lambda m: digit_by_digit(m[0]).replace(".", "点"),
    ),  # versions
    (re.compile(r"(?<=[A-Za-z])-(?=\d)"), " "),  # GPT-4
    (re.compile(r"(?<=[A-Za-z])\d{3,}(?!\d)"), lambda m: digit_by_digit(m[0])),  # ISO9001
    (re.compile(r"(?<=[A-Za-z])\d+(?=[A-Za-z])"), lambda m: digit_by_digit(m[0])),  # B2B
    (
        re.compile(rf"(?<=[码号])([:：是为]?\s*)(\d{{3,}})(?![\d-]|\.\d|[{HAN}])"),
        lambda m: m[1] + digit_by_digit(m[2]),
    ),
    (
        re.compile(r"(?<![\d.,-])(?!1\d{10}(?!\d))\d{9,}(?![\d.,]|[万亿元])"),
        lambda m: digit_by_digit(m[0]),
    ),
]
"""In the order in which they apply."""


def spoken(text):
    """Returns a Chinese sentence with nothing in it but characters, Latin words and marks."""
    for pattern, plain in PATTERNS:
        text = pattern.sub(plain, text)
    text = digit_by_digit(grammar().normalize(text))
    text = re.sub("乾(?![坤隆])", "干", text)  # simplified where it means dry
    text = re.sub(rf"(?<=[{HAN}])/(?=[{HAN}])", "、", text)
    return "".join(SYMBOLS.get(character, character) for character in text)


@cache
def grammar():
    """Returns the grammars, which also simplify traditional characters."""
    from wetext import Normalizer

    return Normalizer(lang="zh", operator="tn", traditional_to_simple=True)
