"""What a condition on a dtype says where the model runs in a known one."""

from __future__ import annotations

import ast

from orchestrator.doctor.rules.code import Code, dotted, left_before, names_in

_DTYPES = {
    "float16": "float16", "half": "float16", "bfloat16": "bfloat16", "float32": "float32",
    "float": "float32", "float64": "float64", "double": "float64",
}  # fmt: skip
"""torch's names of the dtypes in which models run."""

_KEPT_SAFE = ("float32", "float64")
"""Tensors may have these whatever the model's dtype is: numerics are kept safe so."""


def is_unreached(code: Code, node: ast.AST, dtype: str) -> bool:
    """Say whether a place is reached only where the dtype is another."""
    child = node
    for above, field in code.file.above(node):
        if isinstance(above, ast.If | ast.IfExp) and field in ("body", "orelse"):
            said = _answer(above.test, dtype)
            if said is not None and said is (field == "orelse"):
                return True
        block = getattr(above, field)
        if isinstance(child, ast.stmt) and left_before(
            block, child, lambda test: _answer(test, dtype) is True, asserts=False
        ):
            return True
        child = above
    return False


def _answer(test: ast.expr, dtype: str) -> bool | None:
    """Return what a condition comes to in a dtype; None where that is not known."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        said = _answer(test.operand, dtype)
        return None if said is None else not said
    if isinstance(test, ast.BoolOp):
        answers = {_answer(each, dtype) for each in test.values}
        decisive = isinstance(test.op, ast.Or)
        if decisive in answers:
            return decisive
        return None if None in answers else not decisive
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    right = test.comparators[0]
    named = [_dtype(each) for each in getattr(right, "elts", [right])]
    if None in named or not any(name.endswith("dtype") for name in names_in(test.left)):
        return None
    if dtype not in named and not set(named).isdisjoint(_KEPT_SAFE):
        return None
    if isinstance(test.ops[0], ast.Eq | ast.Is | ast.In):
        return dtype in named
    if isinstance(test.ops[0], ast.NotEq | ast.IsNot | ast.NotIn):
        return dtype not in named
    return None


def _dtype(node: ast.expr) -> str | None:
    """Return the dtype that `torch.float16` or "float16" names."""
    text = node.value if isinstance(node, ast.Constant) else dotted(node)
    return _DTYPES.get(text.removeprefix("torch.")) if isinstance(text, str) else None
