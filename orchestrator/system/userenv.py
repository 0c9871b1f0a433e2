"""The one place that reads the user's environment variables.

Everything else takes a mapping, so that a child's environment is data, tests pass their own, and
nothing depends on the moment at which a variable was read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType


def snapshot() -> Mapping[str, str]:
    """Return the variables of this process as they are now, read-only."""
    return MappingProxyType(dict(os.environ))


@contextmanager
def during(variables: Mapping[str, str]) -> Iterator[None]:
    """Let a library that starts processes by itself start them with `variables` on top.

    The one exception to the rule that a child's environment is data: such a library takes no
    argument. Variables that the user has set stay as they are.
    """
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
