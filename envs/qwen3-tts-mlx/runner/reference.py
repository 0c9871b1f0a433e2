"""The recording of a voice that is cloned."""

from .recording import recording, resampled
from .text import readable


def cloned(model, job, path, text, marks):
    """Returns what the package needs in order to speak as in the recording at `path`.

    With the words that are spoken there the voice is nearer; without, only its colour is taken.
    """
    import mlx.core as mx

    job.progress(0, 0, "listening to the reference")
    # The package keeps what it has listened to, and takes recordings of equal sums for one.
    model.tts._icl_cache.clear()  # noqa: SLF001
    heard, _ = resampled(*recording(path, job), model.tts.sample_rate)
    return {"ref_audio": mx.array(heard), "ref_text": readable(text or "", marks) or None}
