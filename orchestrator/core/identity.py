"""What makes an environment the one that it is: its packages, its interpreter, its platform.

Two models with equal resolutions on one interpreter share an environment, whatever their names; a
changed hash, a patch release of Python or another C library makes another environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.core.lockfile import Pin


class Interpreter(msgspec.Struct, frozen=True):
    """An interpreter that environments can be built on, as it described itself.

    Attributes:
        path: The executable, links resolved.
        implementation: `cpython`, `pypy`, …
        version: The full version, as in `3.11.7`.
        tag: The most specific wheel tag it takes, as in `cp311-cp311-manylinux_2_36_x86_64`.
        platform: The manifest's name of the platform.
        markers: The values of the environment markers.
        origin: Where it was found, for people: `PATH`, `pyenv`, `uv`, …
    """

    path: str
    implementation: str
    version: str
    tag: str
    platform: str
    markers: Mapping[str, str]
    origin: str = ""


def environment_digest(
    pins: Iterable[Pin], interpreter: Interpreter, *, build_lock: str = ""
) -> str:
    """Return the digest of an environment.

    Args:
        pins: The pins that apply to `interpreter`.
        interpreter: The base interpreter.
        build_lock: The digest of the locked build requirements; empty where nothing is built.
    """
    return digest(
        {
            "format": 1,
            "packages": [
                [pin.name, pin.version, list(pin.hashes)]
                for pin in sorted(pins, key=lambda pin: pin.name)
            ],
            "python": [interpreter.implementation, interpreter.version],
            "tag": interpreter.tag,
            "build": build_lock,
        }
    )
