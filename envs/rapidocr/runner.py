"""Runs RapidOCR: finds lines of text in an image, reads them, and puts them in reading order.

Runs in the model's own environment and imports nothing of the orchestrator. Nothing is written:
the weights are read where the package carries them.
"""

import math
import os
import statistics
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

# RapidOCR and OpenCV are imported where they are used: what orders the lines can be tested
# without them.

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF", "TGA")
MEGAPIXELS = 100
"""The largest image; it takes about 1 GB to hold and some minutes to read."""
TILE, OVERLAP = 2000, 200
"""Pixels: the side of what the detector sees at once, and what two neighbours share."""
ZOOM = 4
"""Each finer search sees this many times more; the detector knows letters of 10 to 100 pixels."""
LEGIBLE = 28
"""Pixels: the height of lines that a coarse search may keep; smaller ones wait for a finer one."""
INSIDE = 0.5
"""A line of which more than this lies in another is a piece of that one."""
SPECKS = 8
"""A tile with fewer pixels of contrast than this, outside of known lines, holds no text."""
MARGIN = 32
READER_HEIGHT = 48
"""Pixels: the height of the recogniser's input."""
LONGEST = 32
"""Heights: a longer line is read in parts; the recogniser's memory grows with the square."""
SURE = 0.9
"""The score from which a line is taken to be read the right way up."""
BATCH = 24
COLUMN_LINES = 3
"""Fewer lines than this make no column."""


def load(context):  # noqa: ARG001 - it needs no settings
    import rapidocr
    from rapidocr.main import RapidOCR

    weights = Path(rapidocr.__file__).parent / "models"
    Image.init()  # the formats beyond the five usual ones
    threads = os.environ.get("OMP_NUM_THREADS", "")  # noqa: TID251 - set for the worker by mm
    parameters = {
        "Global.log_level": "error",
        "Global.model_root_dir": os.devnull,  # so that nothing can be downloaded into the package
        "EngineConfig.onnxruntime.intra_op_num_threads": int(threads) if threads.isdigit() else -1,
        # Tiles come at the scale to be searched; enlarged ones hide letters from the detector.
        "Det.limit_type": "max",
        "Det.limit_side_len": 2 * TILE,
        "Global.use_vertical_padding": False,
        "Det.model_path": str(weights / "PP-OCRv6_det_small.onnx"),
        "Rec.model_path": str(weights / "PP-OCRv6_rec_small.onnx"),
    }
    engine = RapidOCR(params=parameters)
    detect(engine, np.full((64, 64, 3), 255, np.uint8))  # a first use loads each network
    engine.recognize_txt([np.full((48, 96, 3), 255, np.uint8)])
    return engine


def check(job, *, image, **_):
    """Rejects what its header shows to be no image, or too large, before the model is loaded."""
    with opened(image, job):
        pass


def run(model, job, *, image, min_score=0.5):
    page = open_image(image, job)
    found = find_lines(model, page, job)
    lines, turned = read_lines(model, page, found, job)
    if job.cancelled:
        return {}
    kept = [line for line in lines if line["text"] and line["score"] >= min_score]
    rows = arrange(level_boxes(kept, turned=turned))
    return {
        "text": compose(rows),
        "boxes": [kept[box.index] for row in rows for box in row],
    }


# -- the image -------------------------------------------------------------------------------------


def open_image(path, job):
    """Returns the image as a person sees it: H x W x 3, BGR, uint8, turned by its EXIF tag.

    What is transparent lies on white. Of an animation, the first frame.
    """
    with opened(path, job) as stored:
        stored.load()
        picture = to_rgb(ImageOps.exif_transpose(stored))
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])


@contextmanager
def opened(path, job):
    """Gives the image as Pillow opens it; rejects the job where it cannot be read, or is too large.

    The sentences name the input: its path may be one of mm's own, for a page or standard input.
    """
    Image.MAX_IMAGE_PIXELS = None  # there is a limit below, which says what it is
    try:
        if Path(path).stat().st_size == 0:
            job.reject("image: the file is empty")
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            pixels = width * height
            if pixels > MEGAPIXELS * 1_000_000:
                job.reject(
                    f"image: {width} x {height} are {pixels / 1e6:.0f} megapixels "
                    f"and the limit is {MEGAPIXELS}; make the image smaller"
                )
            if max(width, height) > TILE * min(width, height):
                job.reject(f"image: {width} x {height} pixels are too narrow to hold text")
            yield picture
    except Image.UnidentifiedImageError:
        job.reject(f"image: not an image of a kind that can be read ({', '.join(FORMATS)})")
    except IsADirectoryError:
        job.reject("image: a directory, not an image")
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.strerror:
            job.reject(f"image: cannot be read: {error.strerror}")
        job.reject(f"image: a damaged or incomplete image ({error})")


