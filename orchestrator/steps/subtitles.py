"""Step `subtitles`: what was said, and when, as a subtitle file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.core import subtitle_format
from orchestrator.core.manifest import Input
from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.steps.step import BuiltIn, Emit, Emits, signature


def _run(values: Mapping[str, Any], directory: Path, _: Cancellation) -> Emits:
    target = directory / f"subtitles.{values.get('format', 'srt')}"
    try:
        text = subtitle_format.subtitles(values["segments"], target.suffix)
    except ValueError as error:
        raise UsageError(f"the input 'segments' {error}") from error
    target.write_text(text, encoding="utf-8")
    yield Emit("file", target)


STEP = BuiltIn(
    signature(
        "subtitles",
        {
            "segments": Input(type="json", required=True, help="start, end and text of each"),
            "format": Input(type="choice", choices=("srt", "vtt"), help="Its form"),
        },
        file="file",
    ),
    _run,
    programs=(Path(str(subtitle_format.__file__)),),
)
