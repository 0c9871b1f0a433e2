"""Work that an interrupt (KeyboardInterrupt) must not leave half done."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def to_the_end(step: Callable[[], object]) -> None:
    """Do `step`, again if an interrupt breaks it off; the interrupt is raised afterwards."""
    try:
        step()
    except KeyboardInterrupt:
        while True:
            with suppress(KeyboardInterrupt):
                step()
                break
        raise
