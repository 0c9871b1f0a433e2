"""Layer 6: casts to a fixed dtype, listed beside the dtype that the weights will have.

No data flow is guessed: what is cast may never meet a weight.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.doctor.rules.code import Code, dotted, names_in
from orchestrator.doctor.rules.drafts import draft_id, replacing
from orchestrator.doctor.rules.places import reached
from orchestrator.doctor.rules.records import (
    Effect,
    Fact,
    Finding,
    Layer,
    Looked,
    counted,
    listed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.core.patching import Conditions

NAMES = {
    "half": "float16", "float16": "float16", "bfloat16": "bfloat16",
}  # fmt: skip
"""torch's names of the dtypes below float32; a cast up to float32 is how numerics are kept safe."""

_GUARD = re.compile(r"dtype|half|fp16|bf16|float16|amp", re.IGNORECASE)


class Cast(NamedTuple):
    """One cast: the call, the dtype, and the last links as a patch looks for them."""

    node: ast.Call
    dtype: str
    old: str


def look(codes: Iterable[Code], conditions: Conditions) -> Looked:
    """List the casts whose dtype is not the one that the weights will have."""
    looked = Looked()
    for code in codes:
        every = [cast for cast in casts(code) if not code.guarded(cast.node, _asks)]
        same = [cast for cast in every if cast.dtype == conditions.dtype]
        if same:
            count = f"{len(same)} cast{'s' if len(same) > 1 else ''}"
            text = f"{code.name}: {count} to {conditions.dtype}, as the weights are"
            looked.facts.append(Fact(Layer.DTYPES, text))
        other = [cast for cast in every if cast.dtype != conditions.dtype]
        if other:
            looked.findings.append(_finding(code, other, conditions))
    return looked


def casts(code: Code) -> Iterator[Cast]:
    """Yield the casts to a fixed dtype below float32."""
    for node in code.nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name = node.func.attr
        if name in ("half", "bfloat16") and not node.args and not node.keywords:
            if dotted(node.func.value) != "torch":
                yield Cast(node, NAMES[name], f".{name}()")
        elif name in ("to", "type") and len(node.args) + len(node.keywords) == 1:
            value = node.args[0] if node.args else node.keywords[0].value
            chain = dotted(value)
            dtype = NAMES.get(chain.removeprefix("torch.")) if chain.startswith("torch.") else None
            if dtype is not None:
                inside = ast.unparse(node).rpartition(f".{name}(")[2]
                yield Cast(node, dtype, f".{name}({inside}")


def _asks(test: ast.expr) -> bool:
    return any(_GUARD.search(name) for name in names_in(test))


def _finding(code: Code, many: list[Cast], conditions: Conditions) -> Finding:
    functions = dict.fromkeys(code.function(cast.node) or "the module's level" for cast in many)
    dtypes = listed(sorted({cast.dtype for cast in many}))
    reach = {reached(code, cast.node, "dtype") for cast in many}
    where = reach.pop() if len(reach) == 1 else ""
    patch = replacing(
        code,
        draft_id("dtype", code.name),
        "The weights need not have the dtype that the author had; what meets them takes theirs.",
        {cast.old: f".to({where or f'torch.{conditions.dtype}'})" for cast in many},
        conditions,
        {} if where else {"dtype": conditions.dtype},
    )
    remedy = "cast to the dtype of the layer's own weights, by hand"
    if patch is not None and patch.python is not None:
        pairs = listed((f"{old} by {new}" for old, new in patch.python.replace.items()), 3)
        remedy = f"a patch that replaces {pairs} ({counted(len(many))})"
    return Finding(
        Layer.DTYPES,
        draft_id("dtype", code.name),
        Effect.RISK,
        f"{code.name} casts to {dtypes} in {listed(functions, 4)}, "
        f"and the weights will be {conditions.dtype}",
        "where what was cast meets a weight, torch raises: input and weight must have one dtype",
        remedy,
        tuple(sorted((code.evidence(cast.node) for cast in many), key=lambda each: each.line)),
        patch,
    )