def to_rgb(picture):
    """Returns a Pillow image of any mode as RGB."""
    if picture.mode[:1] in ("I", "F"):  # 16 or 32 bits: Pillow would clip them, not scale them
        values = np.nan_to_num(np.asarray(picture, np.float64))
        low, high = values.min(), values.max()
        picture = Image.fromarray(np.uint8((values - low) * (255 / max(high - low, 1e-9))))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        flat = Image.new("RGBA", picture.size, "white")
        flat.alpha_composite(picture)
        if flat.convert("L").getextrema()[0] > 200:  # light on nothing: on white, nobody sees it
            flat.paste("black", (0, 0, *picture.size))
            flat.alpha_composite(picture)
        picture = flat
    return picture.convert("RGB")


# -- finding lines ---------------------------------------------------------------------------------


def find_lines(model, page, job):
    """Returns the lines of text as polygons of 4 x 2 float32, in pixels of the page.

    Large letters are found in a reduced image, small ones in tiles of finer ones, where something
    is left to be found.
    """
    import cv2

    scales = [1.0]
    while max(page.shape[:2]) * scales[0] > TILE:
        scales.insert(0, max(scales[0] / ZOOM, TILE / max(page.shape[:2])))
    found = []
    for scale in scales:
        level = page if scale == 1 else shrink(page, scale)
        edges = cv2.Laplacian(cv2.cvtColor(level, cv2.COLOR_BGR2GRAY), cv2.CV_8U) > 32
        for polygon in found:
            x0, y0, x1, y1 = np.int32(bounds(polygon) * scale)
            edges[y0 : y1 + 1, x0 : x1 + 1] = False
        starts = [(x, y) for y in cuts(level.shape[0]) for x in cuts(level.shape[1])]
        here = []
        for number, (x, y) in enumerate(starts):
            if job.cancelled:
                return []
            job.progress(number, len(starts), "looking for text")
            tile = np.s_[y : y + TILE, x : x + TILE]
            if np.count_nonzero(edges[tile]) >= SPECKS:
                here += [(number, p + np.float32((x, y))) for p in detect(model, level[tile])]
        for polygon in (p / np.float32(scale) for p in join(here)):
            if scale < 1 and not (
                sides(polygon)[1] * scale >= LEGIBLE and is_one_line(cut_out(page, polygon))
            ):
                continue
            if not any(covered(polygon, other) > INSIDE for other in found):
                found.append(polygon)
    return found


def is_one_line(crop):
    """Whether no blank row runs through a line, as it does where small lines blurred into one."""
    height, width = crop.shape[:2]
    contrast = np.ptp(crop.max(2), axis=1)
    inked = np.concatenate([[False], contrast > 0.4 * contrast.max(), [False]])
    edges = np.flatnonzero(inked[1:] != inked[:-1])
    thick = np.diff(edges)[::2] > 0.15 * height
    return width < 3 * height or np.count_nonzero(thick) < 2


def cuts(length):
    """Returns where tiles begin that cover `length` pixels, each sharing some with the next."""
    count = max(1, math.ceil((length - OVERLAP) / (TILE - OVERLAP)))
    return [round(i * (length - TILE) / (count - 1)) if count > 1 else 0 for i in range(count)]


def shrink(image, scale):
    import cv2

    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def detect(model, tile):
    """Returns the polygons in one tile.

    The tile is given a margin of its own colour first: letters that touch the edge are missed, and
    the detector wants sides that 32 divides.
    """
    import cv2
    from rapidocr.main import RapidOCRError

    height, width = tile.shape[:2]
    edge = np.concatenate([tile[0], tile[-1], tile[:, 0], tile[:, -1]])
    below, right = (MARGIN + -(side + 2 * MARGIN) % 32 for side in (height, width))
    colour = np.median(edge, axis=0).tolist()
    framed = cv2.copyMakeBorder(
        tile, MARGIN, below, MARGIN, right, cv2.BORDER_CONSTANT, value=colour
    )
    try:
        _, result = model.detect_and_crop(framed, {})
    except RapidOCRError:  # its word for "no text here"
        return []
    polygons = np.float32(result.boxes) - MARGIN
    return list(np.clip(polygons, 0, np.float32((width - 1, height - 1))))


