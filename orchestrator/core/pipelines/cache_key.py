"""The key under which a finished step is kept, and why a step has another key than before.

A key covers what made the result (for a model, the part of its receipt before the inputs) and what
it was made from. How a step is called and how it was scheduled are not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.canonical import digest

VERSION = 1
"""The version of what a key covers, and of the records that are kept under it."""


@dataclass(frozen=True)
class Recipe:
    """What decides a step's result: plain data.

    Attributes:
        producer: What makes it.
        inputs: Values, and digests of files, by input.
        identity: The digest of `producer`; for a model, its receipts' identity.
    """

    producer: Mapping[str, Any]
    inputs: Mapping[str, Any]
    identity: str = ""

    def __post_init__(self) -> None:
        if not self.identity:
            object.__setattr__(self, "identity", digest(dict(self.producer)))

    @property
    def key(self) -> str:
        """The digest under which the result is kept."""
        return digest({"version": VERSION, "producer": self.identity, "inputs": dict(self.inputs)})


_WORDS = {
    "model": "the model is another",
    "step": "the step is another",
    "code": "the code of the step changed",
    "runner": "the runner changed",
    "manifest": "the manifest changed",
    "source": "the model's files changed",
    "patches": "the patch set changed",
    "device": "the device is another",
    "dtype": "the dtype is another",
    "options": "the options of the manifest changed",
}
_ENVIRONMENT = ("lock", "environment", "versions")


def differences(before: Recipe, now: Recipe) -> list[str]:
    """Return what changed from one recipe to the other, a clause for each part; empty if nothing.

    Args:
        before: The recipe of a result that is kept.
        now: The recipe that is asked for.
    """
    then, later = before.producer, now.producer
    changed = [name for name in sorted({*then, *later}) if then.get(name) != later.get(name)]
    if "model" in changed:
        changed = ["model"]  # all else is that model's
    clauses = [
        words + _values(then.get(name), later.get(name))
        for name, words in _WORDS.items()
        if name in changed
    ]
    if any(name in changed for name in _ENVIRONMENT):
        what = "lock" if "lock" in changed else "environment"
        clauses.append(f"the {what} changed{_versions(then, later)}")
    clauses += [
        f"{name} changed" for name in changed if name not in _WORDS and name not in _ENVIRONMENT
    ]
    for name in sorted({*before.inputs, *now.inputs}):
        if name not in now.inputs:
            clauses.append(f"the input {name} is no longer given")
        elif name not in before.inputs:
            clauses.append(f"the input {name} is given now")
        elif before.inputs[name] != now.inputs[name]:
            clauses.append(
                f"the input {name} changed{_values(before.inputs[name], now.inputs[name])}"
            )
    return clauses


def _values(one: Any, other: Any) -> str:
    """Return the two values where both are short, such as devices; digests tell nothing."""
    scalars = isinstance(one, (str, int, float)) and isinstance(other, (str, int, float))
    if scalars and max(len(str(one)), len(str(other))) < 40:
        return f" ({one}, now {other})"
    return ""


def _versions(then: Mapping[str, Any], later: Mapping[str, Any]) -> str:
    old, new = then.get("versions"), later.get("versions")
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return ""
    parts = [
        f"{name} {old.get(name, 'absent')}, now {new.get(name, 'absent')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return f" ({'; '.join(parts[:3])}{more})" if parts else ""
