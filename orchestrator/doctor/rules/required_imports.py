"""Which packages transformers refuses to do without, as its own check reads a file before a load.

`transformers.dynamic_module_utils.check_imports` reads the files that `auto_map` names, functions
included. Older releases search the text with patterns; later ones walk the syntax tree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from orchestrator.doctor.rules.code import Code
from orchestrator.doctor.rules.packages import Answer, Packages

CHECKER = "transformers.dynamic_module_utils"

_TRY = re.compile(r"\btry\s*:.*?except.*?:", re.DOTALL)
_FLASH = re.compile(r"if is_flash_attn[a-zA-Z0-9_]+available\(\):\s*(?:from flash_attn\s*.*\s*)+")
_IMPORTS = re.compile(
    r"^[ \t]*import[ \t]+(\S+)[ \t]*$|^[ \t]*from[ \t]+(\S+)[ \t]+import", re.MULTILINE
)


def required_modules(code: Code, packages: Packages) -> set[str]:
    """Return the top-level modules that the transformers of an environment wants for a file."""
    if not packages.transformers:
        return set()
    checker = packages.text(CHECKER) or ""
    if "ast.parse" in checker:
        return set(_in_tree(code.file.tree, packages, asks_all="hasattr(" in checker))
    text = _TRY.sub("", code.file.source.text)
    if "is_flash_attn" in checker:
        text = _FLASH.sub("", text)
    found = (match[1] or match[2] for match in _IMPORTS.finditer(text))
    return {name.partition(".")[0] for name in found if not name.startswith(".")}


def _in_tree(node: ast.AST, packages: Packages, *, asks_all: bool) -> Iterator[str]:
    """Yield the modules that are imported outside `try` and outside transformers' own tests."""
    if isinstance(node, ast.Try):
        return
    if isinstance(node, ast.If) and any(
        _passed_over(each.func.id, packages, asks_all=asks_all)
        for each in ast.walk(node.test)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
    ):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module.partition(".")[0]
    for child in ast.iter_child_nodes(node):
        yield from _in_tree(child, packages, asks_all=asks_all)


def _passed_over(function: str, packages: Packages, *, asks_all: bool) -> bool:
    if function.startswith("is_flash_attn") and function.endswith("available"):
        return True
    # Releases from 4.52 on know every test of their own.
    return asks_all and packages.find("transformers.utils.import_utils", function) is Answer.OFFERED