def join(pieces):
    """Returns the polygons of `(tile, polygon)`, with lines made whole that a tile's edge cut."""
    import cv2

    whole = []
    for tile, polygon in pieces:
        apart, grown = [], polygon
        for other_tile, other in whole:
            inside, around = covered(other, grown), covered(grown, other)
            if other_tile == tile or max(inside, around) == 0:
                apart.append((other_tile, other))
            elif same_line(other, grown):
                corners = cv2.boxPoints(cv2.minAreaRect(np.concatenate([other, grown])))
                grown = from_top_left(corners)
            elif max(inside, around) < INSIDE:
                apart.append((other_tile, other))
            elif around > inside:
                grown = other
        whole = [*apart, (tile, grown)]
    return [polygon for _, polygon in whole]


def same_line(one, other):
    """Whether two polygons that touch lie along one line, at one size."""
    (_, high), (_, higher) = sorted((sides(one), sides(other)), key=lambda side: side[1])
    across = (one[3] - one[0] + other[3] - other[0]) / 2
    offset = abs(np.dot(one.mean(0) - other.mean(0), across / np.linalg.norm(across)))
    return higher < 1.6 * high and offset < 0.4 * high


def from_top_left(corners):
    """Orders four corners clockwise from the top left one."""
    by_x = corners[np.argsort(corners[:, 0])]
    left, right = (pair[np.argsort(pair[:, 1])] for pair in (by_x[:2], by_x[2:]))
    return np.float32([left[0], right[0], right[1], left[1]])


def bounds(polygon):
    return np.concatenate([polygon.min(0), polygon.max(0)])


def sides(polygon):
    """Returns width and height of a polygon, in its own direction."""
    return np.linalg.norm(polygon[1] - polygon[0]), np.linalg.norm(polygon[3] - polygon[0])


def covered(polygon, other):
    """Returns the part of `polygon` that lies in `other`, from 0 to 1."""
    import cv2

    if (polygon.min(0) > other.max(0)).any() or (other.min(0) > polygon.max(0)).any():
        return 0.0
    return cv2.intersectConvexConvex(polygon, other)[0] / max(cv2.contourArea(polygon), 1.0)


# -- reading lines ---------------------------------------------------------------------------------


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


