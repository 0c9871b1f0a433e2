"""The command `mm`: the only package that imports click, prints, or exits.

Commands live one module each and are imported when they are asked for, because every command pays
for what is imported at the top.
"""

from orchestrator.cli.main import main

__all__ = ["main"]
