"""The talker of a checkpoint at another precision, written once."""

import json
from pathlib import Path

from .checkpoint import FILES, check_files, check_type
from .loading import loaded
from .precision import BITS, quantize, quantized

CODEC = "speech_tokenizer"


def convert(context, job, directory, precision):
    """Writes the talker at a precision into `directory`; returns the files that stay as they are.

    Layers are quantized that conversions of `mlx_audio.convert` quantize as well, and the codec
    is not.
    """
    folder, target = Path(context.model_dir), Path(directory)
    check_files(folder)
    check_type(folder, context.options["type"])
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if quantized(described):
        raise ValueError(f"the checkpoint {folder} is quantized already")

    import mlx.core as mx
    from mlx.utils import tree_flatten

    job.progress(0, 2, "reading the weights")
    tts = loaded(folder, None if precision in BITS else precision)
    job.progress(1, 2, "converting them")
    if precision in BITS:
        bits, wanted = BITS[precision], tts.model_quant_predicate
        described["quantization"] = quantize(tts.talker, bits, wanted)
        tts.talker.set_dtype(mx.bfloat16)
    weights = {name: each for name, each in tree_flatten(tts.parameters()) if not_codec(name)}
    mx.save_safetensors(str(target / "model.safetensors"), weights, metadata={"format": "mlx"})
    written = mx.load(str(target / "model.safetensors"))  # raises where it was not written whole
    if written.keys() != weights.keys():
        raise OSError(f"{target} does not hold what was written into it")
    config = json.dumps(described, indent=2, ensure_ascii=False)
    (target / "config.json").write_text(f"{config}\n", encoding="utf-8")
    kept = {name for name in FILES if name != "config.json"}
    return sorted(kept | {f"{CODEC}/{path.name}" for path in (folder / CODEC).iterdir()})


def not_codec(name):
    """Whether a weight is none of the codec's, which has a file of its own."""
    return not name.startswith(f"{CODEC}.")