def parts_of(crop):
    """Returns a line in parts that are not too long for the recogniser, cut where it is blank."""
    height, width = crop.shape[:2]
    if width <= LONGEST * height:
        return [crop]
    middle = width // 2
    window = crop[:, middle - 4 * height : middle + 4 * height]
    ink = np.ptp(window.reshape(height, -1), axis=0).reshape(-1, 3).max(1)
    blank = np.convolve(ink, np.ones(max(1, height // 5)), "same")  # as wide as between words
    cut = middle - 4 * height + int(blank.argmin())
    return [*parts_of(crop[:, :cut]), *parts_of(crop[:, cut:])]


def turn(crop):
    return np.ascontiguousarray(crop[::-1, ::-1])


def cut_out(page, polygon):
    """Returns the line under `polygon`, laid level; large ones are reduced, without aliasing."""
    from rapidocr.utils.process_img import get_rotate_crop_image

    x0, y0 = np.int32(np.floor(polygon.min(0)))
    x1, y1 = np.int32(np.ceil(polygon.max(0))) + 1
    part, corners = page[y0:y1, x0:x1], polygon - np.float32((x0, y0))
    scale = 2 * READER_HEIGHT / max(sides(polygon)[1], 1)
    if scale < 0.8:
        part, corners = shrink(part, scale), corners * np.float32(scale)
    return get_rotate_crop_image(part, corners)


# -- reading order: pure functions -----------------------------------------------------------------


class Box(NamedTuple):
    """A line of text as a level rectangle; `index` is its place in the caller's list."""

    index: int
    x0: float
    y0: float
    x1: float
    y1: float
    text: str

    @property
    def height(self):
        """Its height, in pixels."""
        return self.y1 - self.y0

    @property
    def width(self):
        """Its width, in pixels."""
        return self.x1 - self.x0

    @property
    def middle(self):
        """The y of its middle line."""
        return (self.y0 + self.y1) / 2


def level_boxes(lines, *, turned=False):
    """Returns the lines as boxes of a page that lies straight.

    Args:
        lines: As `read_lines` returns them.
        turned: Whether the page stands on its head.
    """
    angles = [
        math.atan2(b[1] - a[1], b[0] - a[0])
        for a, b, _, d in (line["polygon"] for line in lines)
        if math.dist(a, b) > 2 * math.dist(a, d)
    ]
    angle = (statistics.median(angles) if angles else 0.0) + (math.pi if turned else 0.0)
    cos, sin = math.cos(angle), math.sin(angle)
    boxes = []
    for index, line in enumerate(lines):
        xs = sorted(x * cos + y * sin for x, y in line["polygon"])
        ys = sorted(y * cos - x * sin for x, y in line["polygon"])
        edges = (sum(pair) / 2 for pair in (xs[:2], ys[:2], xs[2:], ys[2:]))
        boxes.append(Box(index, *edges, line["text"]))
    return boxes


def arrange(boxes):
    """Returns the rows of a page in the order in which a person reads them.

    Columns of prose are read one after the other; everything else (a receipt, a table, a form)
    row by row. What is as wide as the page (a heading) stands before, between or after columns.

    Returns:
        A list of rows, each a list of boxes from left to right.
    """
    for gutter in gutters(boxes):
        crossing = sorted((b for b in boxes if b.x0 < gutter < b.x1), key=lambda b: b.middle)
        ends = [b.middle for b in crossing] + [math.inf]
        rows, pending, began = [], [], -math.inf
        for number, end in enumerate(ends):
            between = [b for b in boxes if began <= b.middle < end and b not in crossing]
            left = [b for b in between if b.x1 <= gutter]
            right = [b for b in between if b.x0 >= gutter]
            if are_columns(left, right):
                rows += [*in_rows(pending), *arrange(left), *arrange(right)]
                pending = []
            else:
                pending += between
            pending += crossing[number : number + 1]
            began = end
        if rows:
            return rows + in_rows(pending)
    return in_rows(boxes)


def gutters(boxes):
    """Returns the x of upright white strips with lines on both sides, the most telling first."""
    if len(boxes) < 2 * COLUMN_LINES:
        return []
    gap = 0.4 * statistics.median(b.height for b in boxes)
    found = {}
    for edge in {b.x1 for b in boxes}:
        left = [b for b in boxes if b.x1 <= edge]
        right = [b for b in boxes if b.x0 >= edge + gap]
        crossing = len(boxes) - len(left) - len(right)
        fewer = min(len(left), len(right))
        if fewer >= COLUMN_LINES and (len(left), len(right)) not in found:
            found[len(left), len(right)] = (fewer - crossing, edge + gap / 2)
    return [x for _, x in sorted(found.values(), reverse=True)]


def are_columns(left, right):
    """Whether two groups of lines, side by side, are columns and not halves of table rows."""
    if min(len(left), len(right)) < COLUMN_LINES or not (is_wordy(left) and is_wordy(right)):
        return False
    few, many = sorted((left, right), key=len)
    beside = [
        min(abs(a.middle - b.middle) / min(a.height, b.height) for b in touching)
        for a in few
        if (touching := [b for b in many if min(a.y1, b.y1) > max(a.y0, b.y0)])
    ]
    if 2 * len(beside) < len(few):
        return False
    level = sum(offset < 0.25 for offset in beside) / len(beside)
    return level < 0.6 or (is_prose(left) and is_prose(right))


def is_wordy(boxes):
    """Whether letters prevail, as they do not in a column of prices."""
    text = "".join(b.text for b in boxes if b.text).replace(" ", "")
    return 2 * sum(c.isalpha() for c in text) > len(text)


def is_prose(boxes):
    """Whether lines are long, and most of them about as long as the longest: set in a column."""
    widths = sorted(b.width for b in boxes)
    full = widths[int(0.9 * (len(widths) - 1))]
    long_enough = statistics.median(widths) > 8 * statistics.median(b.height for b in boxes)
    return long_enough and 2 * sum(w > 0.7 * full for w in widths) > len(widths)


def in_rows(boxes):
    """Returns the boxes as rows from top to bottom; what stands at one height is one row."""
    rows = []
    for box in sorted(boxes, key=lambda b: b.middle):
        row = rows[-1] if rows else []
        if row and all(
            abs(box.middle - b.middle) < 0.5 * min(box.height, b.height)
            and min(box.x1, b.x1) - max(box.x0, b.x0) < 0.5 * min(box.width, b.width)
            for b in row
        ):
            row.append(box)
        else:
            rows.append([box])
    return [sorted(row, key=lambda b: b.x0) for row in rows]


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
