"""All 30 sentences of each language, spoken by each embedded voice and recognised again.

Prints what was misheard, the share of errors, and how long speaking and recognising took for a
second of sound. On one core: OMP_NUM_THREADS=1 python -m tests.manual.speech_loop [MODEL]
"""

import sys
import tempfile
from pathlib import Path

import orchestrator
from tests.speech.loop import LIMITS, VOICES, listen
from tests.speech.scoring import error_rate


def main(models):
    """Try the voices of `models`, or all."""
    for voice in VOICES:
        if models and voice.model not in models:
            continue
        with orchestrator.Session() as session, tempfile.TemporaryDirectory() as folder:
            loop = listen(session, voice, Path(folder))
        strictest = LIMITS[voice.language][0][0]
        for said, recognised in zip(loop.said, loop.recognised, strict=True):
            if rate := error_rate([said], [recognised], strictest):
                print(f"{rate:6.1%}  {said}\n        {recognised}")
        sound, speaking, listening = loop.seconds
        rates = ", ".join(
            f"{rate:.1%} of {name}" for name, rate in loop.rates(voice.language).items()
        )
        print(
            f"{voice.model}, {voice.language}: {rates} wrong; {sound:.0f} s of sound, spoken in "
            f"{speaking / sound:.2f} and recognised in {listening / sound:.2f} of its time"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
