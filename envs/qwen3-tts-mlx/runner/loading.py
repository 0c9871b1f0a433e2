"""A checkpoint as a model of MLX: the original one or a converted one, at a precision."""

import json
import sys
from pathlib import Path

BITS = {"8bit": 8, "4bit": 4}
GROUPS = (64, 32)
"""Sizes of the groups of numbers that share a scale, the usual one first."""


class Voice:
    """A loaded checkpoint.

    Args:
        folder: The checkpoint.
        dtype: The data type of the talker; the codec keeps its own.
        options: The manifest's.

    Attributes:
        tts: The package's model.
        longest: Seconds that a piece of text takes at most, at the usual pace.
    """

    def __init__(self, folder, dtype, options):
        self.longest = options["piece"]
        self._folder, self._dtype = Path(folder), dtype
        self.tts, self._precision = loaded(self._folder, dtype), "full"

    def at(self, precision, job):
        """Returns the package's model at a precision, made from the checkpoint where it is not."""
        if precision != self._precision:
            if is_quantized(self._folder):
                job.reject("precision: these weights are quantized already; leave it out")
            if self._precision != "full":
                self.tts = None  # two of them would need twice the memory
                self.tts = loaded(self._folder, self._dtype)
            if precision != "full":
                quantize(self.tts, BITS[precision])
            self._precision = precision
        return self.tts


def is_quantized(folder):
    """Whether the checkpoint was quantized when it was converted."""
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return not described.keys().isdisjoint(("quantization", "quantization_config"))


def loaded(folder, dtype):
    """Returns the package's model.

    Raises:
        RuntimeError: When MLX does not find Apple's GPU on a Mac.
        ValueError: When the weights are not those of the model.
    """
    import mlx.core as mx
    from mlx_audio.tts.utils import load_model

    if sys.platform == "darwin":
        if not mx.metal.is_available():
            raise RuntimeError("this MLX finds no Metal")
    else:
        mx.disable_compile()  # on a CPU it calls a C++ compiler, for each new length of sound

    tts = load_model(folder)
    # The package prints what fails here and goes on without it.
    for part in ("speech_tokenizer", "tokenizer"):
        if getattr(tts, part) is None:
            raise ValueError(f"the {part} of the checkpoint {folder} cannot be loaded")
    check_codec(tts.speech_tokenizer, folder / "speech_tokenizer")
    tts.talker.set_dtype(getattr(mx, dtype))
    mx.eval(tts.talker.parameters())
    whole(tts.speech_tokenizer)
    return tts


def check_codec(codec, folder):
    """Raises ValueError where the codec's weights are not those of the files.

    The package loads what fits by name, and tells by their sizes whether convolutions are converted
    already.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten

    weights = {}
    for file in folder.glob("*.safetensors"):
        weights.update(mx.load(str(file)))
    given = {name: each.shape for name, each in codec.sanitize(weights).items()}
    wanted = {
        name: each.shape for name, each in tree_flatten(type(codec)(codec.config).parameters())
    }
    for name, shape in wanted.items():
        if given.get(name, shape) != shape:
            raise ValueError(f"{folder}: {name} has the shape {given[name]}, not {shape}")
    lacking = sorted(name for name in wanted.keys() - given.keys() if name.startswith("decoder."))
    if lacking:
        raise ValueError(f"{folder}: no file holds {', '.join(lacking[:5])}")


def whole(codec):
    """Keeps the codec from cutting a frame off the end for each code 0 in the sound."""
    decode, rate = codec.decode, codec.decode_upsample_rate
    codec.decode = lambda codes: (decode(codes)[0], [codes.shape[1] * rate] * len(codes))


def quantize(tts, bits):
    """Quantizes the layers of the talker in place, those that conversions quantize as well."""
    import mlx.core as mx
    from mlx import nn

    def grouped(path, module):
        if not hasattr(module, "to_quantized") or not tts.model_quant_predicate(path, module):
            return False
        width = module.weight.shape[-1]
        size = next((size for size in GROUPS if width % size == 0), None)
        return size and {"group_size": size, "bits": bits}

    nn.quantize(tts.talker, class_predicate=grouped)
    mx.eval(tts.talker.parameters())
