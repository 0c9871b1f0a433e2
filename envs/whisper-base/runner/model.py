"""The loaded model: faster-whisper's, whose every step first looks whether the job goes on."""

import numpy as np

from .weights import read_files


class Cancelled(Exception):
    """Raised inside the model's loops when the job is to stop."""


class Steps:
    """A model of CTranslate2's that can be stopped between its steps, and encodes nothing twice.

    Attributes:
        job: The job at work.
    """

    def __init__(self, model):
        self.job = None
        self._model = model
        self._features, self._encoded = None, None

    def __getattr__(self, name):
        if self.job is not None and self.job.cancelled:
            raise Cancelled
        return getattr(self._model, name)

    def encode(self, features, *, to_cpu=False):
        """Encodes a window; the same again, as after a look at its language, at no cost."""
        given = np.array(features)
        if self._features is None or not np.array_equal(given, self._features):
            encode = self.__getattr__("encode")
            self._features, self._encoded = given, encode(features, to_cpu=to_cpu)
        return self._encoded


def load_model(context):
    """Returns a `WhisperModel` with the weights that two packages carry."""
    from faster_whisper import WhisperModel

    model = WhisperModel(
        "whisper-base",
        device="cpu",
        compute_type=context.options.get("compute_type", "int8"),
        cpu_threads=context.threads or 0,
        files=read_files(),
    )
    model.model = Steps(model.model)
    return model
