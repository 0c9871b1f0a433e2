"""Converts a tiny checkpoint of DeepSeek-OCR-2 as `mlx_vlm.convert --quantize` does.

    mm env exec deepseek-ocr-2-mlx -- python -I tests/checkpoints/deepseek_ocr2_mlx.py DIRECTORY

Runs inside the model's environment; `DIRECTORY/original` becomes `DIRECTORY/converted`. mlx-vlm
loads no other sizes of the vision encoder than the published ones, so the runner loads the model;
the rest is done by the package.
"""

import importlib.util
import json
import sys
from pathlib import Path

from mlx_vlm.quant_utils import quantize_model
from mlx_vlm.utils import save_config, save_weights, skip_multimodal_module

RUNNER = Path(__file__).parents[2] / "envs" / "deepseek-ocr-2-mlx" / "runner" / "__init__.py"


def main(directory):
    """Write the converted checkpoint."""
    spec = importlib.util.spec_from_file_location("runner", RUNNER)
    sys.modules["runner"] = runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    source, target = Path(directory, "original"), Path(directory, "converted")
    model = runner.loading.load_model(source)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "deepseekocr_2", "text_config": config.pop("language_config")}
    model, config = quantize_model(
        model, config, 32, 4, quant_predicate=lambda path, _: not skip_multimodal_module(path)
    )
    save_weights(target, model)
    save_config(config, target / "config.json")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (target / name).write_bytes((source / name).read_bytes())


if __name__ == "__main__":
    main(sys.argv[1])
