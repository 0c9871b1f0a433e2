"""Runs Qwen3-TTS by MLX: on Apple's GPU on a Mac, and on the CPU elsewhere.

Runs in the model's own environment and imports nothing of the orchestrator. Inputs and outputs are
those of `qwen3-tts` and its kin, whose way with text and recordings this shares file by file. Which
kind of voice a manifest stands for is its option `type`. Long text is spoken piece by piece, and
every piece is sent on as soon as it is there.
"""

import re
from pathlib import Path

import numpy as np

from .checkpoint import check_files, check_type
from .conversion import convert
from .loading import Voice
from .pauses import pause_between
from .pieces import cut
from .recording import recording
from .reference import cloned
from .speaking import Stopped, speak_piece
from .text import checked, readable
from .tracing import traced

FRAME_RATE = 12.5
"""Frames of the codec in a second."""
SMALL = "0b6"
"""The `tts_model_size` of models that were not trained to follow instructions."""
CODES = {
    "zh": "chinese", "en": "english", "ja": "japanese", "ko": "korean", "de": "german",
    "fr": "french", "ru": "russian", "pt": "portuguese", "es": "spanish", "it": "italian",
}  # fmt: skip


__all__ = ["check", "convert", "load", "run", "trace"]


def load(context):
    folder = Path(context.model_dir)
    # Before the package is imported, which takes seconds.
    check_files(folder)
    check_type(folder, context.options["type"])
    return Voice(folder, context.dtype, context.options)


def check(job, *, text, reference=None, **_):
    """Rejects what could not be spoken, before the model is loaded for it."""
    checked(text, (), job)
    if reference is not None:
        recording(reference, job)


def run(
    model, job, *, text, language="auto", speaker=None, instruct=None, reference=None,
    reference_text=None, seed=0, temperature=None, top_k=None, top_p=None, repetition_penalty=None,
):  # fmt: skip
    import mlx.core as mx

    marks = model.tts.tokenizer.get_added_vocab()
    language = language.strip().lower()
    speak = {
        "language": choose("language", CODES.get(language, language), model, job),
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
    }
    if speaker is not None:
        speak["speaker"] = choose("speaker", speaker, model, job)
    if instruct is not None:
        speak["instruct"] = directed(model, job, readable(instruct, marks))
    pieces = cut(checked(text, marks, job), model.longest * FRAME_RATE)
    if model.kind == "base":
        speak |= cloned(model, job, reference, reference_text, marks)
    mx.random.seed(seed)
    spoken, pause = [], ""
    try:
        for number, piece in enumerate(pieces):
            wave, rate = speak_piece(model.tts, job, piece, number, len(pieces), speak)
            silence = pause_between(spoken[-1], wave, rate, pause) if spoken else wave[:0]
            pause = piece.pause
            spoken.append(np.concatenate([silence, wave]))
            job.emit("audio", (spoken[-1], rate))
    except Stopped:
        return {}
    finally:
        mx.clear_cache()
    job.progress(len(pieces), len(pieces), "spoken")
    return {"audio": (np.concatenate(spoken), rate)}


def trace(model, job, **inputs):
    """Returns what the talker takes and gives in the first frames, of the likeliest codes."""
    with traced(model.tts) as kept:
        run(model, job, **{**inputs, "temperature": 0})
    return kept.arrays


def choose(what, asked, model, job):
    """Returns the language or the speaker as the model names it, or rejects the job."""
    known = getattr(model.tts, f"get_supported_{what}s")()
    name = re.sub(r"[\s-]+", "_", asked.strip().lower())
    if name not in known:
        job.reject(f"{what}: {asked!r} is not one of {', '.join(known) or 'this model'}")
    return name


def directed(model, job, instruct):
    """Returns the instruction, or rejects a job whose model could not follow it."""
    if model.kind == "voice_design" and not instruct:
        job.reject("instruct: there are no words for the voice")
    if model.kind == "custom_voice" and instruct and model.tts.config.tts_model_size == SMALL:
        # The package would leave it out without a word.
        job.reject("instruct: this model follows no instructions; qwen3-tts-1.7b does")
    return instruct
