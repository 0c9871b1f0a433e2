"""DeepSeek-OCR-2: document images to Markdown.

The model's own `infer` prepares the image and the prompt; its `generate` is wrapped so that tokens
are streamed, a job can be stopped, and the number of tokens is the caller's.
"""

import json
import re
from contextlib import contextmanager
from pathlib import Path

PROMPTS = {
    "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
    "free": "<image>\nFree OCR.",
    "grounding": "<image>\n<|grounding|>OCR this image.",
    "locate": "<image>\nLocate <|ref|>{}<|/ref|> in the image.",
}

TILE = 768
"""The side of a tile, in pixels; the model has queries for no other."""

SCALE = 999
"""The model writes coordinates from 0 to this, whatever the size of the image."""

MARK = re.compile(r"<\|ref\|>(.*?)<\|/ref\|><\|det\|>(.*?)<\|/det\|>", re.DOTALL)
MARK_AND_LINE = re.compile(MARK.pattern + r"\n?", re.DOTALL)
BOX = re.compile(r"\[\s*(\d{1,4})\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\]")
OTHER_MARKS = re.compile(r"<\|/?(?:ref|det|grounding)\|>")

CONTEXT = 8192
"""Tokens of image, prompt and text together that the model was made for."""

TRACED = 8
"""Steps of which `trace` returns the logits."""

HEAD = 8
"""Bytes of a safetensors file that say how long its header is."""

STORED = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
"""The data types of weights, as safetensors and torch name them."""


class Reader:
    """The loaded model.

    Attributes:
        model: The model's own class, in evaluation mode.
        tokenizer: Its tokenizer.
        watch: What follows the job that is running.
    """

    def __init__(self, model, tokenizer):
        self.model = model
        self.tokenizer = tokenizer
        self.generate = model.generate
        self.watch = None
        # It would switch off, for the whole process, how layers are initialised.
        model.disable_torch_init = lambda: None
        for layer in [*model.model.sam_model.blocks, *model.model.qwen2_model.model.model.layers]:
            layer.register_forward_pre_hook(lambda *_: self.watch.step())
        for layer in model.model.layers:
            layer.register_forward_pre_hook(lambda *_: self.watch.check())


class Stopped(Exception):
    """The job was cancelled."""


def load(context):
    """Load the patched model with its weights in `context.dtype`."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.modeling_utils import no_init_weights

    directory = Path(context.model_dir)
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=True)
    config = AutoConfig.from_pretrained(directory, trust_remote_code=True)
    with no_init_weights():
        model = AutoModel.from_config(
            config,
            torch_dtype=getattr(torch, context.dtype),
            attn_implementation="eager",
            trust_remote_code=True,
        )
    fill(model, directory)
    return Reader(model.eval().to(context.device), tokenizer)


def check(job, *, image, mode, prompt=None, locate=None, **_):
    """Reject what could not be read, before the model is loaded for it."""
    from PIL import Image

    prompt_for(job, mode, locate, prompt)

    with rejecting(job):
        Image.open(image).close()


def run(reader, job, *, image, mode, image_size, crop, max_tokens, prompt=None, locate=None):
    """Read one image."""
    picture = opened(job, image)
    size = int(image_size)
    reader.watch = Watch(job, reader.tokenizer, max_tokens, labels=mode in ("grounding", "locate"))
    reader.model.generate = lambda *args, **more: reader.watch.generate(
        reader.generate, *args, **more
    )
    try:
        raw = reader.model.infer(
            reader.tokenizer,
            prompt=prompt_for(job, mode, locate, prompt),
            image_file=str(image),
            output_path=str(Path(job.directory, "infer")),
            base_size=size,
            image_size=TILE if crop else size,
            crop_mode=crop,
            eval_mode=True,
        )
    except Stopped:
        return {"text": ""}
    finally:
        reader.model.generate = reader.generate
    text = plain(raw, labels=reader.watch.labels)
    reader.watch.end(text)
    found = boxes(raw, *picture.size)
    outputs = {"text": text, "raw": raw, "boxes": found}
    if found or "<|grounding|>" in (prompt or PROMPTS[mode]) or mode == "locate":
        outputs["drawing"] = drawing(picture, found, Path(job.directory, "drawing.png"))
    return outputs


def trace(reader, job, **inputs):
    """Return what the parts of the model compute of an image, and the logits of the first steps."""
    import numpy as np

    model = reader.model.model
    parts = {
        "sam": model.sam_model,
        "vision": model.qwen2_model,
        "projector": model.projector,
        "logits": reader.model.lm_head,
    }
    kept = {name: [] for name in parts}

    def keep(name):
        return lambda _module, _inputs, output: kept[name].append(output.float().cpu().numpy())

    hooks = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    try:
        run(reader, job, **{**inputs, "max_tokens": min(TRACED, inputs["max_tokens"])})
    finally:
        for hook in hooks:
            hook.remove()
    logits = np.stack([each[0, -1] for each in kept.pop("logits")])
    # The model looks at the tiles of an image first, where there are any, and then at the whole.
    views = {
        f"{name}_{view}": value
        for name, values in kept.items()
        for view, value in zip(("whole", "tiles"), reversed(values), strict=False)
    }
    return {**views, "logits": logits}


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


def opened(job, path):
    """Return the picture as the model will see it, or reject a file that is none."""
    from PIL import Image, ImageOps

    with rejecting(job):
        return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


@contextmanager
def rejecting(job):
    """Reject the job where the image turns out to be none."""
    from PIL import Image

    try:
        yield
    except Image.UnidentifiedImageError:  # its words name the path, which may be one of mm's own
        job.reject("image: not an image that can be read")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        job.reject(f"image: not an image that can be read ({reason})")


# What the model wrote


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


# The job that is running


class Watch:
    """Streams what the model writes, tells how far it is, and stops it when it is cancelled.

    Args:
        job: The job.
        tokenizer: The model's tokenizer.
        limit: How many tokens may be written.
        labels: Whether labels of marks are text.

    Attributes:
        ended: Whether the model has said that its text is at an end.
    """

    def __init__(self, job, tokenizer, limit, *, labels):
        self.labels = labels
        self.ended = False
        self._job = job
        self._tokenizer = tokenizer
        self._limit = limit
        self._steps = 0
        self._tokens = 0
        self._raw = ""
        self._sent = {"raw": "", "text": ""}

    def check(self):
        """Stop a job that was cancelled, at the next layer and not the next token."""
        if self._job.cancelled:
            raise Stopped

    def step(self):
        """Count a layer of the vision encoder."""
        self.check()
        self._steps += 1
        self._job.progress(0, 0, f"looking at the image, layer {self._steps}")

    def generate(self, original, input_ids, **more):
        """Call the model's own `generate` with a streamer and a limit."""
        self._limit = max(1, min(self._limit, CONTEXT - input_ids.shape[1]))
        more.update(streamer=streamer(self, self._tokenizer), max_new_tokens=self._limit)
        return original(input_ids, **more)

    def token(self):
        """Count a token."""
        self.check()
        self._tokens += 1
        self._job.progress(self._tokens, 0, f"{self._tokens} tokens")

    def text(self, piece):
        """Stream a piece of what is written, and of the text where it is certain already."""
        self._raw += piece
        self._emit("raw", self._raw.strip())  # as `infer` returns it
        if not self.labels:
            self._emit("text", document(finished(self._raw)))

    def end(self, text):
        """Stream what is left of the whole text, and say whether it was cut off."""
        self._emit("text", text)
        if self._tokens >= self._limit and not self.ended:
            self._job.warn(f"cut off after {self._tokens} tokens, as many as may be written")

    def _emit(self, output, text):
        sent = self._sent[output]
        if text.startswith(sent) and len(text) > len(sent):
            self._job.emit(output, text[len(sent) :])
            self._sent[output] = text


