"""The port of DeepSeek-OCR-2 with a tiny checkpoint, beside MLX and beside the model's own code.

    pytest tests/manual/test_deepseek_ocr2_native.py
    MM_TEST_DEEPSEEK_OCR2=DIR pytest tests/manual/test_deepseek_ocr2_native.py

The first needs the environments of the port and of MLX: 3 GB to download, 6 GB on disk. DIR is a
directory with the model's own code and configuration, as for test_deepseek_ocr2.py; with it the
second half runs as well.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

PORT, ORIGINAL, MLX = "deepseek-ocr-2-native", "deepseek-ocr-2", "deepseek-ocr-2-mlx"
CODE = os.environ.get("MM_TEST_DEEPSEEK_OCR2", "")
HERE = Path(__file__).parent
SAVE = HERE.parent / "checkpoints" / "deepseek_ocr2.py"
FLOAT32 = ("--dtype", "float32", "--force")
SMALL = ("--no-crop", "--image-size", "768", *FLOAT32)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    # MM_HOME keeps environments from run to run.
    return Path(os.environ.get("MM_HOME") or tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def mm(home):
    def run(*arguments):
        variables = {**os.environ, "MM_HOME": str(home), "MM_KEEP_ALIVE": "0"}
        command = [sys.executable, "-m", "orchestrator", *map(str, arguments)]
        return subprocess.run(
            command, env=variables, capture_output=True, text=True, check=False, cwd=home
        )

    return run


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.png"
    image = Image.new("RGB", (1000, 500), "white")
    ImageDraw.Draw(image).text((100, 100), "A page with words in it", fill="black")
    image.save(path)
    return path


@pytest.fixture(scope="module")
def tiny(mm, tmp_path_factory):
    """The port's own tiny checkpoint, added."""
    directory = tmp_path_factory.mktemp("tiny") / "port"
    mm("env", "sync", PORT)
    saved = mm("env", "exec", PORT, "--", "python", "-I", SAVE, directory.parent)
    assert saved.returncode == 0, saved.stderr
    added(mm, PORT, directory)
    return directory


@pytest.mark.parametrize(
    "more", [FLOAT32, SMALL, ("--dtype", "bfloat16", "--mode", "free", "--force")]
)
def test_it_answers_and_gives_the_same_answer_again(mm, tiny, page, more):
    answers = [
        mm("run", PORT, "--image", page, "--max-tokens", "6", *more, "--json") for _ in range(2)
    ]
    one, other = (json.loads(each.stdout)["outputs"] for each in answers)
    assert one["raw"]
    assert one == other


def test_ctrl_c_stops_it(home, tiny, page):
    command = [sys.executable, "-m", "orchestrator", "run", PORT, "--image", page, *FLOAT32]
    variables = {**os.environ, "MM_HOME": str(home), "MM_KEEP_ALIVE": "0"}
    with subprocess.Popen(
        command,
        env=variables,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert any("tokens" in line for line in running.stderr)
        running.send_signal(signal.SIGINT)
        running.stderr.read()
    assert running.returncode == 130


def test_a_checkpoint_that_is_not_whole_is_refused(mm, tiny, page):
    weights = tiny / "model.safetensors"
    data = weights.read_bytes()
    name = b"view_seperator"  # it is saved under the names of the published checkpoint
    assert data.count(name) == 1
    mm("model", "remove", PORT)
    weights.write_bytes(data.replace(name, name[:-1] + b"X"))
    try:
        mm("model", "add", PORT, tiny)
        ended = mm("run", PORT, "--image", page, *SMALL)
    finally:
        weights.write_bytes(data)
        mm("model", "remove", PORT)
        mm("model", "add", PORT, tiny)
    assert ended.returncode == 1
    assert "missing keys: model.view_separator" in ended.stderr


def added(mm, model, directory):
    """Give a model the weights in a directory."""
    mm("env", "sync", model)
    mm("model", "remove", model)
    ended = mm("model", "add", model, directory)
    assert ended.returncode == 0, ended.stderr


def same(mm, one, other, page, more, allowed):
    """Compare what two models compute of a page."""
    ended = mm("compare", one, other, page, *more, "--max-tokens", "4", "--json")
    found = json.loads(ended.stdout)
    assert found["equal"], found
    names = [each["name"] for each in found["arrays"]]
    assert names[0] == "sam_whole"
    assert names[-1] == "logits"
    largest = {each["name"]: each["largest"] for each in found["arrays"]}
    print(largest)
    assert max(largest.values()) < allowed


@pytest.mark.parametrize("more", [SMALL, FLOAT32], ids=["whole", "tiles"])
def test_mlx_computes_what_the_port_does(mm, tiny, page, more):
    added(mm, MLX, tiny)
    same(mm, PORT, MLX, page, more, 1e-4)


@pytest.fixture(scope="module")
def code(mm, home, tmp_path_factory):
    """One checkpoint for all three, from the model's own code, with random weights."""
    if not CODE:
        pytest.skip("MM_TEST_DEEPSEEK_OCR2 names no directory with the model's code")
    directory = tmp_path_factory.mktemp("code") / "checkpoint"
    mm("env", "sync", ORIGINAL)
    python = Path(mm("env", "path", ORIGINAL).stdout.strip(), "bin", "python")
    variables = {**os.environ, "HF_MODULES_CACHE": str(home / "modules"), "HF_HUB_OFFLINE": "1"}
    shrink = [python, HERE / "shrink_deepseek_ocr2.py", CODE, directory, "--random"]
    subprocess.run(shrink, env=variables, check=True)
    for model in (ORIGINAL, PORT, MLX):
        added(mm, model, directory)


@pytest.mark.parametrize("more", [SMALL, FLOAT32], ids=["whole", "tiles"])
@pytest.mark.parametrize("model", [PORT, MLX])
def test_others_compute_what_the_models_own_code_does(mm, code, page, model, more):
    same(mm, ORIGINAL, model, page, more, 1e-3)
