"""Sound for tests, and what a decoder finds in a file of it."""

from __future__ import annotations

import io
import struct
from typing import Any

import av
import numpy as np

from orchestrator.core.value_checks import AudioValue
from orchestrator.jobs.results import Audio

TONE = 440.0
"""Hz."""

PADDING = 0.2
"""Seconds that an encoder may add."""


def tone(seconds: float = 1.0, rate: int = 24000, channels: int = 1, begin: float = 0.0) -> Audio:
    """Return a tone at half of full scale, from a point of its time on."""
    frames = round(seconds * rate)
    wave = 0.5 * np.sin(2 * np.pi * TONE * (np.arange(frames) / rate + begin))
    samples = np.repeat(np.round(wave * 32767).astype("<i2"), channels)
    shape = (frames, channels) if channels > 1 else (frames,)
    return Audio(AudioValue(memoryview(samples.tobytes()), "<i2", shape, rate))


def heard(data: bytes) -> dict[str, Any]:
    """Return what a file holds: codec, rate, channels, seconds, level (RMS) and frequency (Hz)."""
    with av.open(io.BytesIO(data)) as container:
        codec = container.streams.audio[0].codec_context.name
        frames = list(container.decode(audio=0))
        blocks = [frame.to_ndarray().astype(float) for frame in frames]
    rate, channels = frames[0].sample_rate, frames[0].layout.nb_channels
    joined = np.concatenate([each.reshape(-1) for each in blocks])
    if frames[0].format.is_planar:
        mono = np.concatenate([each[0] for each in blocks])
    else:
        mono = joined[::channels]
    if np.abs(mono).max() > 2:
        mono = mono / 32768
    middle = mono[len(mono) // 4 : -len(mono) // 4]
    crossings = np.count_nonzero(np.diff(np.signbit(middle)))
    return {
        "codec": codec,
        "rate": rate,
        "channels": channels,
        "seconds": len(mono) / rate,
        "level": float(np.sqrt(np.mean(middle**2))),
        "frequency": crossings / 2 / (len(middle) / rate),
    }


def pcm(*samples: int) -> bytes:
    """Return samples of 16 bits."""
    return struct.pack(f"<{len(samples)}h", *samples)
