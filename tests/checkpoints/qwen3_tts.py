"""Makes tiny checkpoints of Qwen3-TTS's real architecture: its runner's own miniatures.

    mm env exec qwen3-tts -- python -I tests/checkpoints/qwen3_tts.py DIRECTORY

Runs inside the model's environment. For each type (custom_voice, voice_design, base, wide)
`DIRECTORY/TYPE` gets the very files that a download has, and the same ones every time.
"""

import pathlib
import runpy
import sys

import torch
from qwen_tts import Qwen3TTSModel

ROOT = pathlib.Path(__file__).parents[2]
TINY = runpy.run_path(ROOT / "envs" / "qwen3-tts" / "runner" / "tiny.py")
GAIN = 3
"""With less, nothing would be heard, and all texts would sound the same."""
WIDE = "wide"
"""A checkpoint of ready voices that MLX can load too, which tells by their sizes whether weights of
convolutions lie as torch or as MLX has them; a frame of its codec is 48 samples."""
FRAMES_OF_HI = 57
"""The most that runners let "Hi." take."""
SIZES_OF_WIDE = {"codebook_dim": 160, "decoder_dim": 264, "upsample_rates": [4, 3]}
THETA = {"rope_theta": 1000000}
"""Of the published checkpoints. Where it is missing, torch takes 10,000 and MLX 1,000,000."""


def main(directory):
    """Write all checkpoints below `directory`."""
    root = pathlib.Path(directory)
    for kind in TINY["TYPES"]:
        TINY["write_checkpoint"](root / kind, kind, GAIN)
    TINY["write_checkpoint"](root / WIDE, TINY["TYPES"][0], GAIN, widen)
    write_spoken(root / WIDE)


def widen(talker, codec):
    """Change the configurations to those of the wide checkpoint."""
    talker["talker_config"] |= THETA
    talker["talker_config"]["code_predictor_config"] |= THETA
    codec["decode_upsample_rate"] = 48
    codec["decoder_config"] |= SIZES_OF_WIDE


def write_spoken(directory):
    """Write what the package makes of "Hi." by the likeliest codes, as float32, beside it."""
    model = Qwen3TTSModel.from_pretrained(str(directory), dtype=torch.float32, device_map="cpu")
    (wave,), _ = model.generate_custom_voice(
        text=["Hi."], speaker="vivian", max_new_tokens=FRAMES_OF_HI + 1,
        do_sample=False, subtalker_dosample=False,
    )  # fmt: skip
    directory.with_suffix(".f32").write_bytes(wave.astype("float32").tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
