"""What activating an environment does to a command's variables, as a pure function."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MISLEADING = frozenset(
    {"PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "CONDA_PREFIX"}
)


def activated(variables: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return the user's `variables` with the environment in `directory` activated.

    What would lead its interpreter to other packages is taken out.
    """
    kept = {name: value for name, value in variables.items() if name not in _MISLEADING}
    path = variables.get("PATH", os.defpath)
    return {
        **kept,
        "VIRTUAL_ENV": str(directory),
        "PATH": os.pathsep.join((str(directory / "bin"), path)),
        "PYTHONNOUSERSITE": "1",
    }
