"""The miniatures of built-in models in their real environments, on a CPU in two data types.

    pytest tests/manual/test_miniatures.py

No weights are needed. The environments hold torch: 7 GB to download, 12 GB on disk, which MM_HOME
keeps from run to run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = [
    ("deepseek-ocr-2-native", "bfloat16"),
    ("deepseek-ocr-2-native", "float16"),
    ("qwen3-tts", "bfloat16"),
    ("qwen3-tts-design", "bfloat16"),
    ("qwen3-tts-clone", "bfloat16"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return os.environ.get("MM_HOME") or str(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize(("model", "dtype"), CASES)
def test_16_bits_are_near_float32(home, model, dtype):
    command = [sys.executable, "-m", "orchestrator", "doctor", model, "--run", "--device", "cpu"]
    ended = subprocess.run(
        [*command, "--dtype", dtype, "--offline", "--json"],
        env={**os.environ, "MM_HOME": home},
        cwd=Path(home),
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = json.loads(ended.stdout)["run"]["miniature"]
    print(found["finding"])
    assert found["passed"]
    assert found["steps"] == 8
