"""DeepSeek-OCR-2 by MLX: on Apple's GPU on a Mac, and on the CPU elsewhere.

It prepares the image and the prompt as the model's own code does, so that both give one answer for
the same weights.
"""

from functools import partial
from pathlib import Path

from .conversion import convert
from .loading import Reader
from .looking import look
from .marks import PROMPTS, boxes, drawing, plain, prompt_for
from .pictures import opened, rejecting, views
from .watch import Stopped, Watch
from .writing import write

BEGIN, IMAGE = 0, 128815
"""Tokens with a meaning of their own."""

TRACED = 8
"""Steps of which `trace` returns the logits."""


__all__ = ["check", "convert", "load", "run", "trace"]


def load(context):
    """Load the model with its weights in `context.dtype`."""
    return Reader(Path(context.model_dir), context.dtype)


def check(job, *, image, mode, prompt=None, locate=None, **_):
    """Reject what could not be read, before the model is loaded for it."""
    from PIL import Image

    prompt_for(job, mode, locate, prompt)

    with rejecting(job):
        Image.open(image).close()


def run(reader, job, *, image, mode, image_size, crop, max_tokens, prompt=None, locate=None):
    """Read one image."""
    import mlx.core as mx

    picture = opened(job, image)
    labels = mode in ("grounding", "locate")
    asked = prompt_for(job, mode, locate, prompt)
    reader.watch = Watch(job, reader.tokenizer, max_tokens, labels=labels)
    try:
        raw = written(reader, picture, asked, int(image_size), crop=crop)
    except Stopped:
        return {"text": ""}
    finally:
        mx.clear_cache()
    text = plain(raw, labels=labels)
    reader.watch.end(text)
    found = boxes(raw, *picture.size)
    outputs = {"text": text, "raw": raw, "boxes": found}
    if found or "<|grounding|>" in (prompt or PROMPTS[mode]) or mode == "locate":
        outputs["drawing"] = drawing(picture, found, Path(job.directory, "drawing.png"))
    return outputs


def written(reader, picture, prompt, size, *, crop):
    """Return what the model writes."""
    import mlx.core as mx
    import numpy as np

    whole, tiles = views(picture, size, crop=crop)
    seen = look(reader, [*tiles, whole])
    before, after = (
        reader.tokenizer.encode(part, add_special_tokens=False)
        for part in prompt.strip().split("<image>")
    )
    tokens = np.array([[BEGIN, *before, *[IMAGE] * len(seen), *after]])
    values = reader.model.language_model.model.embed_tokens(mx.array(tokens))
    end = tokens.size - len(after)
    parts = [values[:, : 1 + len(before)], seen[None].astype(values.dtype), values[:, end:]]
    values = mx.concatenate(parts, axis=1)
    raw = reader.tokenizer.decode(reader.watch.generate(partial(write, reader, values), tokens))
    return raw.removesuffix(reader.tokenizer.eos_token).strip()


def trace(reader, job, **inputs):
    """Return what the parts of the model compute of an image, and the logits of the first steps."""
    import mlx.core as mx
    import numpy as np

    kept = {"sam": [], "vision": [], "projector": [], "logits": []}
    reader.keep = lambda name, value: kept[name].append(np.array(value.astype(mx.float32)))
    try:
        run(reader, job, **{**inputs, "max_tokens": min(TRACED, inputs["max_tokens"])})
    finally:
        del reader.keep
    logits = np.stack(kept.pop("logits"))
    arrays = {}
    for name, (*tiles, whole) in kept.items():  # in the order of `written`
        arrays[f"{name}_whole"] = whole
        if tiles:
            arrays[f"{name}_tiles"] = np.concatenate(tiles)
    return {**arrays, "logits": logits}
