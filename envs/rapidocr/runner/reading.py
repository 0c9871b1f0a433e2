"""Reads the text of lines."""
# ruff: noqa: RUF001 - Chinese marks are full width

import re
from functools import partial

from .crops import cut_out, is_stump, is_tall_crop, laid, parts_of, turned, upright_letters
from .direction import SURE, certainty, find_turn
from .spaces import respaced
from .text import is_han, joined

BATCH = 6
SHORT = 320 / 48
"""Width over height: the reader fills shorter lines up to this."""
DENSE = 0.8
"""A line of square letters has at least so many for each width of its height."""
ALIKE = 1.1
"""Lines read together: the longest is no longer than the shortest by this."""
COMMA = re.compile("(?<=[\u2e80-\u9fff])[’']")


def read_lines(model, page, polygons, job, rotate="auto"):
    """Returns what stands under the polygons, and how the page is to be turned.

    On a page of vertical text tall lines are read with their letters upright. A line that was hard
    to read is tried in other ways, and so is vertical Chinese on other pages; the best reading
    wins. The page is turned clockwise by `rotate`: "0", "90", "180" or "270", or "auto".

    Returns:
        For each polygon `{"polygon", "text", "score"}`, and degrees clockwise: 0, 90, 180 or 270.
    """
    crops = [cut_out(page, polygon) for polygon in polygons]
    read = partial(recognise, model, job=job)
    known = None if rotate == "auto" else (int(rotate), {}, False)
    turn, lines, vertical = known or find_turn(polygons, crops, read)
    crops = [turned(crop, turn) for crop in crops]
    rest = [i for i in range(len(crops)) if i not in lines]
    row = upright_letters if vertical else laid
    first = (row(crops[i]) if is_tall_crop(crops[i]) else crops[i] for i in rest)
    lines |= zip(rest, read([*first]), strict=True)
    ways = [
        (i, way)
        for i, crop in enumerate(crops)
        for way in other_ways(crop, *lines[i], vertical=vertical)
    ]
    for (i, _), line in zip(ways, read([way for _, way in ways]), strict=True):
        lines[i] = max(lines[i], line, key=certainty)
    for i, crop in enumerate(crops):
        if is_tall_crop(crop):  # a comma that stands high on the right is taken for an apostrophe
            lines[i] = COMMA.sub("，", lines[i][0]), lines[i][1]
        else:
            lines[i] = respaced(lines[i][0], crop), lines[i][1]
    return [
        {
            "polygon": [[round(float(v), 1) for v in corner] for corner in polygon],
            "text": lines[i][0],
            "score": round(lines[i][1], 4),
        }
        for i, polygon in enumerate(polygons)
    ], turn


def other_ways(crop, text, score, *, vertical):
    """Returns the images of a line in which it might be read better."""
    tall = is_tall_crop(crop)
    height, width = crop.shape[:2]
    if tall and vertical and score >= SURE and len(text) < DENSE * height / width:
        yield laid(crop)  # letters were lost where they were cut apart
    if tall and not vertical and text and is_han(text[0]):
        yield upright_letters(crop)  # keeps marks and small kana, which lying ones lose
    if score < SURE:
        yield laid(crop) if tall and vertical else turned(laid(crop), 180)
        if is_stump(crop):
            yield crop


def recognise(model, crops, *, job):
    """Returns `(text, score)` of each crop."""
    parts = [(i, part) for i, crop in enumerate(crops) for part in parts_of(crop)]
    shapes = [max(part.shape[1] / part.shape[0], SHORT) for _, part in parts]
    texts, scores = [""] * len(parts), [0.0] * len(parts)
    done = 0
    for batch in batches(shapes):
        if job.cancelled:
            break
        job.progress(done, len(parts), "reading")
        read = model.recognize_txt([parts[k][1] for k in batch])
        for k, text, score in zip(batch, read.txts, read.scores, strict=True):
            texts[k], scores[k] = text.strip(), float(score)
        done += len(batch)
    lines = [("", 0.0, 0)] * len(crops)
    for (i, _), text, score in zip(parts, texts, scores, strict=True):
        before, sum_of_scores, count = lines[i]
        lines[i] = (joined(before, text), sum_of_scores + score, count + 1)
    return [(text, score / count) for text, score, count in lines]


def batches(shapes):
    """Returns the numbers of shapes in groups that differ little: the reader fills up the rest."""
    groups = []
    for k in sorted(range(len(shapes)), key=shapes.__getitem__):
        if groups and len(groups[-1]) < BATCH and shapes[k] <= ALIKE * shapes[groups[-1][0]]:
            groups[-1].append(k)
        else:
            groups.append([k])
    return groups
