"""From passages of sound to segments of text, and which of them are believed."""

import math

from .sound import RATE

CERTAIN = 0.5
"""How likely a language must be to hold for the rest of the sound."""
REPETITIVE = 2.4
"""How well a text may compress; beyond, the model repeats itself (OpenAI's value)."""
UNSPOKEN, DOUBTFUL = 0.6, 0.5
"""Above the first likelihood of no speech, and below the second score, a text is invented."""
IMPLAUSIBLE = 0.2
"""Below this score any text is."""
AGAIN = 2
"""How often in a row the same words are believed."""
PROMPTS = {"zh": "以下是普通话的句子。"}
"""What a text is the continuation of, which sets its style: simplified characters, with marks."""
SETTINGS = {
    "beam_size": 5,
    "compression_ratio_threshold": REPETITIVE,
    "no_speech_threshold": UNSPOKEN,
    "condition_on_previous_text": False,  # else one mistake goes on for minutes
    "temperature": (0.0, 0.2, 0.4),  # what is sampled at higher ones is no transcript
    "best_of": 2,
    "max_new_tokens": 224,  # as OpenAI has it: more are no speech of 30 seconds
}


class Recogniser:
    """Recognises the passages of one sound, one after the other.

    Attributes:
        language: The code of what is spoken; empty until it is known.
        left_out: Where, in seconds, the model wrote what is no transcript.
    """

    def __init__(self, model, language, *, words):
        self.model = model
        self.language = language
        self.left_out = []
        self._settled = bool(language)
        self._likelihood = 0.0
        self._words = words
        self._end = self._limit = 0.0
        self._last = []

    def segments(self, begin, samples):
        """Yields the segments of a passage that begins after `begin` seconds, as JSON values."""
        if not self._settled:
            self._find_language(samples)
        found, _ = self.model.transcribe(
            samples,
            language=self.language,
            word_timestamps=self._words,
            hotwords=PROMPTS.get(self.language),
            **SETTINGS,
        )
        self._limit = begin + len(samples) / RATE
        for segment in found:
            if not self._is_believed(segment):
                self.left_out.append(begin + segment.start)
                continue
            value = self._timed(begin, segment, segment.text, math.exp(segment.avg_logprob))
            if self._words:
                value["words"] = [
                    self._timed(begin, word, word.word, word.probability) for word in segment.words
                ]
            yield value
            self._end = value["end"]

    def _timed(self, begin, part, text, score):
        """Returns a segment or a word as a JSON value, its times in order and in the passage."""
        start = min(max(self._end, begin + part.start), self._limit)
        return {
            "start": round(start, 2),
            "end": round(min(max(start, begin + part.end), self._limit), 2),
            "text": text.strip(),
            "score": round(score, 3),
        }

    def _is_believed(self, segment):
        text = segment.text.strip()
        self._last = [*self._last[-AGAIN:], text]
        least = DOUBTFUL if segment.no_speech_prob > UNSPOKEN else IMPLAUSIBLE
        return not (
            segment.compression_ratio > REPETITIVE
            or math.exp(segment.avg_logprob) < least
            or text == PROMPTS.get(self.language)
            or (len(self._last) > AGAIN and len(set(self._last)) == 1)
        )

    def _find_language(self, samples):
        # Without the last frame, as `transcribe` takes it: it is encoded once for both.
        features = self.model.feature_extractor(samples)[..., :-1]
        code, likelihood, _ = self.model.detect_language(features=features)
        if likelihood > self._likelihood:
            self.language, self._likelihood = code, likelihood
        self._settled = likelihood >= CERTAIN
