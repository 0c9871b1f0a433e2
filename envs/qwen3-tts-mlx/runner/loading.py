"""A checkpoint as a model of MLX: the original one or a converted one."""

import sys
from functools import partial

from .precision import check_precision, computed


class Voice:
    """A loaded checkpoint.

    Args:
        folder: The checkpoint.
        dtype: The data type of the talker, or its bits; the codec keeps its own.
        options: The manifest's.

    Attributes:
        tts: The package's model.
        kind: Which of the checkpoint's types it is of.
        longest: Seconds that a piece of text takes at most, at the usual pace.
    """

    def __init__(self, folder, dtype, options):
        self.kind, self.longest = options["type"], options["piece"]
        check_precision(folder, dtype)
        self.tts = loaded(folder, computed(dtype))


def loaded(folder, dtype):
    """Returns the package's model, its talker in a data type, or as it is where that is None.

    Raises:
        RuntimeError: When MLX does not find Apple's GPU on a Mac.
        ValueError: When the weights are not those of the model.
    """
    import mlx.core as mx
    from mlx_audio import dsp
    from mlx_audio.tts.utils import load_model

    # The model was trained on spectra of periodic windows, and the package takes symmetric ones.
    dsp.STR_TO_WINDOW_FN["hann"] = partial(dsp.hanning, periodic=True)
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
    if dtype is not None:
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
