"""Makes a tiny checkpoint of DeepSeek-OCR-2's architecture, described in two ways.

    mm env exec MODEL -- python -I tests/checkpoints/deepseek_ocr2.py DIRECTORY

Runs inside the environment of the port in transformers or of MLX, and needs no torch. Random
weights, the same ones every time, under the names of the published checkpoint, and a tokenizer of
bytes with the marks at their places. `DIRECTORY/port` has the configuration that the port saves,
`DIRECTORY/original` one like the published one. The sizes are small; what the code fixes stays:
the sides of the two squares, the number of queries for each, 64 numbers in a head of the encoder,
the token of the image.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

# The bars are full-width: U+FF5C.
MARKS = {
    "<\uff5cbegin▁of▁sentence\uff5c>": 0, "<\uff5cend▁of▁sentence\uff5c>": 1, "<image>": 128815,
    "<|ref|>": 128816, "<|/ref|>": 128817, "<|det|>": 128818, "<|/det|>": 128819,
    "<|grounding|>": 128820,
}  # fmt: skip
SIZE, WIDTH, DEEP, EXPERT, EXPERTS = 128822, 32, 64, 32, 4
"""Tokens (an even number, without which mlx-vlm does not load what it has quantized), numbers in a
hidden state, inside of a layer, inside of an expert, and experts."""
EYE, NECK, BETWEEN, ENCODER, HEAD = 32, 16, 24, 128, 64
"""Numbers in a hidden state of the first half of the vision encoder, behind it, and in its second
half, and in a head of that."""
PATCH, GRID, WINDOW, LAYERS = 16, 64, 14, 2

VISION = {
    "sam_config": {
        "hidden_size": EYE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "output_channels": NECK,
        "downsample_channels": [BETWEEN, ENCODER],
        "global_attn_indexes": [1],
    },
    "encoder_config": {
        "hidden_size": ENCODER,
        "intermediate_size": 2 * ENCODER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": ENCODER // HEAD,
        "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
    },
}
TEXT = {
    "vocab_size": SIZE,
    "hidden_size": WIDTH,
    "intermediate_size": DEEP,
    "moe_intermediate_size": EXPERT,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "n_routed_experts": EXPERTS,
    "n_shared_experts": 2,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 8192,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
PORT = {
    "architectures": ["DeepseekOcr2ForConditionalGeneration"],
    "model_type": "deepseek_ocr2",
    "text_config": {**TEXT, "mlp_layer_types": ["dense", "sparse"]},
    "vision_config": VISION,
}
ORIGINAL = {
    "architectures": ["DeepseekOCR2ForCausalLM"],
    "model_type": "deepseek_vl_v2",
    "language_config": {
        **TEXT, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "topk_method": "greedy",
        "qk_nope_head_dim": 0, "qk_rope_head_dim": 0, "v_head_dim": 0, "q_lora_rank": None,
        "kv_lora_rank": None, "use_mla": False,
    },
    "projector_config": {"input_dim": ENCODER, "n_embed": WIDTH, "projector_type": "linear"},
    "vision_config": {"model_type": "vision", "width": {"qwen2-0-5b": {"dim": ENCODER}}},
}  # fmt: skip
"""What the published checkpoint says of itself; the sizes of the vision encoder are in its code."""


def main(directory):
    """Write the checkpoints."""
    root, other = Path(directory, "port"), Path(directory, "original")
    root.mkdir(parents=True)
    other.mkdir()
    random = np.random.default_rng(0)
    weights = {}
    for name, shape in shapes():
        # Attention by places is strong, so that a wrong place is seen in what comes out.
        size = 1 if "rel_pos" in name else 0.4 if ".attn." in name else 0.1
        values = random.standard_normal(shape, np.float32) * size
        weights[name] = values + 1 if "norm" in name and name.endswith("weight") else values
    save_file(weights, root / "model.safetensors", metadata={"format": "pt"})
    save_tokenizer(root)
    for path in root.iterdir():
        os.link(path, other / path.name)
    (root / "config.json").write_text(json.dumps(PORT), encoding="utf-8")
    (other / "config.json").write_text(json.dumps(ORIGINAL), encoding="utf-8")


def shapes():
    """Yield the names and the shapes of all weights."""
    yield from sam()
    encoder = "model.qwen2_model.model.model."
    for layer in range(LAYERS):
        name = f"{encoder}layers.{layer}."
        for part, width in (("q", ENCODER), ("k", HEAD), ("v", HEAD)):
            yield from linear(f"{name}self_attn.{part}_proj", width, ENCODER)
        yield f"{name}self_attn.o_proj.weight", (ENCODER, ENCODER)
        yield from around(name, ENCODER, 2 * ENCODER)
    yield f"{encoder}norm.weight", (ENCODER,)
    yield "model.qwen2_model.query_768.weight", (144, ENCODER)
    yield "model.qwen2_model.query_1024.weight", (256, ENCODER)
    yield from linear("model.projector.layers", WIDTH, ENCODER)
    yield "model.view_seperator", (WIDTH,)
    for layer in range(LAYERS):
        name = f"model.layers.{layer}."
        for part in "qkvo":
            yield f"{name}self_attn.{part}_proj.weight", (WIDTH, WIDTH)
        yield from around(name, WIDTH, None if layer else DEEP)
    yield "model.layers.1.mlp.gate.weight", (EXPERTS, WIDTH)
    for expert in range(EXPERTS):
        yield from gated(f"model.layers.1.mlp.experts.{expert}.", WIDTH, EXPERT)
    yield from gated("model.layers.1.mlp.shared_experts.", WIDTH, 2 * EXPERT)
    yield "model.norm.weight", (WIDTH,)
    yield "model.embed_tokens.weight", (SIZE, WIDTH)
    yield "lm_head.weight", (SIZE, WIDTH)


def sam():
    """Yield the weights of the first half of the vision encoder."""
    first = "model.sam_model."
    yield f"{first}pos_embed", (1, GRID, GRID, EYE)
    yield f"{first}patch_embed.proj.weight", (EYE, 3, PATCH, PATCH)
    yield f"{first}patch_embed.proj.bias", (EYE,)
    for layer, side in enumerate((WINDOW, GRID)):
        name = f"{first}blocks.{layer}."
        for axis in "hw":
            yield f"{name}attn.rel_pos_{axis}", (2 * side - 1, EYE // 2)
        yield from linear(f"{name}attn.qkv", 3 * EYE, EYE)
        yield from linear(f"{name}attn.proj", EYE, EYE)
        yield from linear(f"{name}mlp.lin1", 4 * EYE, EYE)
        yield from linear(f"{name}mlp.lin2", EYE, 4 * EYE)
        for norm in "12":
            yield from pair(f"{name}norm{norm}", EYE)
    yield f"{first}neck.0.weight", (NECK, EYE, 1, 1)
    yield from pair(f"{first}neck.1", NECK)
    yield f"{first}neck.2.weight", (NECK, NECK, 3, 3)
    yield from pair(f"{first}neck.3", NECK)
    yield f"{first}net_2.weight", (BETWEEN, NECK, 3, 3)
    yield f"{first}net_3.weight", (ENCODER, BETWEEN, 3, 3)


def around(name, width, inside):
    """Yield the norms of a layer, and what is gated in it."""
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield f"{name}{norm}.weight", (width,)
    if inside:
        yield from gated(f"{name}mlp.", width, inside)


def gated(name, width, inside):
    """Yield the weights of a gated layer."""
    yield f"{name}gate_proj.weight", (inside, width)
    yield f"{name}up_proj.weight", (inside, width)
    yield f"{name}down_proj.weight", (width, inside)


def linear(name, outputs, inputs):
    """Yield the weights of a linear layer with a bias."""
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def pair(name, width):
    """Yield the weights of a norm with a bias."""
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def save_tokenizer(directory):
    """Write a tokenizer of bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index + 3 for index, letter in enumerate(letters)} | MARKS
    taken = set(vocabulary.values())
    vocabulary |= {f"<unused {index}>": index for index in range(SIZE) if index not in taken}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False) for mark in MARKS])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(directory)


if __name__ == "__main__":
    main(sys.argv[1])
