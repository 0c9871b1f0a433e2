"""Where a place in a model's code finds the device and the dtype that the model has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast

    from orchestrator.doctor.rules.code import Code

_PRETRAINED = re.compile(r"PreTrainedModel$|For[A-Z]\w+$|Model$")
_MODULE = re.compile(r"Module$|ModuleList$|Sequential$")


def reached(code: Code, node: ast.AST, what: str) -> str:
    """Return the expression that says the model's `device` or `dtype` at `node`, or nothing.

    In a method of a transformers model that is an attribute, in one of any other torch module the
    attribute of its first parameter; where there is no `self`, nobody knows.
    """
    owner = code.owner(node)
    if owner is None or not code.file.has_self(node):
        return ""
    bases = code.bases(owner)
    local = set(code.classes)
    if any(_PRETRAINED.search(base) for base in bases - local):
        return f"self.{what}"
    if any(_MODULE.search(base) for base in bases):
        return f"next(self.parameters()).{what}"
    return ""
