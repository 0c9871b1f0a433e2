"""Qwen3-TTS by torch and by MLX, compared with `mm compare` on tiny checkpoints.

    pytest tests/manual/test_qwen3_tts_compared.py

It needs both environments; torch takes a quarter of a minute to import for each comparison. Set
MM_HOME to one that has them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SAVE = HERE.parent / "checkpoints" / "qwen3_tts.py"
KINDS = {"": "wide", "-design": "wide-voice_design", "-clone": "wide-base"}
ARRAYS = ["prompt", "hidden", "logits", "codes", "frames"]


@pytest.fixture(scope="module")
def mm(tmp_path_factory):
    home = os.environ.get("MM_HOME") or str(tmp_path_factory.mktemp("home"))

    def run(*arguments):
        command = [sys.executable, "-m", "orchestrator", *map(str, arguments)]
        variables = {**os.environ, "MM_HOME": home}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def checkpoints(mm, tmp_path_factory):
    """Tiny checkpoints of all voices, added to both models of each."""
    directory = tmp_path_factory.mktemp("tiny")
    saved = mm("env", "exec", "qwen3-tts", "--", "python", "-I", SAVE, directory, *KINDS.values())
    assert saved.returncode == 0, saved.stderr
    for voices, kind in KINDS.items():
        for model in (f"qwen3-tts{voices}", f"qwen3-tts{voices}-mlx"):
            added = mm("model", "add", model, directory / kind)
            assert added.returncode == 0, added.stderr
    return directory


def compared(mm, voices, *inputs):
    """Compare torch and MLX in float32; return what `mm` printed."""
    models = (f"qwen3-tts{voices}", f"qwen3-tts{voices}-mlx")
    common = ("--text", "Hi.", "--temperature", "0", "--dtype", "float32", "--force", "--json")
    ended = mm("compare", *models, *inputs, *common)
    assert ended.stdout, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize(("voices", "inputs"), [("", ()), ("-design", ("--instruct", "Low"))])
def test_both_take_the_same_codes(mm, checkpoints, voices, inputs):
    found = compared(mm, voices, *inputs)
    assert found["parted"] is None
    largest = {each["name"]: each["largest"] for each in found["arrays"]}
    assert list(largest) == ARRAYS
    assert largest["codes"] == 0
    assert max(largest.values()) < 1e-4


def test_a_cloned_voice_gets_its_text_in_another_order(mm, checkpoints):
    # torch's package gives a token of the text with each frame, unless it is asked not to; MLX's
    # gives all of it before the first, always.
    found = compared(mm, "-clone", "--reference", checkpoints / "voice.wav")
    assert found["parted"] == "prompt"
