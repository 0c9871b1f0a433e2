"""Whether patched files compile in the interpreter that will import them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import processes
from orchestrator.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECK = """\
import sys, warnings
warnings.simplefilter("ignore")
root, names = sys.argv[1], sys.argv[2:]
for number, name in enumerate(names):
    with open(f"{root}/{number}", "rb") as stream:
        compile(stream.read(), name, "exec", dont_inherit=True)
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
