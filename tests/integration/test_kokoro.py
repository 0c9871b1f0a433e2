"""Kokoro by the real command: its packages, its voices from npm, and what it says."""
# ruff: noqa: RUF001 - full-width marks are what this is about

import wave

import numpy as np

from tests.integration.conftest import run_mm
from tests.integration.hearing import hear


def test_chinese_and_english_are_spoken_one_after_the_other(workplace, tmp_path):
    text = "今天是10月15日，我用Python。\nThe quick brown fox jumps over the lazy dog."
    run_mm(workplace, "run", "kokoro", "--text", "-", "-o", tmp_path / "x.wav", stdin=text)
    with wave.open(str(tmp_path / "x.wav")) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
        assert sound.getframerate() == 24_000
    assert 5 < len(samples) / 24_000 < 12
    assert 3000 < np.abs(samples.astype(int)).max() < 32_767
    silent = np.abs(samples) < 10
    (end,) = [n for n in range(0, len(samples) - 7200, 240) if silent[n : n + 7200].all()][:1]
    assert "quick brown fox" in hear(samples[end:], 24_000)
