"""`mm doctor MODEL --run`: the smallest real job, and, if it fails, what that failure means."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.core.manifest import Input, Manifest
from orchestrator.doctor.explain import Explanation, explain, words_of
from orchestrator.doctor.gather import CheckOptions
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.rules.tables import Table
from orchestrator.errors import Cancelled, MMError, UsageError
from orchestrator.workspace import Workspace

SIDE = 64
"""Pixels of the image's side."""

RATE = 16000
"""Samples a second of the sound."""

FEW = 8
"""What an optional bound, such as `max_tokens`, is set to."""


@dataclass(frozen=True)
class Ended:
    """How the smallest job ended.

    Attributes:
        model: The model.
        device: Where it ran.
        dtype: In which dtype.
        seconds: How long it took, load included; None where it failed.
        error: What it failed with, or nothing.
        explanations: What that means.
    """

    model: str
    device: str
    dtype: str
    seconds: float | None
    error: str = ""
    explanations: tuple[Explanation, ...] = ()

    @property
    def done(self) -> bool:
        """Whether it ran to its end."""
        return self.seconds is not None

    @property
    def sentence(self) -> str:
        """How it ended, in one line."""
        how = f"run: {self.model} on {self.device} in {self.dtype}"
        if self.seconds is not None:
            return f"{how}: done in {self.seconds:.1f} s"
        known = "" if self.explanations else "; no known failure is in its words"
        return f"{how}: failed: {self.error}{known}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "device": self.device,
            "dtype": self.dtype,
            "seconds": self.seconds,
            "error": self.error or None,
            "explanations": [each.document() for each in self.explanations],
        }


def run_smallest(
    workspace: Workspace, subject: Subject, options: CheckOptions, table: Table
) -> Ended:
    """Run the smallest job that the manifest of a model allows, in a worker of its own.

    Raises:
        UsageError: When no input can be made up.
        Cancelled: When the user stopped it.
    """
    from orchestrator.jobs.job import Job
    from orchestrator.session import Session

    assert subject.manifest is not None
    model, conditions = subject.name, subject.conditions
    with Session(workspace=workspace) as session:
        inputs = smallest_inputs(subject.manifest, session.spool())
        try:
            job = Job(model, inputs, device=options.device, dtype=options.dtype)
            result = session.execute(job)
        except Cancelled:
            raise
        except MMError as error:
            found = tuple(explain(words_of(error), table, subject))
            return Ended(model, conditions.device, conditions.dtype, None, str(error), found)
        seconds = sum(result.timings.values())
        return Ended(model, conditions.device, conditions.dtype, seconds)


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
        return write_silence(directory / f"{name}.wav")
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


def write_silence(path: Path) -> Path:
    """Write a second of silence, 16 bits and one channel at `RATE`, and return its path."""
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(bytes(2 * RATE))
    return path
