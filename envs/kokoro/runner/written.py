"""What of a text can be spoken, as plain text: marks of Markdown, addresses, code, other scripts.

Pure functions. Line breaks stay: they say where headings, items and rows of tables end. No pattern
looks ahead without a bound from every place: the time must grow with the text, not its square.
"""
# ruff: noqa: RUF001 - full-width marks are what this is about

import html
import re
import unicodedata

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
HAN_CHARACTER = re.compile(f"[{HAN}]")
HOST = r"(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}"
CODE = re.compile(r"^(```|~~~).*?(?:^\1 *$|\Z)", re.DOTALL | re.MULTILINE)
ADDRESS = re.compile(
    rf"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://(?:www\.)?({HOST}|[\w.-]+)[^\s{HAN}，。；！？）]*"
)
WWW = re.compile(rf"\bwww\.({HOST})(?:[/?][^\s{HAN}，。；！？）]*)?", re.ASCII)
BLOB = re.compile(r"(?<![A-Za-z0-9+/=_-])(?=[A-Za-z+/=_-]*\d)[A-Za-z0-9+/=_-]{40,}")
"""A hash, a key or an encoded file: no one reads it aloud."""
TAGS = "p|br|hr|div|span|b|i|u|em|strong|a|img|table|thead|tbody|t[rdh]|[uo]l|li|h[1-6]|su[bp]|pre"
MARKDOWN = [
    (re.compile(r"!?\[([^\]\n]{0,500})\]\([^)\n]{0,2000}\)"), r"\1"),  # links and images
    (
        re.compile(
            rf"</?(?:{TAGS})(?:\s+[\w-]+=[^<>\n]*)?\s*/?>|<!--.*?-->", re.DOTALL | re.IGNORECASE
        ),
        " ",
    ),
    (re.compile(r"^ *(?:[-*_=] *){3,}$", re.MULTILINE), ""),  # rules
    (re.compile(r"^ *\|?(?: *:?-+:? *\|)+ *(?::?-+:?)? *$", re.MULTILINE), ""),  # heads of tables
    (re.compile(r"^ *(?:> ?)+", re.MULTILINE), ""),
    (re.compile(r"^ *#{1,6} +(.*?)[# ]*$", re.MULTILINE), r"\n\1\n"),
    (re.compile(r"^ *[-*+•·] +", re.MULTILINE), ""),
    (re.compile(r"`+([^`\n]*)`+"), r"\1"),
    (re.compile(r"(\*\*\*|\*\*|~~)(?=\S)(.{1,500}?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![A-Za-z0-9_*])(__|[*_])(?=\S)(.{1,500}?)(?<=\S)\1(?![A-Za-z0-9_*])"), r"\2"),
]
ROW = re.compile(r"^ *\|(.*)\| *$", re.MULTILINE)
WIDE = re.compile("[０-９Ａ-Ｚａ-ｚ％＋＝＆＠＃＄￥￡～]|(?<=[0-9０-９])[：．／－](?=[0-9０-９])")
KEPT = frozenset("²³℃℉°№‰")
"""Symbols that are read as they are."""
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]")


def readable(text):
    """Returns the text that can be spoken, and how many characters were left out of it."""
    text = re.sub(r"\r\n?|[\u2028\u2029\v\f]", "\n", unicodedata.normalize("NFC", text))
    text = re.sub(r"[^\S\n]", " ", INVISIBLE.sub("", html.unescape(text)))
    left_out = 0
    for pattern in (CODE, BLOB):
        left_out += sum(len("".join(match[0].split())) for match in pattern.finditer(text))
        text = pattern.sub(" ", text)
    for pattern, plain in MARKDOWN:
        text = pattern.sub(plain, text)
    text = WWW.sub(r"\1", ADDRESS.sub(r"\1", text))
    text = ROW.sub(lambda row: "\n" + "，".join(cells(row[1])) + "\n", text)
    text = WIDE.sub(lambda wide: unicodedata.normalize("NFKC", wide[0]), text)
    characters = [spoken_for(character) for character in text]
    left_out += characters.count(None)
    return re.sub(" +", " ", "".join(c or " " for c in characters)), left_out


def cells(row):
    """Returns the cells of a row of a table that hold anything."""
    return [cell.strip() for cell in row.split("|") if cell.strip()]


def spoken_for(character):
    """Returns what a character is replaced by: itself, plain ones, or None where it is left out."""
    if character == "\n" or character.isspace():
        return character
    if character in KEPT or (character.isascii() and character.isprintable()):
        return character
    kind = unicodedata.category(character)
    if is_han(character) or unicodedata.name(character, "").startswith("LATIN "):
        return character
    if kind in ("No", "Nl", "So"):  # ①, Ⅳ, ½, ㎡
        plain = unicodedata.normalize("NFKC", character).replace("⁄", "/")
        if all(c.isascii() or is_han(c) for c in plain):
            return f" {plain}"
    if kind[0] in "PZ" or kind in ("Sc", "Sm"):
        return character
    return None


def is_han(character):
    """Whether a character is a Chinese one."""
    return HAN_CHARACTER.match(character) is not None
