"""A tiny checkpoint of the model's architecture, as the port in transformers saves it.

Random weights, the same ones every time, and a tokenizer of bytes with the marks at their places.
The sizes are small; what the classes fix stays: the sides of the two squares, the number of queries
for each, the token of the image.
"""

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    DeepseekOcr2Config,
    DeepseekOcr2ForConditionalGeneration,
    PreTrainedTokenizerFast,
)

# The bars are full-width: U+FF5C.
MARKS = {
    "<\uff5cbegin▁of▁sentence\uff5c>": 0, "<\uff5cend▁of▁sentence\uff5c>": 1, "<image>": 128815,
    "<|ref|>": 128816, "<|/ref|>": 128817, "<|det|>": 128818, "<|/det|>": 128819,
    "<|grounding|>": 128820,
}  # fmt: skip
SIZE, WIDTH = 128821, 32
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2}


def write_checkpoint(directory):
    """Write it into a directory."""
    torch.manual_seed(0)
    sam = {
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "output_channels": 16,
        "downsample_channels": [24, WIDTH],
        "global_attn_indexes": [1],
    }
    encoder = {**HEADS, "hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2}
    text = {
        **HEADS,
        "vocab_size": SIZE,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "moe_intermediate_size": 16,
        "num_hidden_layers": 2,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "mlp_layer_types": ["dense", "sparse"],
        "max_position_embeddings": 8192,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    vision = {"sam_config": sam, "encoder_config": encoder}
    model = DeepseekOcr2ForConditionalGeneration(
        DeepseekOcr2Config(vision_config=vision, text_config=text)
    )
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 or "norm" not in name:  # the classes leave some at zero
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(directory)
    save_tokenizer(directory)


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
