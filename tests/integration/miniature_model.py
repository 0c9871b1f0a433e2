"""Builds the model in miniature: its code from `miniature/`, and the weights and words it needs."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

CODE = Path(__file__).parent / "miniature"
SIZE = 32

WORDS = {
    "<unk>": 0, "<end>": 1, "<pad>": 2, "<image>": 3, ".": 4, "<|ref|>": 5, "<|/ref|>": 6,
    "<|det|>": 7, "<|/det|>": 8, "\n# A bright": 10, " page": 11, "title": 12,
    "[[0, 0, 999, 499]]": 13, "A dark": 20, "<|grounding|>": 21,
}  # fmt: skip

FOLLOWS = {10: 11, 20: 11, 11: 5, 5: 12, 12: 6, 6: 7, 7: 13, 13: 8, 8: 1}
"""The next token after each; what follows the prompt depends on the image."""

BRIGHT = "# A bright page"
DARK = "A dark page"
"""What is read from a bright and from a dark image, without marks."""


def build(directory: Path) -> Path:
    """Write the model into `directory` and return it."""
    shutil.copytree(CODE, directory, ignore=shutil.ignore_patterns("__pycache__"))
    write(directory, "config.json", config())
    write(directory, "tokenizer.json", tokenizer())
    write(
        directory,
        "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "pad_token": "<pad>"},
    )
    name = "model-00001-of-000001.safetensors"
    tensors = weights()
    (directory / name).write_bytes(safetensors(tensors))
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, name)}
    write(directory, "model.safetensors.index.json", index)
    return directory


def write(directory: Path, name: str, value: object) -> None:
    (directory / name).write_text(json.dumps(value, indent=1), encoding="utf-8")


def config() -> dict:
    return {
        "architectures": ["DeepseekOCR2ForCausalLM"],
        "auto_map": {
            "AutoConfig": "modeling_deepseekocr2.DeepseekOCR2Config",
            "AutoModel": "modeling_deepseekocr2.DeepseekOCR2ForCausalLM",
        },
        "model_type": "miniature",
        "torch_dtype": "bfloat16",
        "vocab_size": SIZE,
    }


def tokenizer() -> dict:
    marks = [word for word in WORDS if word.startswith("<")]
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": WORDS[word], "content": word, **flags, "special": True} for word in marks
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": "."},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": WORDS, "unk_token": "<unk>"},
    }


def weights() -> dict[str, tuple[list[int], list[float]]]:
    """Return shape and values of each parameter."""
    identity = [float(row == column) for row in range(SIZE) for column in range(SIZE)]
    steps = [float(FOLLOWS.get(before) == after) for after in range(SIZE) for before in range(SIZE)]
    return {
        "model.embed_tokens.weight": ([SIZE, SIZE], identity),
        "lm_head.weight": ([SIZE, SIZE], steps),
        "model.sam_model.patch_embed.proj.weight": (
            [SIZE, 3, 16, 16],
            [1 / 768] * (SIZE * 768),
        ),
        "model.sam_model.patch_embed.proj.bias": ([SIZE], [0.0] * SIZE),
    }


def safetensors(tensors: dict[str, tuple[list[int], list[float]]]) -> bytes:
    """Return a file of weights in float32."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, values) in tensors.items():
        data = struct.pack(f"<{len(values)}f", *values)
        header[name] = {
            "dtype": "F32",
            "shape": shape,
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body
