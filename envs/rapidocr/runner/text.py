"""The text of ordered lines."""

import statistics
from itertools import pairwise


def compose(rows):
    """Returns the text of rows, one a line; a clear space between them becomes an empty line."""
    middles = [statistics.fmean(b.middle for b in row) for row in rows]
    steps = [below - above for above, below in pairwise(middles) if below > above]
    usual = statistics.median(steps) if steps else 0.0
    lines = []
    for number, row in enumerate(rows):
        if number:
            space = min(b.y0 for b in row) - max(b.y1 for b in rows[number - 1])
            step = middles[number] - middles[number - 1]
            if step > 1.4 * usual and space > 0.5 * min(b.height for b in row):
                lines.append("")
        line = row[0].text
        for before, box in pairwise(row):
            near = box.x0 - before.x1 < box.height
            line = joined(line, box.text) if near else f"{line} {box.text}"
        lines.append(line)
    return "\n".join(lines)


def joined(before, after):
    """Returns two parts of one line as a person would write them: Chinese without a space."""
    space = " " if before and after and not (is_han(before[-1]) and is_han(after[0])) else ""
    return before + space + after


def is_han(character):
    """Whether this is written without spaces between words: Chinese and Japanese, with marks."""
    return (
        "\u2e80" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff"
        or "\uff00" <= character <= "\uffef" or character >= "\U00020000"
    )  # fmt: skip
