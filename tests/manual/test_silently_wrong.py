"""DeepSeek-OCR-2's own code on transformers 4.57.3 runs and is wrong; `mm compare` says where.

    MM_TEST_DEEPSEEK_OCR2=DIR pytest tests/manual/test_silently_wrong.py

DIR is a directory with the model's code and configuration. From 4.48 on transformers no longer
calls the function in which the vision encoder makes its attention mask, so that a token of the
image attends to those before it alone. Nothing fails.

The language model needs more repairs there than the one patch that its import needs, so both models
of this test stop behind the projector.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = os.environ.get("MM_TEST_DEEPSEEK_OCR2", "")
HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
VERSIONS = {"vision-as-proved": "4.46.3", "vision-too-new": "4.57.3"}
RUN = """


def run(reader, job, *, image, **_):
    import torch

    reader.watch = Watch(job, reader.tokenizer, 1, labels=False)
    picture = opened(job, image).resize((TILE, TILE))
    data = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    pixels = data.view(1, TILE, TILE, 3).permute(0, 3, 1, 2).float() / 127.5 - 1
    model = reader.model.model
    with torch.inference_mode():
        sam = model.sam_model(pixels.to(reader.model.dtype))
        vision = model.qwen2_model(sam)
        arrays = {"sam": sam, "vision": vision, "projector": model.projector(vision)}
    reader.arrays = {name: value.float().numpy() for name, value in arrays.items()}
    return {"text": ""}


def trace(reader, job, **inputs):
    run(reader, job, **inputs)
    return reader.arrays
"""


@pytest.fixture
def mm(tmp_path):
    manifests = tmp_path / "manifests"
    (manifests / "patches").mkdir(parents=True)
    patches = (ROOT / "manifests" / "patches" / "deepseek-ocr-2.yaml").read_text()
    proved = 'proved: {transformers: "==4.46.3"}\n'  # with it mm refuses to run the model there
    assert proved in patches
    (manifests / "patches" / "deepseek-ocr-2.yaml").write_text(patches.replace(proved, ""))
    text = (ROOT / "manifests" / "deepseek-ocr-2.yaml").read_text()
    runner = (ROOT / "envs" / "deepseek-ocr-2" / "runner.py").read_text()
    for name, version in VERSIONS.items():
        changed = text.replace("name: deepseek-ocr-2", f"name: {name}", 1)
        changed = changed.replace("transformers==4.46.3", f"transformers=={version}")
        changed = changed.replace("task: ocr", "task: try-vision")
        (manifests / f"{name}.yaml").write_text(changed)
        folder = tmp_path / "envs" / name
        folder.mkdir(parents=True)
        (folder / "runner.py").write_text(runner + RUN)
    home = os.environ.get("MM_HOME") or str(tmp_path / "home")  # MM_HOME keeps environments
    variables = {
        **os.environ,
        "MM_HOME": home,
        "MM_MANIFESTS": str(manifests),
        "MM_KEEP_ALIVE": "0",
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
        "HF_HUB_OFFLINE": "1",
    }

    def run(*arguments, check=True):
        command = [sys.executable, "-m", "orchestrator", *map(str, arguments)]
        ended = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert not check or ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_the_two_part_in_the_vision_encoder(mm, tmp_path):
    assert CODE, "set MM_TEST_DEEPSEEK_OCR2 to a directory with the model's code"
    mm("env", "lock", *VERSIONS)
    mm("env", "sync", *VERSIONS)
    first = next(iter(VERSIONS))
    shrink = ["python", "-I", HERE / "shrink_deepseek_ocr2.py", CODE, tmp_path / "tiny", "--random"]
    mm("env", "exec", first, "--", *shrink)
    code = tmp_path / "tiny" / "modeling_deepseekocr2.py"  # 4.57.3 asks for the package first
    code.write_text(code.read_text().replace("import matplotlib.pyplot as plt", "plt = None"))
    for name in VERSIONS:
        mm("model", "add", name, tmp_path / "tiny")
    options = ("--dtype", "float32", "--force", "--json")
    found = json.loads(mm("compare", *VERSIONS, *options, check=False))
    equal = {each["name"]: each["equal"] for each in found["arrays"]}
    print({each["name"]: each["finding"] for each in found["arrays"]})
    assert equal == {"sam": True, "vision": False, "projector": False}
    assert (found["parted"], found["outputs"][0]["equal"]) == ("vision", True)
