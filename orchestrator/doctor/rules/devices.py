"""Layer 3: places that assume a CUDA GPU, found by syntax tree, outside guards that ask for one."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    from collections.abc import Callable, Collection, Iterable, Iterator

    from orchestrator.core.patching import Conditions, Patch

CUDA = "cuda"

DEVICES = (CUDA, "gpu", "cpu", "mps", "parallel")
"""Parts of the names in tests that ask which devices there are."""

HARMLESS = frozenset(
    {"is_available", "device_count", "empty_cache", "is_initialized", "manual_seed", "amp",
     "manual_seed_all", "is_bf16_supported", "memory_allocated", "max_memory_allocated",
     "memory_reserved", "max_memory_reserved", "reset_peak_memory_stats", "gc", "nvtx"}
)  # fmt: skip
"""Members of torch.cuda that do nothing, or say no, where there is no GPU."""

SKIPPED_ALONE = frozenset({"synchronize", "set_device", "ipc_collect"})
"""Members whose call can be left out where there is no GPU: nobody uses what they return."""

_KEYWORDS = frozenset({"device", "map_location", "device_map", "device_type"})


@dataclass(frozen=True)
class Use:
    """One place that assumes CUDA.

    Attributes:
        kind: `call` (`.cuda()`), `device`, `autocast`, or `torch.cuda`.
        node: The call.
        old: What a patch would look for.
        new: What it would put there, with `{device}` for the expression of the device; empty where
            a person must look.
    """

    kind: str
    node: ast.Call
    old: str
    new: str


_SAID = {
    "call": "calls .cuda()",
    "device": 'names the device "cuda"',
    "autocast": "asks for CUDA's autocast",
    "torch.cuda": "calls torch.cuda",
}
_ENDS = {
    "call": "torch raises where it was built without CUDA or finds no GPU",
    "device": "torch raises where it was built without CUDA or finds no GPU",
    "autocast": "torch warns and computes without autocast, so in other dtypes than on a GPU",
    "torch.cuda": "torch raises where it finds no GPU",
}


def look(codes: Iterable[Code], conditions: Conditions) -> Looked:
    """Find the places that assume a CUDA GPU; on one, they are only counted."""
    looked = Looked()
    total = guarded = 0
    for code in codes:
        every = list(uses(code))
        asks = _asking(code)
        open_ones = [
            use
            for use in every
            # What is named for CUDA is called where there is CUDA.
            if not code.guarded(use.node, asks)
            and CUDA not in code.function(use.node).rpartition(".")[2].lower()
        ]
        total += len(every)
        guarded += len(every) - len(open_ones)
        if conditions.device == CUDA:
            continue
        for kind in _SAID:
            many = [use for use in open_ones if use.kind == kind]
            if many:
                looked.findings.append(_finding(code, kind, many, conditions))
    if total:
        asked = f", {guarded} of them behind a test or a try" if guarded else ""
        said = f"{counted(total)} in the code name{'s' if total == 1 else ''} CUDA{asked}"
        looked.facts.append(Fact(Layer.DEVICE, said))
    return looked


def uses(code: Code) -> Iterator[Use]:
    """Yield every place that names CUDA, guarded or not."""
    done: set[int] = set()
    for node in code.nodes:
        if isinstance(node, ast.Call) and id(node) not in done:
            use = _use(node)
            if use is not None:
                done |= {id(each) for each in _below(node)}
                yield use


def _below(node: ast.Call) -> Iterator[ast.AST]:
    # The receiver of a chain has uses of its own; arguments belong to the place.
    for part in (*node.args, *node.keywords):
        yield from ast.walk(part)


def _use(node: ast.Call) -> Use | None:
    name = dotted(node.func)
    last = node.func.attr if isinstance(node.func, ast.Attribute) else name
    if last == "autocast":
        first = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "device_type")]
        if any(k.arg == "enabled" and _is_false(k.value) for k in node.keywords):
            return None  # it switches autocast off, which it is where there is no GPU
        if name == "torch.cuda.amp.autocast" or any(_is_cuda(each) for each in first):
            return Use("autocast", node, ast.unparse(node), 'torch.autocast("cpu", enabled=False)')
        return None
    if name.startswith("torch.cuda."):
        member = name.split(".")[2]
        if member in HARMLESS:
            return None
        text = ast.unparse(node)
        new = f"torch.cuda.is_available() and {text}" if member in SKIPPED_ALONE else ""
        return Use("torch.cuda", node, text, new)
    if last == CUDA and isinstance(node.func, ast.Attribute):
        return Use("call", node, f".{_link(node)}", ".to({device})")
    if name == "torch.device" and node.args and _is_cuda(node.args[0]):
        return Use("device", node, ast.unparse(node), "torch.device({device})")
    if last == "to" and isinstance(node.func, ast.Attribute) and _named(node):
        return Use("device", node, f".{_link(node)}", f".{_link(_without(node))}")
    if _named(node, keywords_only=True):
        return Use("device", node, ast.unparse(node), ast.unparse(_without(node)))
    return None


def _link(node: ast.Call) -> str:
    """Return the last link of a chain: `cuda(0)` of `x.y.cuda(0)`."""
    bare = copy.copy(node)
    assert isinstance(node.func, ast.Attribute)
    bare.func = ast.Name(node.func.attr, ast.Load())
    return ast.unparse(bare)


def _named(node: ast.Call, *, keywords_only: bool = False) -> bool:
    keywords = (each.value for each in node.keywords if each.arg in _KEYWORDS)
    return any(_is_cuda(each) for each in (*(() if keywords_only else node.args), *keywords))


def _without(node: ast.Call) -> ast.Call:
    """Return the call with `{device}` in place of what names CUDA."""
    made = copy.deepcopy(node)
    made.args = [_replaced(each) for each in made.args]
    for keyword in made.keywords:
        keyword.value = _replaced(keyword.value)
    return made


def _replaced(node: ast.expr) -> ast.expr:
    return ast.Set([ast.Name("device", ast.Load())]) if _is_cuda(node) else node


def _is_false(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _is_cuda(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value == CUDA or node.value.startswith("cuda:")
    if isinstance(node, ast.Call) and dotted(node.func) == "torch.device" and node.args:
        return _is_cuda(node.args[0])
    return False


def _asking(code: Code) -> Callable[[ast.expr], bool]:
    """Return what says of a test whether it asks for CUDA, also through a name of such a value."""
    flags = {
        target.id
        for node in code.file.nodes
        if isinstance(node, ast.Assign) and _mentions(node.value, frozenset())
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    flags |= _optional(code)
    return lambda test: _mentions(test, flags)


def _optional(code: Code) -> set[str]:
    """Return the names that are imported in one case and None in the other: optional kernels."""
    imported = {
        alias.asname or alias.name
        for node in code.file.nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    none = {
        each.id
        for node in code.file.nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        for each in ast.walk(target)
        if isinstance(each, ast.Name) and "None" in ast.unparse(node.value)
    }
    return imported & none


def _mentions(node: ast.expr, flags: Collection[str]) -> bool:
    return any(
        name in flags or any(device in name.lower() for device in DEVICES)
        for name in names_in(node)
    )


def _finding(code: Code, kind: str, many: list[Use], conditions: Conditions) -> Finding:
    functions = dict.fromkeys(code.function(use.node) or "the module's level" for use in many)
    reach = {reached(code, use.node, "device") for use in many}
    if "" in reach:
        here = "self is not at hand in all of them" if len(many) > 1 else "self is not at hand"
    else:
        here = "self is at hand"
    patch = _patch(code, kind, many, reach, conditions)
    times = f"{len(many)} times" if len(many) > 1 else "once"
    return Finding(
        Layer.DEVICE,
        draft_id("device", kind, code.name),
        Effect.RISK if kind == "autocast" else Effect.STOPS,
        f"{code.name} {_SAID[kind]} {times}, in {listed(functions, 4)}; {here}",
        f"{_ENDS[kind]}, and the model is to run on {conditions.device}",
        _remedy(patch, len(many)),
        tuple(sorted((code.evidence(use.node) for use in many), key=lambda each: each.line)),
        patch,
    )


def _remedy(patch: Patch | None, count: int) -> str:
    if patch is None:
        return "edit it by hand: take the device from the model or from an input"
    edit = patch.python
    assert edit is not None
    pairs = listed((f"{old} by {new}" for old, new in edit.replace.items()), 3)
    return f"a patch that replaces {pairs} ({counted(count)})"


def _patch(
    code: Code, kind: str, many: list[Use], reach: set[str], conditions: Conditions
) -> Patch | None:
    """Return the patch for all places of a kind in a file, where all of them can have the same."""
    if not all(use.new for use in many):
        return None
    where = reach.pop() if len(reach) == 1 else ""
    when = {} if where else {"device": conditions.device}
    device = where or f'"{conditions.device}"'
    pairs = {}
    for use in many:
        old, new = use.old, use.new.replace("{device}", device)
        if use.kind == "device" and new.startswith("torch.device(") and where:
            new = device
        pairs[old] = new
    if kind == "torch.cuda":
        when = {}
    if kind == "autocast":
        when = {"device": conditions.device}
    why = {
        "call": "The author assumed a GPU; everything goes where the model is.",
        "device": "The author assumed a GPU; everything is made where the model is.",
        "autocast": "CUDA's autocast has no meaning here; the weights have their dtype already.",
        "torch.cuda": "There may be no GPU to ask.",
    }[kind]
    return replacing(code, draft_id("device", kind, code.name), why, pairs, conditions, when)
