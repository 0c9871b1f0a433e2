"""The command `mm`: the only package that imports click, prints, or exits.

Commands live one module each and are imported when they are asked for, because every command pays
for what is imported at the top.
"""

import sys

from orchestrator.errors import WINDOWS

if sys.platform == "win32":  # before what Windows has no modules for
    sys.stderr.write(f"mm: {WINDOWS}\n")
    sys.exit(2)

try:
    from orchestrator.cli.main import main
except KeyboardInterrupt:  # Ctrl-C while the modules are still read
    sys.stderr.write("mm: interrupted\n")
    sys.exit(130)

__all__ = ["main"]
