"""Makes three small model directories with transformers' own classes, as people save them.

    mm env exec MODEL -- python -I tests/checkpoints/transformers_models.py DIRECTORY

Runs inside the model's environment. Random weights; one directory is saved in shards, one in
bfloat16.
"""

import pathlib
import sys

import torch
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)


def main(directory):
    """Write the directories `bert`, `gpt2` and `llama` below `directory`."""
    root = pathlib.Path(directory)
    small = {"num_attention_heads": 2, "hidden_size": 32, "num_hidden_layers": 2}
    bert = BertModel(BertConfig(**small, intermediate_size=64, vocab_size=100))
    bert.save_pretrained(root / "bert")
    gpt2 = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=100))
    gpt2.save_pretrained(root / "gpt2", max_shard_size="50KB")
    llama = LlamaForCausalLM(LlamaConfig(**small, intermediate_size=64, vocab_size=100))
    llama.to(torch.bfloat16).save_pretrained(root / "llama")


if __name__ == "__main__":
    main(sys.argv[1])
