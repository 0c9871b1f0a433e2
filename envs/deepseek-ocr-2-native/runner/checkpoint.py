"""The weights: as transformers has saved them, or as DeepSeek has published them."""

import json
import re
from pathlib import Path

HEAD = 8
"""Bytes of a safetensors file that say how long its header is."""

ENCODER = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 131072,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
}
"""The second half of the vision encoder, which the published configuration does not describe."""

TEXT = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "moe_intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "num_experts_per_tok",
    "n_routed_experts",
    "n_shared_experts",
    "n_group",
    "topk_group",
    "topk_method",
    "max_position_embeddings",
    "bos_token_id",
    "eos_token_id",
)
"""What both configurations of the language model have under one name."""

BLOCK = re.compile(r"\.sam_model\.blocks\.(\d+)\.")
LAYER = re.compile(r"\.qwen2_model\.model\.model\.layers\.(\d+)\.")


def load_model(directory, dtype):
    """Return the model with its weights in `dtype`.

    Raises:
        ValueError: When the files do not hold exactly the model's parameters.
    """
    from transformers import DeepseekOcr2ForConditionalGeneration

    model, found = DeepseekOcr2ForConditionalGeneration.from_pretrained(
        directory,
        config=config_of(directory),
        dtype=dtype,
        local_files_only=True,
        output_loading_info=True,
    )
    # Transformers fills what is missing with random numbers, and goes on.
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if names := sorted(map(str, found[what])):
            raise ValueError(f"{what.replace('_', ' ')}: {', '.join(names[:5])}")
    return model.eval()


def config_of(directory):
    """Return the configuration of the port; one that DeepSeek has published is translated."""
    from transformers import DeepseekOcr2Config

    stored = json.loads(Path(directory, "config.json").read_text(encoding="utf-8"))
    if stored.get("model_type") == "deepseek_ocr2":
        return DeepseekOcr2Config.from_pretrained(directory)
    if "DeepseekOCR2ForCausalLM" not in stored.get("architectures", ()):
        raise ValueError(f"config.json is of {stored.get('model_type')}, not of DeepSeek-OCR-2")
    language = stored["language_config"]
    dense = language["first_k_dense_replace"]
    kinds = ["dense"] * dense + ["sparse"] * (language["num_hidden_layers"] - dense)
    text = {name: language[name] for name in TEXT} | {"mlp_layer_types": kinds}
    names = list(names_of(directory))
    sam = {"num_hidden_layers": count(BLOCK, names)}
    encoder = {**ENCODER, "num_hidden_layers": count(LAYER, names)}
    vision = {"sam_config": sam, "encoder_config": encoder}
    return DeepseekOcr2Config(vision_config=vision, text_config=text)


def names_of(directory):
    """Yield the names of all tensors, from the headers of the files."""
    for path in sorted(Path(directory).glob("*.safetensors")):
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(HEAD), "little")
            yield from json.loads(stream.read(length))


def count(pattern, names):
    """Return how many layers names have, from the highest number in them."""
    return 1 + max((int(found[1]) for name in names if (found := pattern.search(name))), default=-1)
