"""The recording of a voice that is cloned."""

from .onednn import without_onednn
from .recording import recording, resampled
from .text import readable


def cloned(model, job, path, text, marks):
    """Returns what the package needs in order to speak as in the recording at `path`.

    With the words that are spoken there the voice is nearer; without, only its colour is taken.
    """
    job.progress(0, 0, "listening to the reference")
    text = readable(text or "", marks)
    heard = resampled(*recording(path, job), model.tts.model.speaker_encoder_sample_rate)
    listen = without_onednn(model.tts.create_voice_clone_prompt)
    return listen(ref_audio=heard, ref_text=text or None, x_vector_only_mode=not text)
