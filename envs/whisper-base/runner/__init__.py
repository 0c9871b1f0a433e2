"""Runs Whisper base by faster-whisper: sound in, text with its times out, passage by passage.

Runs in the model's own environment and imports nothing of the orchestrator. Nothing is written and
nothing is downloaded. What is heavy to import is imported where it is used: what cuts sound and
what is believed can be tested without it.
"""

from .passages import everything, passages, speech
from .recognition import Recogniser
from .sound import opened

PARAGRAPH = 2.0
"""Seconds of pause after which the text goes on in a new line."""
WRITTEN_TOGETHER = frozenset({"zh", "ja", "th", "lo", "my", "km", "bo"})
"""Languages without spaces between words."""


def load(context):
    from .model import load_model

    return load_model(context)


def check(job, *, audio, **_):
    """Rejects what holds no sound, before the model is loaded."""
    with opened(audio, job) as sound:
        next(sound.parts())


def run(model, job, *, audio, language="auto", timestamps="segments", vad=True):
    import ctranslate2

    from .model import Cancelled

    ctranslate2.set_random_seed(0)  # a second try at what is doubtful samples
    model.model.job = job
    recogniser = Recogniser(
        model, "" if language == "auto" else language, words=timestamps == "words"
    )
    text, segments = "", []
    try:
        with opened(audio, job) as sound:
            for begin, samples in passages(sound.parts(), speech if vad else everything):
                job.progress(begin, max(sound.announced, sound.heard), "recognising")
                for segment in recogniser.segments(begin, samples):
                    added = separator(segments, segment, recogniser.language) + segment["text"]
                    job.emit("text", added)
                    text += added
                    segments.append(segment)
    except Cancelled:
        return {}
    if job.cancelled:
        return {}
    for warning in warnings(sound, recogniser, segments):
        job.warn(warning)
    found = recogniser.language if segments else ""
    return {"text": text, "segments": segments, "language": found}


def separator(segments, segment, language):
    """Returns what stands between the text so far and the next segment."""
    if not segments:
        return ""
    if segment["start"] - segments[-1]["end"] >= PARAGRAPH:
        return "\n"
    return "" if language in WRITTEN_TOGETHER else " "


def warnings(sound, recogniser, segments):
    """Yields why the text may not be what was said."""
    if sound.damaged:
        yield f"{sound.damaged} pieces of the sound are damaged and were left out"
    if sound.is_cut:
        yield (
            f"the file announces {sound.announced:.0f} seconds of sound and holds "
            f"{sound.heard:.0f}: it may be cut off"
        )
    if recogniser.left_out:
        first, *more = recogniser.left_out
        places = clock(first) + (" and later" if more else "")
        yield f"at {places} the model wrote what no one said; that is left out"
    if not segments:
        yield "there is no speech in this sound"


def clock(seconds):
    """Returns a time in a sound as people read it."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
