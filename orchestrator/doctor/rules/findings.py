"""What the doctor reports: facts about what was checked, and findings from rules that matched."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from orchestrator.core.patching import Patch
from orchestrator.core.yaml_document import parse

MAX_QUOTE = 160
"""Characters of a line that are quoted."""

_NOT_IN_A_SLUG = re.compile(r"[^a-z0-9]+")


class Layer(enum.Enum):
    """Where a fault lies, in the order in which to look: from outside inwards."""

    INSTALLATION = "installation"
    ENVIRONMENT = "environment"
    RUNNER = "runner"
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
    """The model will not load or run under the given conditions."""
    RISK = "risk"
    """It may fail, or be wrong, or be harmful."""
    NOTE = "note"
    """Worth knowing; nothing is wrong here and now."""


class Evidence(msgspec.Struct, frozen=True):
    """A place and what it says."""

    file: str
    line: int = 0
    """From 1; 0 where the whole file is meant."""
    quote: str = ""

    @property
    def where(self) -> str:
        """The place as messages name it."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Fact(msgspec.Struct, frozen=True):
    """What was checked and found to be so."""

    layer: Layer
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    layer: Layer
    """Where it lies."""
    id: str
    """A short name; a drafted patch takes it as its id."""
    effect: Effect
    """What it does to the model."""
    finding: str
    """What was found, in one sentence without a full stop."""
    evidence: tuple[Evidence, ...] = ()
    """Where, quoted."""
    consequence: str
    """What happens because of it."""
    remedy: str
    """What fixes it: a patch, a pin, a command."""
    patch: Patch | None = None
    """The patch that fixes it, applied in memory and found to fit; None where there is none."""


Results = Iterator[Fact | Finding]
"""What a check yields."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A known fault in words, as `rules.yaml` has it and describes its fields."""

    layer: Layer
    id: str
    finding: str
    consequence: str
    remedy: str
    effect: Effect = Effect.STOPS
    patched: str = ""
    why: str = ""

    def matched(
        self,
        *evidence: Evidence,
        effect: Effect | None = None,
        layer: Layer | None = None,
        patch: Patch | None = None,
        **values: object,
    ) -> Finding:
        """Return the finding of one match.

        Args:
            evidence: Where.
            effect: The effect in this case, where it is not the rule's.
            layer: The layer in this case, where it is not the rule's.
            patch: A patch that fits; it gets the finding's id.
            values: What the rule's texts name.
        """
        layer = layer or self.layer
        name = slug(self.id.format(layer=layer.value, **values))
        remedy = (self.patched if patch is not None else "") or self.remedy
        return Finding(
            layer=layer,
            id=name,
            effect=effect or self.effect,
            finding=self.finding.format(**values),
            evidence=evidence,
            consequence=self.consequence.format(**values),
            remedy=remedy.format(**values),
            patch=msgspec.structs.replace(patch, id=name) if patch is not None else None,
        )


def rule(name: str) -> Rule:
    """Return the rule of that name in `rules.yaml`."""
    return _rules()[name]


@cache
def _rules() -> dict[str, Rule]:
    data = files("orchestrator.doctor.rules").joinpath("rules.yaml").read_bytes()
    return {
        name: msgspec.convert({"layer": layer, "id": name, **texts}, Rule)
        for layer, rules in parse(data, "rules.yaml").data.items()
        for name, texts in rules.items()
    }


class Report(msgspec.Struct, frozen=True):
    """All facts and findings about one subject, in the order of the layers."""

    subject: str
    """A model, a directory, or the installation."""
    conditions: str
    """The device, dtype and versions of the check, in words."""
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]

    @staticmethod
    def of(subject: str, conditions: str, results: Iterable[Fact | Finding]) -> Report:
        """Return the report of what checks have yielded, sorted by layer."""
        order = list(Layer)
        ordered = sorted(results, key=lambda each: order.index(each.layer))
        return Report(
            subject,
            conditions,
            tuple(each for each in ordered if isinstance(each, Fact)),
            tuple(each for each in ordered if isinstance(each, Finding)),
        )

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The findings that are more than notes."""
        return tuple(each for each in self.findings if each.effect is not Effect.NOTE)


def document(value: msgspec.Struct) -> dict[str, Any]:
    """Return a report or a part of it as JSON has it."""
    made: dict[str, Any] = msgspec.to_builtins(value)
    return made


def slug(text: str) -> str:
    """Return a text as an id: lower-case letters, digits and single hyphens, 60 at most."""
    return _NOT_IN_A_SLUG.sub("-", text.lower()).strip("-")[:60].strip("-")


def shortened(text: str, limit: int = MAX_QUOTE) -> str:
    """Return a foreign text on one line, without control characters and at most `limit` long."""
    flat = " ".join(text.split())
    shown = "".join(sign if sign.isprintable() else "?" for sign in flat)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def listed(words: Iterable[str], limit: int = 8) -> str:
    """Return words separated by commas, the first `limit` of them."""
    every = list(words)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more
