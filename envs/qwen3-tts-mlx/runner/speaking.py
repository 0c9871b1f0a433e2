"""A piece of text to sound, within what its length allows."""

from contextlib import contextmanager
from functools import partial

import numpy as np

SLOWEST = 3
"""A piece may take so many times longer than most voices need, and `SPARE` frames more."""
SPARE = 50


class Stopped(Exception):
    """Raised between two tokens of the model when the job is to end."""


def speak_piece(tts, job, piece, number, total, speak):
    """Returns the sound of a piece, and its rate in Hz.

    Args:
        tts: The package's model.
        job: Asked for cancellation at each token, and given the progress.
        piece: A `Piece`.
        number: How many pieces were spoken before.
        total: How many there are.
        speak: Further keywords for the package.

    Raises:
        Stopped: When the job was cancelled.
    """
    limit = round(SPARE + SLOWEST * piece.frames)

    def report(frames):
        part = min(0.99, frames / piece.frames)
        job.progress(number + part, total, f"speaking {number + 1} of {total}")

    with watched(tts, job, report):
        wave, ended = speak_once(tts, piece, limit, speak)
        if not ended and speak.get("temperature") != 0:
            # It happens to one piece in some hundred, and hardly ever twice.
            job.log(f"speaking again what found no end: piece {number + 1}")
            wave, ended = speak_once(tts, piece, limit, speak)
    if not ended:
        job.warn(f"cut off, as it found no end: piece {number + 1}")
    return wave, tts.sample_rate


def speak_once(tts, piece, limit, speak):
    """Returns the sound of a piece, and whether it found its end within `limit` frames."""
    results = list(generated(tts, speak)(text=piece.text, max_tokens=limit))
    if not results:  # the first code was the end
        return np.zeros(0, np.float32), True
    (result,) = results
    return np.array(result.audio, np.float32), result.token_count < limit


def generated(tts, speak):
    """Returns the package's method for a checkpoint, with its keywords but for the text's."""
    kind = tts.config.tts_model_type
    if kind == "custom_voice":
        return partial(tts.generate_custom_voice, **speak)
    if kind == "voice_design":
        return partial(tts.generate_voice_design, **speak)
    speak = {"lang_code" if name == "language" else name: each for name, each in speak.items()}
    if speak["ref_text"] is None:
        return partial(tts.generate, split_pattern="", **speak)

    def continued(text, max_tokens):
        # The package's `generate` would raise the penalty to 1.5, whatever was asked for.
        names = ("temperature", "top_k", "top_p", "repetition_penalty")
        chosen = {name: speak[name] for name in names}
        options = tts._resolve_generation_options(max_tokens=max_tokens, **chosen)  # noqa: SLF001
        others = {name: speak[name] for name in ("ref_audio", "ref_text")}
        return tts._generate_icl(text, language=speak["lang_code"], **others, **options)  # noqa: SLF001

    return continued


@contextmanager
def watched(tts, job, report):
    """Calls `report` with the number of frames after each, and stops a job that was cancelled.

    Args:
        tts: The package's model.
        job: Asked for cancellation before each code, and before the codec begins.
        report: Takes the number of frames so far.
    """
    frames = 0
    # The package has no other place where something is called at each token.
    sample, decode = tts._sample_token, tts.speech_tokenizer.decode  # noqa: SLF001

    def sampled(logits, **more):
        nonlocal frames
        look()
        if "suppress_tokens" in more:  # the first code of a frame
            frames += 1
            report(frames)
        return sample(logits, **more)

    def decoded(codes):
        look()
        return decode(codes)

    def look():
        if job.cancelled:
            raise Stopped

    tts._sample_token, tts.speech_tokenizer.decode = sampled, decoded  # noqa: SLF001
    try:
        yield
    finally:
        tts._sample_token, tts.speech_tokenizer.decode = sample, decode  # noqa: SLF001
