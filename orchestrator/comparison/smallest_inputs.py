"""The smallest inputs that a model takes, made up from its manifest."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.core.manifest import Input, Manifest
from orchestrator.core.value_checks import AudioValue
from orchestrator.errors import UsageError
from orchestrator.jobs.results import Audio

SIDE = 64
"""Pixels of the image's side."""

RATE = 16000
"""Samples a second of the sound."""

PERIOD = 40
"""Samples of a period of it: 400 Hz. Models refuse a voice that cannot be heard."""

FEW = 8
"""What an optional bound, such as `max_tokens`, is set to."""


def smallest_inputs(manifest: Manifest, directory: Path) -> dict[str, Any]:
    """Return the smallest inputs that a model takes; files are made in `directory`.

    Raises:
        UsageError: For a required input of a kind that cannot be made up.
    """
    inputs: dict[str, Any] = {}
    for name, spec in manifest.inputs.items():
        if spec.required:
            value = _made_up(manifest.name, name, spec, directory)
            inputs[name] = [value] if spec.list else value
        elif name.startswith("max_") and spec.type == "integer":
            inputs[name] = max(FEW, int(spec.minimum or 0))
    return inputs


def _made_up(model: str, name: str, spec: Input, directory: Path) -> Any:
    if spec.default is not msgspec.UNSET:
        return spec.default
    if spec.type == "image":
        return write_image(directory / f"{name}.png")
    if spec.type == "audio":
        return write_tone(directory / f"{name}.wav")
    if spec.type == "choice":
        return spec.choices[0]
    low = spec.minimum if spec.minimum is not None else 1
    values = {
        "text": "Hello.",
        "integer": int(low),
        "number": float(low),
        "boolean": False,
        "json": {},
    }
    if spec.type not in values:
        raise UsageError(
            f"no {spec.type} can be made up for the input {name} of {model}",
            fix=f"run a job of your own: mm run {model} --help",
        )
    return values[spec.type]


def write_image(path: Path) -> Path:
    """Write a white image with a black line, `SIDE` pixels wide and high, and return its path."""
    from PIL import Image

    image = Image.new("RGB", (SIDE, SIDE), "white")
    image.paste("black", (0, SIDE // 2, SIDE, SIDE // 2 + 1))
    image.save(path)
    return path


def write_tone(path: Path) -> Path:
    """Write a second of a quiet tone, 16 bits and one channel at `RATE`, and return its path."""
    period = [round(2000 * math.sin(math.tau * place / PERIOD)) for place in range(PERIOD)]
    data = struct.pack(f"<{PERIOD}h", *period) * (RATE // PERIOD)
    return Audio(AudioValue(memoryview(data), "<i2", (RATE,), RATE)).save(path)
