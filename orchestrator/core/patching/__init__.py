"""Guarded edits to a model's own code and configuration, as pure functions of text."""

from orchestrator.core.patching.conditions import Conditions, unmet
from orchestrator.core.patching.patch_set import FileHashes, Patch, PatchSet
from orchestrator.core.patching.patcher import (
    Drift,
    Patched,
    PatchOutcome,
    State,
    active,
    apply,
    drift,
    unproved,
)
from orchestrator.core.patching.reader import read_patch_set

__all__ = [
    "Conditions",
    "Drift",
    "FileHashes",
    "Patch",
    "PatchOutcome",
    "PatchSet",
    "Patched",
    "State",
    "active",
    "apply",
    "drift",
    "read_patch_set",
    "unmet",
    "unproved",
]
