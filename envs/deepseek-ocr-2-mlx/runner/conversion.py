"""A checkpoint at another precision, written once."""

import json
from pathlib import Path

from .checkpoint import language_of, load_model
from .precision import BITS, quantize, quantized

KEPT = ("tokenizer.json", "tokenizer_config.json")


def convert(context, job, directory, precision):
    """Write the model at a precision into `directory`; return the files that stay as they are.

    As `mlx_vlm.convert` does, it quantizes the language model alone.
    """
    folder, target = Path(context.model_dir), Path(directory)
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if quantized(stored):
        raise ValueError(f"the checkpoint {folder} is quantized already")

    import mlx.core as mx
    from mlx_vlm.utils import save_config, save_weights, skip_multimodal_module

    job.progress(0, 2, "reading the weights")
    model = load_model(folder)
    model.set_dtype(mx.bfloat16)
    described = {"model_type": "deepseekocr_2", "text_config": language_of(stored)}
    job.progress(1, 2, "converting them")
    if precision in BITS:
        described["quantization"] = quantize(
            model, BITS[precision], lambda path, _: not skip_multimodal_module(path)
        )
    save_weights(target, model)
    save_config(described, target / "config.json")
    return KEPT
