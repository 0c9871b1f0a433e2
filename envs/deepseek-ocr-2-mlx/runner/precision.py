"""The precision of a checkpoint's weights: what they are quantized to, and quantizing them."""

import json

BITS = {"8bit": 8, "4bit": 4}
GROUPS = (64, 32)
"""Sizes of the groups of numbers that share a scale, the usual one first."""


def check_precision(folder, dtype):
    """Raises ValueError where a checkpoint is quantized to other bits, or should not be."""
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    found, wanted = (quantized(described) or {}).get("bits"), BITS.get(dtype)
    if found != wanted:
        is_, needed = (f"of {bits} bits" if bits else "not quantized" for bits in (found, wanted))
        raise ValueError(
            f"the weights in {folder} are {is_}, and those that were asked for are {needed}: "
            "mm model add takes the --precision of a directory"
        )


def computed(dtype):
    """Returns the data type that weights of a precision are computed in."""
    return "bfloat16" if dtype in BITS else dtype


def quantized(described):
    """Returns how a checkpoint was quantized when it was converted, by its config.json, or None."""
    return described.get("quantization") or described.get("quantization_config")


def quantize(model, bits, wanted):
    """Quantizes layers of a model of MLX in place; returns what its config.json must say of it.

    Args:
        model: The model.
        bits: Of each number.
        wanted: Takes the path of a layer, and the layer; returns whether it is to be quantized.
    """
    from mlx import nn

    def able(path, layer):
        return hasattr(layer, "to_quantized") and wanted(path, layer)

    widths = [each.weight.shape[-1] for path, each in model.named_modules() if able(path, each)]
    size = next((size for size in GROUPS if all(width % size == 0 for width in widths)), GROUPS[-1])

    def fits(path, layer):
        return able(path, layer) and layer.weight.shape[-1] % size == 0

    nn.quantize(model, group_size=size, bits=bits, class_predicate=fits)
    return {"group_size": size, "bits": bits, "mode": "affine"}
