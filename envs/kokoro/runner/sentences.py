"""Cuts a text into what is spoken in one breath, each piece with the pause that follows it.

Pure functions over plain text in Chinese, English or both.
"""
# ruff: noqa: RUF001 - full-width marks are what this is about

import re

from .written import HAN, is_han

LONGEST = 180
"""Widths that are spoken in one breath: a Chinese character counts for three Latin letters."""
TITLES = re.compile(
    r"(Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Rev|Hon|Gen|Col|Maj|Capt|Lt|Sgt|Gov|Sen|Rep|Pres|Mt|vs|cf|e\.g|i\.e)"
)
"""Their full stop never ends a sentence."""
BEFORE_NUMBERS = re.compile(
    r"(Nos?|Figs?|Vol|Ch|Sec|Art|pp?|ca?|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
)
"""Their full stop does not end a sentence where a number follows."""
CLOSING = "\"'”’)\\]）」』】》"
END = re.compile(rf"[。！？!?…]+[{CLOSING}]*\s*|\.+[{CLOSING}]*(?:\s+|(?=[{HAN}]))|[.!?]+$")
CLAUSE = re.compile(r"[，、；：—）]+|[,;:–)]+\s")


def pieces(text):
    """Returns the pieces of a text with their pauses: clause, sentence or paragraph."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        before = len(found)
        for passage in unwrapped(paragraph):
            for sentence in sentences(passage):
                clauses = clauses_of(sentence)
                found += [(clause, "clause") for clause in clauses[:-1]]
                found += [(clause, "sentence") for clause in clauses[-1:]]
        if len(found) > before:
            found[-1] = (found[-1][0], "paragraph")
    return found


def unwrapped(paragraph):
    """Returns the lines of a paragraph, with those joined that only ran out of width.

    A line goes on in the next where that begins with a small letter, or where the line is long and
    ends neither with a mark nor with a number (which is how the rows of a receipt end).
    """
    lines = [line for line in (" ".join(line.split()) for line in paragraph.split("\n")) if line]
    longest = max(map(width, lines), default=0)
    passages = []
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else ""
        if before.endswith("-") and before[-2:-1].isalpha() and line[:1].islower():
            passages[-1] = passages[-1][:-1] + line
        elif before and (
            line[:1].islower()
            or (
                width(before) > 0.6 * longest and (before[-1].isalpha() or before[-1] in ",;，、；")
            )
        ):
            chinese = is_han(line[0]) and not before[-1].isascii()
            passages[-1] += line if chinese else f" {line}"
        else:
            passages.append(line)
    return passages


def sentences(passage):
    """Returns the sentences of a passage of one line."""
    found, start = [], 0
    for match in END.finditer(passage):
        before, after = passage[start : match.start() + 1], passage[match.end() :]
        if ends_sentence(before, match[0], after):
            found.append(passage[start : match.end()].strip())
            start = match.end()
    return [sentence for sentence in [*found, passage[start:].strip()] if sentence]


def ends_sentence(before, marks, after):
    """Whether the full stop at the end of `before`, or another mark, ends a sentence."""
    following = after.lstrip("\"'“‘([")[:1]
    if following.islower() and marks[0] not in "。！？":
        return False
    if not marks.startswith(".") or marks.startswith(".."):
        return True
    word = re.split(rf"[\s{HAN}]", before[:-1])[-1].lstrip("\"'“‘([")
    initial = len(word) == 1 and word.isupper() and word != "I" and not is_han(following or " ")
    acronym = "." in word and word.replace(".", "").isupper() and bool(following)
    number_follows = BEFORE_NUMBERS.fullmatch(word) and following.isdigit()
    return not (TITLES.fullmatch(word) or initial or acronym or number_follows)


def clauses_of(sentence, limit=LONGEST):
    """Returns a sentence in pieces of at most `limit` widths.

    It is cut after a comma or another such mark, else at a space, else anywhere.
    """
    found = []
    while len(head := fitting(sentence[: limit + 1], limit)) < len(sentence):
        ends = [match.end() for match in CLAUSE.finditer(head) if match.end() > len(head) // 4]
        end = ends[-1] if ends else head.rfind(" ") + 1 or len(head)
        found.append(sentence[:end].strip())
        sentence = sentence[end:]
    return [clause for clause in [*found, sentence.strip()] if clause]


def width(text):
    """Returns how long a text is when it is spoken, in Latin letters."""
    return len(text) + 2 * sum(map(is_han, text))


def fitting(text, limit):
    """Returns the beginning of a text that is at most so wide, at least one character."""
    end, wide = 0, 0
    while end < len(text) and (wide := wide + width(text[end])) <= limit:
        end += 1
    return text[: max(end, 1)]
