"""Runs Kokoro-82M: speaks Chinese, English and both mixed, sentence by sentence.

Runs in the model's own environment and imports nothing of the orchestrator. The network is read
where its packages carry it, in parts that are joined in memory. Nothing is written or downloaded.
"""

from pathlib import Path

import numpy as np

from .network import MOST_PHONEMES, RATE, Network
from .phonemes import main_language, of_chinese, of_english, pieces_of
from .sentences import pieces
from .sound import after_pause, trimmed
from .written import readable

LONGEST_TEXT = 100_000
"""Characters: two hours of speech in English, six in Chinese."""
PAUSES = {"clause": 0.15, "sentence": 0.35, "paragraph": 0.8}
"""Seconds of silence after a piece, at speed 1."""
VOICES = {"zh": "zf_xiaobei", "en": "af_heart"}
"""What speaks a language where no voice is asked for."""


class Speaker:
    """The network, and what reads English, American or British, from when it is first needed."""

    def __init__(self, voices, threads):
        self.network = Network(voices, threads)
        self.readers = {}

    def phonemes(self, text, language, voice):
        """Returns the phonemes of a piece of text, in strings that the network takes at once."""
        british = voice.startswith("b")
        if british not in self.readers:
            from hibari.g2p import G2P

            self.readers[british] = G2P(british=british)
        of_language = of_chinese if language == "zh" else of_english
        return pieces_of(of_language(text, self.readers[british]), MOST_PHONEMES)


def load(context):
    speaker = Speaker(Path(context.model_dir) / "voices", context.threads or 1)
    speaker.phonemes("载入词典和数字12。 xyloquent", "zh", VOICES["zh"])
    return speaker


def check(job, *, text, **_):
    """Rejects what cannot be spoken before the model is loaded."""
    if not text.strip():
        job.reject("there is no text to speak")
    if len(text) > LONGEST_TEXT:
        job.reject(
            f"the text has {len(text):,} characters and the limit is {LONGEST_TEXT:,}; "
            "speak it in parts"
        )
    if not any(map(str.isalnum, readable(text)[0])):
        job.reject("the text has no Chinese characters, Latin letters or digits to speak")


def run(speaker, job, *, text, voice=None, speed=1.0, language="auto"):
    check(job, text=text)
    plain, left_out = readable(text)
    if left_out:
        job.log(f"left out {left_out:,} characters that this model does not speak")
    spoken, breaths = [], pieces(plain)
    current, pause = main_language(plain) or "en", 0.0
    for number, (piece, following) in enumerate(breaths):
        current = (language if language != "auto" else main_language(piece)) or current
        name = voice or VOICES[current]
        for phonemes in speaker.phonemes(piece, current, name):
            if job.cancelled:
                return {}
            job.progress(number, len(breaths), "speaking")
            sound = trimmed(speaker.network.speak(phonemes, name, speed), RATE)
            spoken.append(after_pause(sound, pause / speed, RATE))
            job.emit("audio", (spoken[-1], RATE))
            pause = PAUSES["clause"]
        pause = PAUSES[following]
    if not spoken:
        job.reject("the text has nothing to speak in Chinese or English")
    job.progress(len(breaths), len(breaths), "spoken")
    return {"audio": (np.concatenate(spoken), RATE)}
