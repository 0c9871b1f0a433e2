"""What the doctor says: facts about what was looked at, and findings about what is wrong."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.core.patching import Patch

MAX_QUOTE = 160
"""Characters of a line that are quoted."""


class Layer(enum.Enum):
    """Where a fault lies, in the order in which people should look: from outside inwards."""

    INSTALLATION = "installation"
    ENVIRONMENT = "environment"
    API = "api"
    DEVICE = "device"
    CONFIGURATION = "configuration"
    WEIGHTS = "weights"
    DTYPES = "dtypes"
    CACHES = "caches"
    PATCHES = "patches"
    RUN = "run"


class Effect(enum.Enum):
    """What a finding does to the model."""

    STOPS = "stops"
    """The model will not load or run under the conditions that were asked for."""
    RISK = "risk"
    """It may fail, or be wrong, or be harmful."""
    NOTE = "note"
    """Worth knowing; nothing is wrong here and now."""


class Evidence(NamedTuple):
    """A place and what it says."""

    file: str
    line: int = 0
    """From 1; 0 where the whole file is meant."""
    quote: str = ""

    @property
    def where(self) -> str:
        """The place as messages name it."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        layer: Where it lies.
        id: A short name, by which a draft of a patch set calls its patch.
        effect: What it does to the model.
        finding: What was found, in one sentence without a full stop.
        evidence: Where, quoted.
        consequence: What comes of it.
        remedy: What mends it: a patch, a pin, a command.
        patch: The patch that mends it, applied in memory and found to fit; None where there is
            none.
    """

    layer: Layer
    id: str
    effect: Effect
    finding: str
    consequence: str
    remedy: str
    evidence: tuple[Evidence, ...] = ()
    patch: Patch | None = None


class Fact(NamedTuple):
    """What was looked at and found to be so."""

    layer: Layer
    text: str


@dataclass
class Looked:
    """What one layer saw; layers fill it and know nothing of each other."""

    facts: list[Fact] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Looked) -> None:
        """Take over what another layer saw."""
        self.facts += other.facts
        self.findings += other.findings


@dataclass(frozen=True)
class Report:
    """All that was seen.

    Attributes:
        subject: A model, a directory, or the installation.
        conditions: Under which device, dtype and versions it was looked at, in words.
        facts: What is so.
        findings: What is wrong, by layer.
    """

    subject: str
    conditions: str
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The findings that are more than notes."""
        return tuple(each for each in self.findings if each.effect is not Effect.NOTE)

    def document(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "subject": self.subject,
            "conditions": self.conditions,
            "facts": [{"layer": fact.layer.value, "text": fact.text} for fact in self.facts],
            "findings": [as_json(finding) for finding in self.findings],
        }


def report(subject: str, conditions: str, looked: Looked) -> Report:
    """Return the report of what all layers saw, in the order of the layers."""
    order = list(Layer)
    return Report(
        subject,
        conditions,
        tuple(sorted(looked.facts, key=lambda fact: order.index(fact.layer))),
        tuple(sorted(looked.findings, key=lambda each: order.index(each.layer))),
    )


def as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON has it."""
    return {
        "layer": finding.layer.value,
        "id": finding.id,
        "effect": finding.effect.value,
        "finding": finding.finding,
        "evidence": [each._asdict() for each in finding.evidence],
        "consequence": finding.consequence,
        "remedy": finding.remedy,
        "patch": msgspec.to_builtins(finding.patch) if finding.patch is not None else None,
    }


def shortened(text: str, limit: int = MAX_QUOTE) -> str:
    """Return a line of somebody else's text in a form that is safe to print."""
    flat = " ".join(text.split())
    shown = "".join(sign if sign.isprintable() else "?" for sign in flat)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def counted(number: int, noun: str = "place") -> str:
    """Return a number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(words: Iterable[str], limit: int = 8) -> str:
    """Return words separated by commas, the first `limit` of them."""
    every = list(words)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more
