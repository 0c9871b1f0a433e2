"""Loads and runs variants of the miniature model, as its users would without `mm`.

    mm env exec deepseek-ocr-2 -- python -I tests/integration/try_miniature.py DIRECTORY

Runs inside the model's environment. `DIRECTORY/tried.json` has the data type of each variant;
`DIRECTORY/ended.json` gets how each ended.
"""

import json
import os
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer
from transformers.models.llama import modeling_llama


def main(root):
    """Try every variant in `root`."""
    os.chdir(root)
    tried = json.loads(Path("tried.json").read_text())
    # The last ones are for a transformers that has no such class any more.
    ended = {name: attempt(root / name, dtype) for name, dtype in tried.items() if not newer(name)}
    del modeling_llama.LlamaFlashAttention2
    ended |= {name: attempt(root / name, dtype) for name, dtype in tried.items() if newer(name)}
    Path("ended.json").write_text(json.dumps(ended))


def newer(name):
    return name.startswith("newer")


def attempt(directory, dtype):
    """Read the page with one variant, in results as its author wrote them."""
    hacked = Path("hacked")
    hacked.unlink(missing_ok=True)
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=True)
        model = AutoModel.from_pretrained(
            directory, trust_remote_code=True, torch_dtype=getattr(torch, dtype)
        )
        text = model.eval().infer(
            tokenizer, prompt="<image>\nFree OCR.", image_file="page.png", output_path="out",
            base_size=768, image_size=768, crop_mode=False, save_results=True, eval_mode=True,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - what it is, is what the tests ask
        return {"error": f"{type(error).__name__}: {error}", "hacked": hacked.exists()}
    return {"text": text, "hacked": hacked.exists()}


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
