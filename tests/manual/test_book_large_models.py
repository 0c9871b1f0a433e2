"""`mm book` with the real environments of large models, on tiny checkpoints of theirs.

    MM_HOME=DIR pytest tests/manual/test_book_large_models.py

MM_HOME keeps the environments from run to run: 8 GB on disk, as they share torch.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from PIL import Image

from tests.integration.miniature_model import build

READER, SPEAKER = "deepseek-ocr-2", "qwen3-tts"
ROOT = Path(__file__).parents[2]
SAVE = ROOT / "tests" / "checkpoints" / "qwen3_tts.py"
TINY = ("--set", "read.dtype=float32", "--set", "speak.dtype=float32",
        "--set", "read.crop=false", "--set", 'read.image_size="768"')  # fmt: skip


@pytest.fixture
def mm(tmp_path):
    """Return a function that runs `mm` and returns what it says on standard error."""
    home = os.environ.get("MM_HOME", str(tmp_path / "home"))
    manifests = tmp_path / "manifests"
    shutil.copytree(ROOT / "manifests" / "patches", manifests / "patches")
    for model in (READER, SPEAKER):
        shutil.copytree(ROOT / "envs" / model, tmp_path / "envs" / model)
        text = (ROOT / "manifests" / f"{model}.yaml").read_text()
        tiny = "memory: {cpu: {float32: 1 GiB}}\n"  # of the checkpoints that are made here
        text = re.sub(r"^memory:.*\n(  .*\n)*", tiny, text, flags=re.MULTILINE)
        (manifests / f"{model}.yaml").write_text(text)

    def run(*arguments):
        ended = subprocess.run(
            [sys.executable, "-m", "orchestrator", *map(str, arguments)],
            env={
                **os.environ,
                "MM_HOME": home,
                "MM_KEEP_ALIVE": "0",
                "MM_MANIFESTS": str(manifests),
                "OMP_NUM_THREADS": "1",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    return run


def test_a_page_is_read_and_spoken_by_large_models(mm, tmp_path):
    mm("env", "sync", READER, SPEAKER)
    mm("env", "exec", SPEAKER, "--", "python", "-I", SAVE, tmp_path / "saved", "custom_voice")
    for model, files in ((READER, build(tmp_path / "reader")),
                         (SPEAKER, tmp_path / "saved" / "custom_voice")):  # fmt: skip
        mm("model", "remove", model)
        mm("model", "add", model, files)
    Image.new("RGB", (200, 100), "white").save(tmp_path / "page.png")
    said = mm("book", "page.png", "--read", READER, "--speak", SPEAKER, "--voice", "ryan",
              "--language", "en", "-o", "book.m4b", "-o", "book.md", *TINY)  # fmt: skip
    assert "speak: 1 done" in said
    assert (tmp_path / "book.md").read_text().endswith("# A bright page\n")
    with av.open(str(tmp_path / "book.m4b")) as book:
        assert [each["metadata"]["title"] for each in book.chapters()] == ["A bright page"]
        assert book.duration > 100_000
