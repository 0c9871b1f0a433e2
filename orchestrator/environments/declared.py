"""What environments need to know of a model; `orchestrator.catalog.Declared` is one of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.core.manifest import Manifest


class Declared(Protocol):
    """A model as a manifest directory declares it."""

    @property
    def manifest(self) -> Manifest:
        """The model's manifest."""

    @property
    def lock(self) -> Path:
        """`envs/<env>/requirements.lock`; it may be missing."""

    @property
    def env_directory(self) -> Path:
        """`envs/<env>`."""
