"""What is asked of a model's own interpreter: whether patched files compile, what is installed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import SourceError, UsageError
from orchestrator.system import processes

CHECK = """\
import sys, warnings
warnings.simplefilter("ignore")
root, names = sys.argv[1], sys.argv[2:]
for number, name in enumerate(names):
    with open(f"{root}/{number}", "rb") as stream:
        compile(stream.read(), name, "exec", dont_inherit=True)
"""

VERSIONS = """\
import importlib.metadata, json
print(json.dumps({d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}))
"""


def check_compiles(python: Path, files: Mapping[str, bytes], model: str) -> None:
    """Compile each of `files`, contents by name, in the interpreter `python`.

    Raises:
        SourceError: With what that interpreter says of the first that does not compile.
    """
    if not files:
        return
    with tempfile.TemporaryDirectory(prefix="mm-compile-") as scratch:
        for number, data in enumerate(files.values()):
            Path(scratch, str(number)).write_bytes(data)
        command = [str(python), "-I", "-X", "utf8", "-c", CHECK, scratch, *files]
        try:
            processes.run(command, variables={}, timeout=120)
        except processes.ProcessError as error:
            raise SourceError(
                f"a patched file of {model} does not compile in the model's own Python",
                where=str(python),
                fix=f"run: mm patch diff {model}",
                detail=error.stderr,
            ) from error


def installed_versions(python: str) -> dict[str, str]:
    """Return the version of each package that an interpreter imports, by normalised name.

    Raises:
        UsageError: When `python` is no Python that runs.
    """
    from packaging.utils import canonicalize_name

    try:
        said = processes.run([python, "-I", "-c", VERSIONS], variables={}, timeout=60).stdout
        found: dict[str, str] = json.loads(said)
    except (processes.ProcessError, OSError, ValueError) as error:
        raise UsageError(f"{python!r} is no Python that runs", detail=str(error)) from error
    return {canonicalize_name(name): version for name, version in found.items() if name}
