"""How an environment is built: `uv` by default, or `virtualenv`."""

from orchestrator.backends.base import Backend, Request, Tooling
from orchestrator.backends.uv import UvBackend
from orchestrator.backends.virtualenv import VirtualenvBackend
from orchestrator.errors import UsageError

BACKENDS: dict[str, Backend] = {"uv": UvBackend(), "virtualenv": VirtualenvBackend()}
"""Every backend by the name that `--backend` takes."""


def backend_named(name: str) -> Backend:
    """Return the backend `name`.

    Raises:
        UsageError: When there is none of that name.
    """
    if name not in BACKENDS:
        raise UsageError(f"there is no backend {name!r}", fix=f"use one of: {', '.join(BACKENDS)}")
    return BACKENDS[name]


__all__ = ["BACKENDS", "Backend", "Request", "Tooling", "backend_named"]
