"""Speech heard again: what a voice says goes through the recogniser and is compared."""

from typing import NamedTuple

from tests.speech.scoring import characters, error_rate, sentences, syllables, words

LIMITS = {"en": ((words, 0.08),), "zh": ((syllables, 0.05), (characters, 0.15))}
"""By language: units, and the share of errors that a voice may have."""


class Voice(NamedTuple):
    """A model that speaks, in one of its languages."""

    model: str
    language: str


VOICES = (Voice("hibari", "en"), Voice("kokoro", "zh"), Voice("kokoro", "en"))
"""The embedded voices."""


class Loop(NamedTuple):
    """What was said and what was recognised.

    Attributes:
        said: The sentences.
        recognised: What was made of them.
        seconds: Of sound, of speaking, of recognising.
    """

    said: list[str]
    recognised: list[str]
    seconds: tuple[float, float, float]

    def rates(self, language):
        """Return the share of errors by the name of its units."""
        return {
            units.__name__: error_rate(self.said, self.recognised, units)
            for units, _ in LIMITS[language]
        }


def listen(session, voice, folder, *, every=1):
    """Have each `every`-th sentence spoken and recognised.

    Args:
        session: Where the models run.
        voice: Who speaks.
        folder: A directory for the sounds.
        every: 1 for all sentences.
    """
    said = sentences(voice.language)[::every]
    recognised, sound, speaking, listening = [], 0.0, 0.0, 0.0
    for number, text in enumerate(said):
        spoken = session.run(voice.model, text=text)
        path = spoken["audio"].save(folder / f"{number}.wav")
        heard = session.run("whisper-base", audio=path, language=voice.language)
        recognised.append(heard["text"])
        sound += spoken["audio"].duration
        speaking += spoken.timings["run"]
        listening += heard.timings["run"]
    return Loop(said, recognised, (sound, speaking, listening))
