"""Reads the text of lines."""

from .crops import cut_out, parts_of, turn
from .text import joined

SURE = 0.9
"""The score from which a line is taken to be read the right way up."""
BATCH = 24


def read_lines(model, page, polygons, job):
    """Returns what stands under the polygons, and whether the page stands on its head.

    A line that was hard to read is tried upside down too; the surer reading wins.

    Returns:
        For each polygon `{"polygon", "text", "score"}`, and a truth value.
    """
    crops = [cut_out(page, polygon) for polygon in polygons]
    lines = recognise(model, crops, job)
    doubtful = [i for i, (_, score) in enumerate(lines) if score < SURE]
    over = dict(
        zip(doubtful, recognise(model, [turn(crops[i]) for i in doubtful], job), strict=True)
    )
    over = {i: line for i, line in over.items() if line[1] > lines[i][1]}
    turned = 2 * len(over) > len(crops)
    if turned:
        rest = [i for i in range(len(crops)) if i not in over]
        over.update(zip(rest, recognise(model, [turn(crops[i]) for i in rest], job), strict=True))
    read = [over.get(i, line) for i, line in enumerate(lines)]
    return [
        {
            "polygon": [[round(float(v), 1) for v in corner] for corner in polygon],
            "text": text,
            "score": round(score, 4),
        }
        for polygon, (text, score) in zip(polygons, read, strict=True)
    ], turned


def recognise(model, crops, job):
    """Returns `(text, score)` of each crop."""
    parts = [(i, part) for i, crop in enumerate(crops) for part in parts_of(crop)]
    by_shape = sorted(range(len(parts)), key=lambda k: parts[k][1].shape[1] / parts[k][1].shape[0])
    texts, scores = [""] * len(parts), [0.0] * len(parts)
    for start in range(0, len(parts), BATCH):
        if job.cancelled:
            break
        job.progress(start, len(parts), "reading")
        batch = by_shape[start : start + BATCH]
        read = model.recognize_txt([parts[k][1] for k in batch])
        for k, text, score in zip(batch, read.txts, read.scores, strict=True):
            texts[k], scores[k] = text.strip(), float(score)
    lines = [("", 0.0, 0)] * len(crops)
    for (i, _), text, score in zip(parts, texts, scores, strict=True):
        before, sum_of_scores, count = lines[i]
        lines[i] = (joined(before, text), sum_of_scores + score, count + 1)
    return [(text, score / count) for text, score, count in lines]
