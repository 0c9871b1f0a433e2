"""Cuts sound into passages that the model takes at once, in a memory that does not grow with it.

A passage has at most `LONGEST` seconds. Where speech is looked for, it begins and ends in a pause
and holds some speech; what lies between passages is not recognised at all.
"""

import numpy as np

from .sound import RATE

LONGEST = 28
"""Seconds of a passage; the model's own window has 30."""
BLOCK = 60
"""Seconds of sound that are looked at together. It must hold two passages."""
GAP = 2.0
"""Seconds of silence that part two passages."""
SILENCE = 0.001
"""Samples quieter than this are silence: -60 dB of full scale."""


def passages(parts, find_speech):
    """Yields the passages of a sound: where each begins, in seconds, and its samples.

    Args:
        parts: Samples, a short piece at a time.
        find_speech: Returns the stretches with speech in samples, as pairs of frames.
    """
    begin, held, count = 0, [], 0
    for part in parts:
        held.append(part)
        count += len(part)
        if count >= BLOCK * RATE:
            block = np.concatenate(held)
            found = grouped(find_speech(block))
            # The last one may go on in the next block; what has only begun may not be seen yet.
            ends = found[-1][1] + GAP * RATE < len(block) if found else True
            kept = len(block) - RATE if ends else found[-1][0]
            for start, end in found if ends else found[:-1]:
                yield (begin + start) / RATE, block[start:end]
            begin += kept
            held, count = [block[kept:]], len(block) - kept
    block = np.concatenate([np.zeros(0, np.float32), *held])
    for start, end in grouped(find_speech(block)) if count else ():
        yield (begin + start) / RATE, block[start:end]


def grouped(stretches):
    """Returns stretches of speech joined to passages, as long as pauses and length allow."""
    found = []
    for start, end in stretches:
        if found and start - found[-1][1] < GAP * RATE and end - found[-1][0] <= LONGEST * RATE:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def speech(block):
    """Returns where somebody speaks, by the network that faster-whisper brings (Silero)."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    if is_silent(block):
        return []
    options = VadOptions(
        max_speech_duration_s=LONGEST, min_silence_duration_ms=500, speech_pad_ms=500
    )
    found = get_speech_timestamps(block, options)
    return [(each["start"], min(each["end"], len(block))) for each in found]


def everything(block):
    """Returns all of a block but silence, cut at its quietest places."""
    found, start, longest = [], 0, LONGEST * RATE
    while start < len(block):
        end = min(start + longest, len(block))
        if end < len(block):
            end = quietest(block, end - longest // 3, end)
        if not is_silent(block[start:end]):
            found.append((start, end))
        start = end
    return found


def quietest(block, start, end):
    """Returns the middle of the quietest tenth of a second between two frames."""
    width = RATE // 10
    windows = block[start : start + (end - start) // width * width].reshape(-1, width)
    return start + int(np.square(windows).sum(1).argmin()) * width + width // 2


def is_silent(samples):
    """Whether nothing can be heard."""
    return not samples.size or np.abs(samples).max() < SILENCE
