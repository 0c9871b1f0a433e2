"""The one place that reads the user's environment variables.

Everything else takes a mapping, so that a child's environment is data, tests pass their own, and
nothing depends on the moment at which a variable was read.
"""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def snapshot() -> Mapping[str, str]:
    """Return the variables of this process as they are now, read-only."""
    return MappingProxyType(dict(os.environ))
