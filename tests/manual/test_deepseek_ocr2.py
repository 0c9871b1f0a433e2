"""The patch set and the runner on the model's own code, with few layers and random weights.

    MM_TEST_DEEPSEEK_OCR2=DIR pytest tests/manual/test_deepseek_ocr2.py

DIR is a directory with the model's code and configuration, as the hub has it; its weights are not
needed. A tiny checkpoint is made from it (`shrink_deepseek_ocr2.py`), about 800 MB.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

MODEL = "deepseek-ocr-2"
CODE = os.environ.get("MM_TEST_DEEPSEEK_OCR2", "")
SHRINK = Path(__file__).parent / "shrink_deepseek_ocr2.py"
ROOT = Path(__file__).parents[2]
TEXT = "# A täst\n\nIt reads."


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def mm(home):
    def run(*arguments, check=True):
        variables = {**os.environ, "MM_HOME": str(home), "MM_KEEP_ALIVE": "0"}
        command = [sys.executable, "-m", "orchestrator", *map(str, arguments)]
        ended = subprocess.run(
            command, env=variables, cwd=home, capture_output=True, text=True, check=False
        )
        assert not check or ended.returncode == 0, ended.stderr
        return ended

    return run


@pytest.fixture(scope="module")
def tiny(mm, home):
    """The tiny model, added."""
    assert CODE, "set MM_TEST_DEEPSEEK_OCR2 to a directory with the model's code"
    mm("env", "sync", MODEL)
    python = Path(mm("env", "path", MODEL).stdout.strip(), "bin", "python")
    variables = {**os.environ, "HF_MODULES_CACHE": str(home / "modules"), "HF_HUB_OFFLINE": "1"}
    subprocess.run([python, SHRINK, CODE, home / "tiny"], env=variables, check=True)
    mm("model", "add", MODEL, home / "tiny")
    return home / "tiny"


@pytest.fixture(scope="module")
def image(home):
    path = home / "page.png"
    Image.new("RGB", (1000, 500), "white").save(path)
    return path


def test_every_patch_fits_the_models_own_code(mm, tiny):
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in tiny.iterdir()}
    mm("patch", "check", MODEL)
    told = mm("patch", "status", MODEL, "--dtype", "float32").stdout
    assert [line.split()[0] for line in told.splitlines()].count("applied") == 7
    assert {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in tiny.iterdir()} == before


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("options", [(), ("--no-crop", "--image-size", "768")])
def test_the_whole_of_infer_runs(mm, tiny, image, dtype, options):
    ended = mm("run", MODEL, "--image", image, "--dtype", dtype, "--json", "-o",
               f"drawing={image.parent / 'out.png'}", *options)  # fmt: skip
    outputs = json.loads(ended.stdout)["outputs"]
    assert outputs["text"] == TEXT
    assert [box["box"] for box in outputs["boxes"]] == [[100, 100, 500, 150], [0, 0, 1000, 500]]


def test_without_patches_it_asks_for_a_gpu(mm, tiny, image, tmp_path):
    bare = tmp_path / "manifests"
    (bare.parent / "envs").symlink_to(ROOT / "envs")
    bare.mkdir()
    text = (ROOT / "manifests" / f"{MODEL}.yaml").read_text()
    (bare / f"{MODEL}.yaml").write_text(text.replace(f"patches: [{MODEL}]\n", ""))
    ended = mm("run", MODEL, "--manifests", bare, "--image", image, check=False)
    assert ended.returncode == 1
    assert "CUDA enabled" in ended.stderr or "no NVIDIA driver" in ended.stderr
