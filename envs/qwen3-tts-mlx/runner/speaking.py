"""A piece of text to sound, within what its length allows."""

from contextlib import contextmanager

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
    results = list(tts.generate_custom_voice(text=piece.text, max_tokens=limit, **speak))
    if not results:  # the first code was the end
        return np.zeros(0, np.float32), True
    (result,) = results
    return np.array(result.audio, np.float32), result.token_count < limit


@contextmanager
def watched(tts, job, report, keep=None):
    """Calls `report` with the number of frames after each, and stops a job that was cancelled.

    Args:
        tts: The package's model.
        job: Asked for cancellation before each code, and before the codec begins.
        report: Takes the number of frames so far.
        keep: Takes the logits of the first code of each frame, shaped tokens by codes.
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
            if keep:
                keep(logits[0])
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
