"""Whether a built environment is what was built: the reason why not, or nothing.

The quick look sees to what breaks in practice: a marker cut short, an interpreter that moved, a
file that is gone. The full one reads every file and compares its hash: environments share their
files with uv's cache, so a write in place corrupts them all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.backends.installed import (
    Installed,
    RecordedFile,
    difference,
    installed,
    record_digest,
    recorded_files,
)
from orchestrator.environments.store import MARKER, Marker, Store, python_of
from orchestrator.system.hashing import hash_file
from orchestrator.system.home import read_json
from orchestrator.system.processes import ProcessError, run

_QUESTION = "import json, sys, platform; print(json.dumps([platform.python_version(), sys.prefix]))"
_SHOWN = 5


def unhealthy(
    store: Store, path: Path, variables: Mapping[str, str], *, full: bool = False
) -> str | None:
    """Return why the environment at `path` cannot be trusted, or None.

    Args:
        store: Where it is kept.
        path: Its directory.
        variables: The variables for its interpreter, which is started once.
        full: Whether to read every file and compare its hash.
    """
    marker = store.marker(path)
    if marker is None:
        return _bad_marker(path)
    return _bad_interpreter(path, marker, variables) or damage(path, marker, full=full)


def damage(path: Path, marker: Marker, *, full: bool = False) -> str | None:
    """Return how the packages of the environment at `path` differ from what was built, or None.

    Args:
        path: Its directory.
        marker: What was built.
        full: Whether to read every file and compare its hash.
    """
    return difference(path, marker.packages) or _bad_files(path, marker, full=full)


def _bad_marker(path: Path) -> str:
    if not (path / MARKER).exists():
        return "it was never finished: it has no marker"
    value = read_json(path / MARKER)
    if isinstance(value, dict) and value.get("directory") not in (None, str(path)):
        return f"it was moved: it was built in {value['directory']}"
    return f"its marker {MARKER} is damaged"


def _bad_interpreter(path: Path, marker: Marker, variables: Mapping[str, str]) -> str | None:
    python = python_of(path)
    if not python.exists():
        target = python.readlink() if python.is_symlink() else python
        return f"its interpreter is gone: {target}"
    try:
        answer = run([str(python), "-I", "-c", _QUESTION], variables=variables)
        version, prefix = json.loads(answer.stdout)
    except ProcessError as error:
        return f"its interpreter does not run: {error.detail or error}"
    except (OSError, ValueError) as error:
        return f"its interpreter does not run: {error}"
    if version != marker.python_version:
        return f"its interpreter is Python {version} now and was {marker.python_version}"
    if not Path(prefix).exists() or not path.samefile(prefix):
        return f"its interpreter belongs to {prefix}"
    return None


def _bad_files(path: Path, marker: Marker, *, full: bool) -> str | None:
    problems: list[str] = []
    for name, package in sorted(installed(path).items()):
        if record_digest(package) != marker.records.get(name):
            problems.append(f"the list of files of {name} was changed")
        else:
            problems += _changed(name, package, full=full)
    if not problems:
        return None
    more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more


def _changed(name: str, package: Installed, *, full: bool) -> Iterator[str]:
    for recorded in recorded_files(package):
        # Bytecode may be written and removed by anyone.
        if recorded.path.suffix != ".pyc":
            problem = _problem(recorded, full=full)
            if problem is not None:
                yield f"{name}: {recorded.path} {problem}"


def _problem(recorded: RecordedFile, *, full: bool) -> str | None:
    try:
        size = recorded.path.stat().st_size
        if recorded.sha256 and recorded.size not in (None, size):
            return f"has {size} bytes and had {recorded.size}"
        if full and recorded.sha256 and file_hash(recorded.path) != recorded.sha256:
            return "was changed"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None


def file_hash(path: Path) -> str:
    """Return a file's SHA-256 as RECORD spells it: urlsafe base64 without padding."""
    digest = hash_file(path, hashlib.sha256()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
