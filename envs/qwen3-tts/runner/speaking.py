"""Pieces of text to sound, several at once, within what their length allows."""

from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

FRAME_RATE = 12.5
"""Frames of the codec in a second; each is 1,920 samples at 24 kHz."""
SLOWEST = 3
"""A piece may take so many times longer than most voices need, and `SPARE` frames more."""
SPARE = 50
METHODS = {
    "custom_voice": "generate_custom_voice",
    "voice_design": "generate_voice_design",
    "base": "generate_voice_clone",
}


class Voice(NamedTuple):
    """A loaded checkpoint: the package's model, its type, and how text is cut for it."""

    tts: Any
    kind: str
    batch: int
    """Pieces that are spoken at once."""
    longest: float
    """Frames that a piece takes at the usual pace."""


class Stopped(Exception):
    """Raised between two steps of the model when the job is to end."""


def speak_batch(model, job, batch, done, total, speak):
    """Returns the sound of each piece of `batch`, and its rate in Hz.

    Args:
        model: A `Voice`.
        job: Asked for cancellation between two steps; receives the progress.
        batch: Pieces.
        done: How many pieces were spoken before.
        total: How many there are.
        speak: Further keywords for the package.

    Raises:
        Stopped: When the job was cancelled.
    """
    words = f"speaking {done + 1}" + (f" to {done + len(batch)}" if len(batch) > 1 else "")
    usual = max(piece.frames for piece in batch)

    def tell(frames):
        part = min(0.99, frames / usual)
        job.progress(done + part * len(batch), total, f"{words} of {total}")

    with watched(model, job, tell):
        waves, ended, rate = speak_once(model, batch, speak)
        endless = [number for number, end in enumerate(ended) if not end]
        if endless and speak.get("do_sample", True):
            # It happens to one piece in some hundred, and hardly ever twice.
            job.log(f"speaking again what found no end: {listed(endless, done)}")
            again, ended, _ = speak_once(model, [batch[number] for number in endless], speak)
            for number, wave in zip(endless, again, strict=True):
                waves[number] = wave
            endless = [number for number, end in zip(endless, ended, strict=True) if not end]
        if endless:
            job.warn(f"cut off, as it found no end: {listed(endless, done)}")
    return waves, rate


def listed(numbers, done):
    """Returns the numbers of pieces as a person counts them."""
    return "piece " + ", ".join(str(done + number + 1) for number in numbers)


def speak_once(model, batch, speak):
    """Returns the sound of each piece of `batch`, whether it found its end, and the rate in Hz.

    Nothing else would keep the model from speaking on, so the length of the text bounds it.
    """
    limits = [round(SPARE + SLOWEST * piece.frames) for piece in batch]
    # Of N tokens one is no frame, and the package fails where there is no frame.
    waves, rate = getattr(model.tts, METHODS[model.kind])(
        text=[piece.text for piece in batch], max_new_tokens=max(limits) + 1, **speak
    )
    most = [round(limit * rate / FRAME_RATE) for limit in limits]
    ended = [len(wave) < limit for wave, limit in zip(waves, most, strict=True)]
    cut_off = [np.ascontiguousarray(w[:limit]) for w, limit in zip(waves, most, strict=True)]
    return cut_off, ended, rate


@contextmanager
def watched(model, job, tell):
    """Calls `tell` with the number of frames after each, and stops a job that was cancelled."""
    frames = 0

    def step(*_):
        nonlocal frames
        look()
        frames += 1
        tell(frames)

    def look(*_):
        if job.cancelled:
            raise Stopped

    core = model.tts.model
    hooks = [
        core.talker.register_forward_hook(step),
        # The codec makes the sound of up to 300 frames at once.
        core.speech_tokenizer.model.decoder.register_forward_pre_hook(look),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
