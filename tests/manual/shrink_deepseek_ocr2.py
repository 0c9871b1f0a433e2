"""Makes a tiny DeepSeek-OCR-2 out of the model's own code: the same classes, fewer layers.

Run it with the Python of the model's environment:

    $(mm env path deepseek-ocr-2)/bin/python tests/manual/shrink_deepseek_ocr2.py CODE TINY

CODE is a directory with the model's code and configuration; its weights are not needed. TINY gets
the code with fewer layers in it, random weights, and a language head rigged to write `ANSWER`
whatever it is shown, so that the whole of `infer` runs and its output can be asserted.

With --full the code is left as it is and the weights have their full size and number (6.8 GB).
With --random the language head is not rigged, so that every weight counts: for `mm compare`.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

ANSWER = [
    "<|ref|>", "title", "<|/ref|>", "<|det|>", "[[100, 200, 500, 300],", " [0, 0, 999, 999]]",
    "<|/det|>", "\n# A", " täst", "\n\nIt", " reads.",
]  # fmt: skip
"""The pieces of the answer; each is one token, so none may stand twice."""

# The bars are full-width: U+FF5C.
BEGIN = "<\uff5cbegin▁of▁sentence\uff5c>"
END = "<\uff5cend▁of▁sentence\uff5c>"
PAD = "<\uff5c▁pad▁\uff5c>"
SPECIAL = {
    BEGIN: 0, END: 1, PAD: 2, "<image>": 128815,
    "<|ref|>": 128816, "<|/ref|>": 128817, "<|det|>": 128818, "<|/det|>": 128819,
    "<|grounding|>": 128820,
}  # fmt: skip
SIZE = 128821

SMALLER = [
    ("deepencoderv2.py", r"decoder_layer=24", "decoder_layer=2"),
    ("deepencoderv2.py", r"encoder_depth=12", "encoder_depth=2"),
    ("deepencoderv2.py", r"vocab_size: int = 151936", "vocab_size: int = 16"),
]
CONFIG = {
    "num_hidden_layers": 2,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "intermediate_size": 64,
}


def main(code: Path, tiny: Path, *, full: bool, rigged: bool) -> None:
    """Write the tiny model."""
    tiny.mkdir(parents=True)
    for path in code.iterdir():
        if path.suffix == ".py" or path.name in ("config.json", "processor_config.json"):
            shutil.copyfile(path, tiny / path.name)
    if not full:
        shrink(tiny)
    tokens = write_tokenizer(tiny)
    write_weights(tiny, tokens, rigged=rigged)


def shrink(directory: Path) -> None:
    """Give the model fewer and smaller layers."""
    for name, old, new in SMALLER:
        text, count = re.subn(old, new, (directory / name).read_text(encoding="utf-8"))
        if count != 1:
            sys.exit(f"{name}: {old} stands {count} times")
        (directory / name).write_text(text, encoding="utf-8")
    config = json.loads((directory / "config.json").read_text())
    config.update(CONFIG)
    config["language_config"].update(CONFIG)
    (directory / "config.json").write_text(json.dumps(config, indent=1))


def write_tokenizer(directory: Path) -> list[int]:
    """Write a tokenizer of bytes, with the model's special tokens, and return the answer's ids."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index + 3 for index, letter in enumerate(letters)}
    ids = [SPECIAL.get(piece, 1000 + index) for index, piece in enumerate(ANSWER)]
    for index, piece in zip(ids, ANSWER, strict=True):
        if piece not in SPECIAL:
            ((spelled, _),) = level.pre_tokenize_str(piece)
            vocabulary[spelled] = index
    vocabulary |= SPECIAL
    taken = set(vocabulary.values())
    vocabulary |= {f"<unused {index}>": index for index in range(SIZE) if index not in taken}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = level
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(piece, special=True, normalized=False) for piece in SPECIAL]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(directory)
    return ids


def write_weights(directory: Path, answer: list[int], *, rigged: bool) -> None:
    """Write random weights in bfloat16; rigged ones lead from token to token of the answer."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.modeling_utils import no_init_weights

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(directory, trust_remote_code=True)
    with no_init_weights():
        model = AutoModel.from_config(
            config, torch_dtype=torch.bfloat16, attn_implementation="eager", trust_remote_code=True
        )
    state = model.state_dict()
    for name, value in state.items():
        if (
            rigged
            and name.startswith("model.layers")
            and name.endswith(("o_proj.weight", "down_proj.weight"))
        ):
            value.zero_()  # so that the last token alone decides what is written next
        elif "norm" in name and name.endswith("weight"):
            value.fill_(1)
        else:
            value.normal_(std=0.02)
    if rigged:
        end = AutoTokenizer.from_pretrained(directory).encode(".", add_special_tokens=False)[-1]
        words, head = state["model.embed_tokens.weight"], state["lm_head.weight"]
        head.mul_(0.1)
        for before, after in zip([end, *answer], [*answer, SPECIAL[END]], strict=True):
            head[after] = words[before]
    name = "model-00001-of-000001.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, directory / name,
              metadata={"format": "pt"})  # fmt: skip
    index = {"metadata": {}, "weight_map": dict.fromkeys(state, name)}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("code", type=Path)
    parser.add_argument("tiny", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--random", action="store_true")
    given = parser.parse_args()
    main(given.code, given.tiny, full=given.full, rigged=not given.random)