def streamer(watch, tokenizer):
    """Return a streamer of transformers that hands what is decoded to `watch`."""
    from transformers import TextStreamer

    end = tokenizer.eos_token

    class Pieces(TextStreamer):
        def put(self, value):
            if not self.next_tokens_are_prompt:
                watch.token()
            super().put(value)

        def on_finalized_text(self, text, stream_end=False):  # noqa: ARG002, FBT002 - its form
            watch.ended = watch.ended or end in text
            text = text.replace(end, "")
            if text:
                watch.text(text)

    return Pieces(tokenizer, skip_prompt=True, skip_special_tokens=False)


# The weights


def fill(model, directory):
    """Read the weights into the model's parameters, one at a time.

    So the peak of memory is the model and its largest tensor, whichever data type it has;
    `from_pretrained` holds the file beside the model.

    Raises:
        ValueError: When the files do not hold exactly the model's parameters.
    """
    missing = dict(model.state_dict())
    for path in sorted(directory.glob("*.safetensors")):
        with path.open("rb", buffering=0) as stream:
            length = int.from_bytes(stream.read(HEAD), "little")
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            for name, stored in sorted(header.items(), key=lambda each: each[1]["data_offsets"]):
                if name not in missing:
                    raise ValueError(f"{path.name} holds {name}, which the model does not have")
                stream.seek(HEAD + length + stored["data_offsets"][0])
                read_tensor(stream, stored, missing.pop(name))
    if missing:
        raise ValueError(f"no file holds {', '.join(sorted(missing)[:5])}")


def read_tensor(stream, stored, target):
    """Read one tensor from where `stream` stands into `target`, converted to its data type."""
    import torch

    if list(target.shape) != stored["shape"]:
        raise ValueError(f"a tensor of shape {stored['shape']} where {target.shape} should be")
    kind = getattr(torch, STORED[stored["dtype"]])
    same = target.dtype == kind and target.is_contiguous()
    buffer = target if same else torch.empty(stored["shape"], dtype=kind)
    room = memoryview(buffer.view(-1).view(torch.uint8).numpy())
    while room:
        count = stream.readinto(room)
        if not count:
            raise ValueError("a file of weights ends too soon")
        room = room[count:]
    if not same:
        target.copy_(buffer)
