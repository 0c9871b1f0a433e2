"""What a speech recogniser hears: pocketsphinx, with the English model that its package carries."""

import numpy as np
from pocketsphinx import Decoder

RATE = 16_000
"""Hz: what the model was trained on."""


def hear(samples, rate):
    """Return the words in one channel of int16 or float32 samples, in small letters."""
    samples = np.asarray(samples)
    if samples.dtype != np.int16:
        samples = np.round(np.clip(samples, -1, 1) * 32767)
    speech = resample(samples.astype(np.float64), rate, RATE)
    decoder = Decoder(loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(speech.astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    return decoder.hyp().hypstr if decoder.hyp() else ""


def resample(samples, rate, wanted):
    """Return samples at another rate, by leaving out the frequencies that it cannot hold."""
    count = round(len(samples) * wanted / rate)
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    resampled = np.fft.irfft(spectrum, count) * (count / len(samples))
    return np.clip(np.round(resampled), -32768, 32767)
