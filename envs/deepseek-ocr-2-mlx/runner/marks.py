"""What the model is asked, what it writes, and the boxes in it."""

import re

PROMPTS = {
    "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
    "free": "<image>\nFree OCR.",
    "grounding": "<image>\n<|grounding|>OCR this image.",
    "locate": "<image>\nLocate <|ref|>{}<|/ref|> in the image.",
}

SCALE = 999
"""The model writes coordinates from 0 to this, whatever the size of the image."""

MARK = re.compile(r"<\|ref\|>(.*?)<\|/ref\|><\|det\|>(.*?)<\|/det\|>", re.DOTALL)
MARK_AND_LINE = re.compile(MARK.pattern + r"\n?", re.DOTALL)
BOX = re.compile(r"\[\s*(\d{1,4})\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\]")
OTHER_MARKS = re.compile(r"<\|/?(?:ref|det|grounding)\|>")


def prompt_for(job, mode, locate, prompt):
    """Return the prompt, or reject a combination that has no meaning."""
    if locate is not None and mode != "locate":
        job.reject("--locate TEXT goes with --mode locate")
    if prompt is not None:
        if prompt.count("<image>") != 1:
            job.reject("the prompt must hold <image> once, where the image goes")
        return prompt
    if mode == "locate" and not (locate or "").strip():
        job.reject("--mode locate needs --locate TEXT")
    return PROMPTS[mode].format(locate)


def plain(raw, *, labels):
    """Return the text of `raw` without marks.

    In a document a mark says what follows it, so it goes; where the model was asked for places, or
    wrote nothing else, the label of a mark is the text.
    """
    if not labels:
        text = document(raw)
        if text or not MARK.search(raw):
            return text
    lines = OTHER_MARKS.sub("", MARK.sub(lambda mark: f"{mark[1]}\n", raw)).split("\n")
    return "\n".join(line.strip() for line in lines if line.strip())


def document(raw):
    """Return `raw` without marks and without the line that each of them stands on."""
    return OTHER_MARKS.sub("", MARK_AND_LINE.sub("", raw)).strip()


def finished(raw):
    """Return the part of `raw` whose text cannot change any more, however it goes on."""
    opened = raw.rfind("<|ref|>")
    closed = raw.rfind("<|/det|>")
    if opened > closed:
        return raw[:opened]
    tail = raw.rfind("<")
    return raw if tail < 0 or "|>" in raw[tail:] else raw[:tail]


def boxes(raw, width, height):
    """Return each label and its places in pixels; what is no box of numbers is passed over."""
    found = []
    for mark in MARK.finditer(raw):
        for box in BOX.finditer(mark[2]):
            left, top, right, bottom = (min(int(each), SCALE) for each in box.groups())
            corners = (left * width, top * height, right * width, bottom * height)
            found.append({"label": mark[1], "box": [int(each / SCALE) for each in corners]})
    return found


def drawing(picture, found, path):
    """Draw the boxes into a copy of the picture and return where it was saved."""
    from PIL import ImageDraw, ImageFont

    copy = picture.copy()
    pen = ImageDraw.Draw(copy)
    font = ImageFont.load_default()
    line = max(2, min(picture.size) // 400)
    for index, each in enumerate(found):
        color = f"hsl({index * 67 % 360}, 90%, 40%)"
        left, top, right, bottom = each["box"]
        corners = [min(left, right), min(top, bottom), max(left, right), max(top, bottom)]
        pen.rectangle(corners, outline=color, width=line)
        label = each["label"][:40].encode("latin-1", "replace").decode("latin-1")
        pen.text((corners[0] + line + 1, max(0, corners[1] - 12)), label, fill=color, font=font)
    copy.save(path, compress_level=1)
    return path
