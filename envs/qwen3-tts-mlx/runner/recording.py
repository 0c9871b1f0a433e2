"""A recording, as samples."""

import numpy as np

from .pauses import QUIET

REFERENCE = (1.0, 60.0)
"""Seconds that the recording of a voice may last; three to fifteen are best."""


def recording(path, job):
    """Returns the samples (float32, one channel) of a recording, and its rate; or rejects it."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as opened:
            seconds, rate = opened.frames / opened.samplerate, opened.samplerate
            shortest, longest = REFERENCE
            if not shortest <= seconds <= longest:
                job.reject(
                    f"reference: it lasts {seconds:,.1f} s; "
                    f"between {shortest:g} and {longest:g} s of speech are needed"
                )
            samples = opened.read(dtype="float32", always_2d=True).mean(axis=1)
    except (soundfile.LibsndfileError, OSError, TypeError, ZeroDivisionError) as error:
        reason = getattr(error, "error_string", getattr(error, "strerror", None) or str(error))
        job.reject(f"reference: cannot be read as sound ({reason.rstrip('.')})")
    peak = float(np.abs(samples).max(initial=0))
    if not np.isfinite(peak) or peak < QUIET:
        job.reject("reference: nothing can be heard in it")
    return samples / max(1.0, peak), rate


def resampled(samples, rate, wanted):
    """Returns the samples at the rate `wanted` (Hz), and that rate.

    The package would do it by `librosa.resample`, which does the same, and compiles for 20 s first
    in every new home.
    """
    import soxr

    if rate == wanted:
        return samples, rate
    return soxr.resample(samples, rate, wanted, quality="HQ"), wanted
