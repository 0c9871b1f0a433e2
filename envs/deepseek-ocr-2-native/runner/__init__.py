"""DeepSeek-OCR-2 by the port in transformers: document images to Markdown.

It prepares the image and the prompt as the model's own code does, so that both give one answer for
the same weights.
"""

from pathlib import Path

from .checkpoint import load_model
from .marks import PROMPTS, boxes, drawing, plain, prompt_for
from .pictures import opened, rejecting, views
from .watch import Stopped, Watch

BEGIN, END, IMAGE = 0, 1, 128815
"""Tokens with a meaning of their own."""

PATCHES = 64
"""Pixels of the side of the square that becomes one token."""

REPEATED = 35
"""No sequence of so many tokens is written twice; the model's own code has this limit."""

TRACED = 8
"""Steps of which `trace` returns the logits."""


class Reader:
    """The loaded model.

    Attributes:
        model: The port's class, in evaluation mode.
        tokenizer: Its tokenizer.
        watch: What follows the job that is running.
    """

    def __init__(self, model, tokenizer):
        self.model = model
        self.tokenizer = tokenizer
        self.watch = None
        tower = model.model.vision_tower
        for layer in [*tower.sam_encoder.layers, *tower.vision_encoder.layers]:
            layer.register_forward_pre_hook(lambda *_: self.watch.step())
        for layer in model.model.language_model.layers:
            layer.register_forward_pre_hook(lambda *_: self.watch.check())


def load(context):
    """Load the model with its weights in `context.dtype`."""
    import torch
    from transformers import PreTrainedTokenizerFast

    torch.empty(1, device=context.device)  # where it cannot be used, torch says why
    directory = Path(context.model_dir)
    # Made from its one file: what a class of the original's time is named may have changed.
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(directory / "tokenizer.json"), clean_up_tokenization_spaces=False
    )
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(END)
    model = load_model(directory, getattr(torch, context.dtype))
    return Reader(model.to(context.device), tokenizer)


def miniature(_context, directory):
    """Write a tiny checkpoint with random weights."""
    from .tiny import write_checkpoint

    write_checkpoint(directory)


def check(job, *, image, mode, prompt=None, locate=None, **_):
    """Reject what could not be read, before the model is loaded for it."""
    from PIL import Image

    prompt_for(job, mode, locate, prompt)

    with rejecting(job):
        Image.open(image).close()


def run(reader, job, *, image, mode, image_size, crop, max_tokens, prompt=None, locate=None):
    """Read one image."""
    picture = opened(job, image)
    labels = mode in ("grounding", "locate")
    reader.watch = Watch(job, reader.tokenizer, max_tokens, labels=labels)
    asked = prompt_for(job, mode, locate, prompt)
    try:
        raw = written(reader, picture, asked, int(image_size), crop=crop)
    except Stopped:
        return {"text": ""}
    text = plain(raw, labels=labels)
    reader.watch.end(text)
    found = boxes(raw, *picture.size)
    outputs = {"text": text, "raw": raw, "boxes": found}
    if found or "<|grounding|>" in (prompt or PROMPTS[mode]) or mode == "locate":
        outputs["drawing"] = drawing(picture, found, Path(job.directory, "drawing.png"))
    return outputs


def written(reader, picture, prompt, size, *, crop):
    """Return what the model writes."""
    import torch

    model = reader.model
    whole, tiles = views(picture, size, crop=crop)
    count = sum((each.width // PATCHES) ** 2 for each in [whole, *tiles]) + 1
    before, after = (
        reader.tokenizer.encode(part, add_special_tokens=False)
        for part in prompt.strip().split("<image>")
    )
    tokens = torch.tensor([[BEGIN, *before, *[IMAGE] * count, *after]], device=model.device)
    given = {"pixel_values": pixels([whole], model.dtype, model.device)}
    if tiles:
        given["pixel_values_local"] = pixels(tiles, model.dtype, model.device)
        given["num_local_patches"] = [len(tiles)]
    with torch.inference_mode():
        returned = reader.watch.generate(
            model.generate,
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            no_repeat_ngram_size=REPEATED,
            eos_token_id=END,
            pad_token_id=END,
            **given,
        )
    raw = reader.tokenizer.decode(returned[0, tokens.shape[1] :])
    return raw.removesuffix(reader.tokenizer.eos_token).strip()


def pixels(pictures, dtype, device):
    """Return pictures as one tensor, with values from -1 to 1."""
    import numpy as np
    import torch

    stacked = np.stack([np.asarray(each) for each in pictures])
    values = torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255
    return ((values - 0.5) / 0.5).to(device, dtype)


def trace(reader, job, **inputs):
    """Return what the parts of the model compute of an image, and the logits of the first steps."""
    import numpy as np

    model = reader.model.model
    parts = {
        "sam": model.vision_tower.sam_encoder,
        "vision": model.vision_tower,
        "projector": model.multi_modal_projector,
        "logits": reader.model.lm_head,
    }
    kept = {name: [] for name in parts}

    def keep(name):
        def hook(_module, _inputs, output):
            value = getattr(output, "last_hidden_state", output)
            kept[name].append(value.detach().float().cpu().numpy())

        return hook

    hooks = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    try:
        run(reader, job, **{**inputs, "max_tokens": min(TRACED, inputs["max_tokens"])})
    finally:
        for hook in hooks:
            hook.remove()
    logits = np.stack([each[0, -1] for each in kept.pop("logits")])
    # The port looks at the whole image first, then at its tiles.
    views = {
        f"{name}_{view}": value
        for name, values in kept.items()
        for view, value in zip(("whole", "tiles"), values, strict=False)
    }
    return {**views, "logits": logits}
