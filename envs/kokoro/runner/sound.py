"""Samples of speech: silence around it, pauses before it, no clicks. Pure functions."""

import numpy as np

SILENCE, MARGIN = 0.005, 0.05
"""Samples quieter than the first lie outside of speech, but for so many seconds around it."""
FADE = 0.005
"""Seconds in which a piece begins and ends."""


def trimmed(voice, rate):
    """Returns speech without the silence around it, which begins and ends at nothing."""
    loud = np.flatnonzero(np.abs(voice) > SILENCE)
    if loud.size:
        margin = round(MARGIN * rate)
        voice = voice[max(0, loud[0] - margin) : loud[-1] + margin]
    voice = voice.copy()
    ramp = np.linspace(0, 1, min(round(FADE * rate), len(voice)), dtype=np.float32)
    voice[: len(ramp)] *= ramp
    voice[len(voice) - len(ramp) :] *= ramp[::-1]
    return voice


def after_pause(voice, pause, rate):
    """Returns float samples as int16 ones, after so many seconds of silence."""
    silence = np.zeros(round(pause * rate), np.int16)
    return np.concatenate([silence, np.int16(np.clip(voice, -1, 1) * 32767)])
