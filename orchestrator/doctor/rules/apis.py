"""Layer 2: attributes that a package's classes have given up, by the doctor's table."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from orchestrator.doctor.rules.code import Code, names_in
from orchestrator.doctor.rules.drafts import draft_id, replacing
from orchestrator.doctor.rules.records import Effect, Fact, Finding, Layer, Looked, counted
from orchestrator.doctor.rules.tables import Gone, filled, is_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orchestrator.core.patching import Conditions, Patch


def look(
    codes: Sequence[Code],
    table: Iterable[Gone],
    conditions: Conditions,
    text_of: Callable[[str], str | None],
) -> Looked:
    """Find uses of attributes that the versions at hand have no more.

    Args:
        codes: The model's code.
        table: What is known to have gone.
        conditions: The versions.
        text_of: Returns the text of an installed module, None where it cannot be read; where it
            still defines the name, the table is wrong and the module right.
    """
    looked = Looked()
    own = {name for code in codes for name in _defined(code)}
    coming: dict[str, str] = {}
    for gone in table:
        version = conditions.versions.get(gone.package)
        if not gone.of or version is None or gone.name in own:
            continue
        used = [(code, uses) for code in codes if (uses := list(_uses(code, gone)))]
        if not used:
            continue
        if not is_gone(gone, version) or _defines(text_of(gone.module), gone.name):
            coming[gone.name] = gone.gone
            continue
        looked.findings += [_finding(code, uses, gone, version, conditions) for code, uses in used]
    for name, version in coming.items():
        looked.facts.append(
            Fact(Layer.API, f"{name} is used and there, and gone from {version} on")
        )
    return looked


def _uses(code: Code, gone: Gone) -> Iterable[ast.Attribute]:
    wanted = re.compile(gone.receivers)

    def asks(test: ast.expr) -> bool:
        words = set(names_in(test))
        return gone.name in words or any("version" in word.lower() for word in words)

    return [
        node
        for node in code.nodes
        if isinstance(node, ast.Attribute)
        and node.attr == gone.name
        and isinstance(node.ctx, ast.Load)
        and wanted.search(ast.unparse(node.value))
        and not code.guarded(node, asks)
    ]


def _defined(code: Code) -> Iterable[str]:
    """Yield the names that the model's own code defines: it may mean its own class."""
    for node in code.file.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _defines(text: str | None, name: str) -> bool:
    pattern = rf"^\s+(?:async )?def {name}\b|^\s+{name}\s*[:=]|self\.{name}\s*[:=]"
    return text is not None and re.search(pattern, text, re.MULTILINE) is not None


def _finding(
    code: Code, uses: Iterable[ast.Attribute], gone: Gone, version: str, conditions: Conditions
) -> Finding:
    uses = list(uses)
    patch = _patch(code, uses, gone, conditions)
    how = f"use {gone.instead}"
    if patch is not None:
        how = f"a patch that uses {gone.instead} ({counted(len(uses))})"
    remedy = f"{how}, or pin {gone.package}<{gone.gone}"
    return Finding(
        Layer.API,
        draft_id("gone", gone.name, code.name),
        Effect.STOPS,
        f"{code.name} uses {gone.of}.{gone.name}, which {gone.package} has no more "
        f"from {gone.gone} on, and here it is {version}",
        f"AttributeError: '{gone.of}' object has no attribute '{gone.name}', when it is reached",
        remedy,
        tuple(code.evidence(node) for node in uses),
        patch,
    )


def _patch(
    code: Code, uses: list[ast.Attribute], gone: Gone, conditions: Conditions
) -> Patch | None:
    if not gone.replacement:
        return None
    pairs = {}
    for node in uses:
        above, through = next(code.file.above(node))
        call = above if isinstance(above, ast.Call) and through == "func" else None
        arguments = tuple(ast.unparse(each) for each in call.args) if call else ()
        whole = ast.unparse(call or node)
        receiver = ast.unparse(node.value)
        new = filled(gone.replacement, receiver, arguments)
        old = whole.removeprefix(receiver) if gone.replacement.startswith(".") else whole
        pairs[old] = new
    why = gone.why or f"{gone.package} has taken {gone.name} away."
    when = {gone.package: f">={gone.gone}"}
    return replacing(code, draft_id("gone", gone.name, code.name), why, pairs, conditions, when)
