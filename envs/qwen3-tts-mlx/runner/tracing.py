"""What is compared with another model: arrays of the first frames."""

from contextlib import contextmanager

import numpy as np

from .speaking import Stopped

TRACED = 8
"""Steps of the talker that are kept; the first reads the prompt, and each gives a frame."""


class Talker:
    """The package's talker, which keeps what goes in and comes out, and stops after some steps."""

    def __init__(self, talker):
        self._talker = talker
        self.inputs, self.hidden, self.logits, self.codes = [], [], [], []

    def __call__(self, inputs_embeds, **more):
        """Does what the package's talker does."""
        if len(self.logits) == TRACED:
            raise Stopped
        logits, hidden = self._talker(inputs_embeds, **more)
        self.inputs.append(floats(inputs_embeds[0]))
        self.hidden.append(floats(hidden[0, -1]))
        self.logits.append(floats(logits[0, -1]))
        return logits, hidden

    def __getattr__(self, name):
        return getattr(self._talker, name)

    @property
    def arrays(self):
        """What was kept, by name, in the order in which it is computed."""
        prompt, *frames = self.inputs
        # The codes of the last step have not come in again.
        arrays = {
            "prompt": prompt,
            "hidden": np.stack(self.hidden),
            "logits": np.stack(self.logits),
        }
        if frames:
            codes = np.stack(self.codes).reshape(len(self.logits), -1)[: len(frames)]
            arrays |= {"codes": codes, "frames": np.concatenate(frames)}
        return arrays


@contextmanager
def traced(tts):
    """Has the package's model keep what its talker does, in the `Talker` that this gives."""
    talker, sample = tts.talker, tts._sample_token  # noqa: SLF001
    kept = Talker(talker)

    def sampled(logits, **more):
        token = sample(logits, **more)
        kept.codes.append(floats(token).ravel())
        return token

    tts.talker, tts._sample_token = kept, sampled  # noqa: SLF001
    try:
        yield kept
    finally:
        tts.talker, tts._sample_token = talker, sample  # noqa: SLF001


def floats(array):
    """Returns an array of MLX as one of NumPy, in float32."""
    import mlx.core as mx

    return np.array(array.astype(mx.float32))
