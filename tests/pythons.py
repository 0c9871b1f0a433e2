"""The interpreters of this machine on which a worker must run: one for each minor version."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

OLDEST, NEWEST = (3, 9), (3, 13)
NEEDED = 3
"""Fewer than these would prove too little."""

SAY = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"


@cache
def pythons():
    """Return the paths of interpreters by minor version, as in `{"3.11": Path(...)}`."""
    found = {}
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        version = f"3.{minor}"
        for candidate in _candidates(version):
            if _is(candidate, version):
                found[version] = candidate
                break
    if len(found) < NEEDED:
        raise RuntimeError(
            f"the worker's tests need {NEEDED} of Python 3.9 to 3.13 and found {sorted(found)}; "
            "run: uv python install 3.9 3.11 3.13"
        )
    return found


def _candidates(version):
    yield from sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    if on_path := shutil.which(f"python{version}"):
        yield Path(on_path)
    uv = shutil.which("uv")
    if uv is None:
        from uv import find_uv_bin

        uv = find_uv_bin()
    command = [uv, "python", "find", "--offline", "--no-project", version]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode == 0:
        yield Path(completed.stdout.strip())


def _is(path, version):
    try:
        completed = subprocess.run(
            [str(path), "-I", "-c", SAY], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return completed.stdout.strip() == f"{version} cpython"
