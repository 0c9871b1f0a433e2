"""Makes tiny checkpoints of Qwen3-TTS's real architecture: its runner's own miniatures.

    mm env exec qwen3-tts -- python -I tests/checkpoints/qwen3_tts.py DIRECTORY

Runs inside the model's environment. For each type (custom_voice, voice_design, base, and the same
as wide, wide-voice_design, wide-base) `DIRECTORY/TYPE` gets the very files that a download has, and
the same ones every time.
"""

import pathlib
import runpy
import sys
import wave

import numpy as np
import torch
from qwen_tts import Qwen3TTSModel

ROOT = pathlib.Path(__file__).parents[2]
TINY = runpy.run_path(ROOT / "envs" / "qwen3-tts" / "runner" / "tiny.py")
GAIN = 3
"""With less, nothing would be heard, and all texts would sound the same."""
WIDE = {"wide": "custom_voice", "wide-voice_design": "voice_design", "wide-base": "base"}
"""Checkpoints that MLX can load too, which tells by their sizes whether weights of convolutions lie
as torch or as MLX has them; a frame of their codec is 48 samples."""
FRAMES_OF_HI = 57
"""The most that runners let "Hi." take."""
SIZES_OF_WIDE = {"codebook_dim": 160, "decoder_dim": 264, "upsample_rates": [4, 3]}
EAR_OF_WIDE = {
    "enc_channels": [72, 72, 72, 72, 216], "enc_attention_channels": 72, "enc_se_channels": 72
}  # fmt: skip
THETA = {"rope_theta": 1000000}
"""Of the published checkpoints. Where it is missing, torch takes 10,000 and MLX 1,000,000."""
RECORDING = "voice.wav"
"""A recording whose voice `wide-base` clones, beside the checkpoints."""


def main(directory):
    """Write all checkpoints below `directory`."""
    root = pathlib.Path(directory)
    for kind in TINY["TYPES"]:
        TINY["write_checkpoint"](root / kind, kind, GAIN)
    for name, kind in WIDE.items():
        TINY["write_checkpoint"](root / name, kind, GAIN, widen)
        write_spoken(root / name, kind)


def widen(talker, codec):
    """Change the configurations to those of a wide checkpoint."""
    talker["speaker_encoder_config"] |= EAR_OF_WIDE
    talker["talker_config"] |= THETA
    talker["talker_config"]["code_predictor_config"] |= THETA
    codec["decode_upsample_rate"] = 48
    codec["decoder_config"] |= SIZES_OF_WIDE
    codec["encoder_config"]["num_key_value_heads"] = codec["encoder_config"]["num_attention_heads"]


def write_spoken(directory, kind):
    """Write what the package makes of "Hi." by the likeliest codes, as float32, beside it."""
    model = Qwen3TTSModel.from_pretrained(str(directory), dtype=torch.float32, device_map="cpu")
    likeliest = {"do_sample": False, "subtalker_dosample": False}
    given = {"text": ["Hi."], "max_new_tokens": FRAMES_OF_HI + 1, **likeliest}
    if kind == "custom_voice":
        spoken = {"": model.generate_custom_voice(speaker="vivian", **given)}
    elif kind == "voice_design":
        spoken = {"": model.generate_voice_design(instruct="Low", **given)}
    else:
        heard = (recording(directory.parent / RECORDING), 24000)
        cloned = {
            end: model.create_voice_clone_prompt(heard, words, x_vector_only_mode=not words)
            for end, words in (("", None), ("-text", "Ah."))
        }
        # By default a cloned voice gets its text step by step, which MLX's package never does.
        given |= {"non_streaming_mode": True}
        spoken = {
            end: model.generate_voice_clone(voice_clone_prompt=prompt, **given)
            for end, prompt in cloned.items()
        }
    for end, ((sound,), _) in spoken.items():
        file = directory.with_name(f"{directory.name}{end}.f32")
        file.write_bytes(sound.astype("float32").tobytes())


def recording(path):
    """Write a second of sound, and return its samples as runners read them."""
    time = np.arange(24000) / 24000
    swept = np.sin(2 * np.pi * (120 + 300 * time) * time) * (0.3 + 0.2 * np.sin(9 * time))
    samples = (swept * 20000).astype("<i2")
    with wave.open(str(path), "wb") as written:
        written.setparams((1, 2, 24000, 0, "NONE", ""))
        written.writeframes(samples.tobytes())
    return samples.astype("float32") / 32768


if __name__ == "__main__":
    main(sys.argv[1])
