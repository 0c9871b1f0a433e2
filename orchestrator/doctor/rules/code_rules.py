"""The rules about places in a model's code: layers `device`, `dtypes` and `api`.

No data flow is guessed: what is cast, for example, may never meet a weight.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from functools import partial

import msgspec

from orchestrator.core.units import counted
from orchestrator.doctor.rules.code import Code, dotted, names_in
from orchestrator.doctor.rules.dtype_tests import is_unreached
from orchestrator.doctor.rules.findings import Effect, Fact, Layer, Results, rule
from orchestrator.doctor.rules.places import OWN, CodeRule, Place, finding, places
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.rules.tables import RemovedApi, filled, is_removed

CUDA = "cuda"

HARMLESS = frozenset(
    {"is_available", "device_count", "empty_cache", "is_initialized", "manual_seed", "amp",
     "manual_seed_all", "is_bf16_supported", "memory_allocated", "max_memory_allocated",
     "memory_reserved", "max_memory_reserved", "reset_peak_memory_stats", "gc", "nvtx"}
)  # fmt: skip
"""Members of torch.cuda that do nothing, or say no, where there is no GPU."""

SKIPPED_ALONE = frozenset({"synchronize", "set_device", "ipc_collect"})
"""Members whose call can be left out where there is no GPU: what they return is not used."""

_KEYWORDS = frozenset({"device", "map_location", "device_map", "device_type"})


def _cuda_call(_code: Code, node: ast.AST) -> Place | None:
    if not isinstance(node, ast.Call) or _last(node) != CUDA or _is_torch_cuda(node):
        return None
    return Place(node, _link(node), f".to({OWN})") if _is_method(node) else None


def _cuda_device(_code: Code, node: ast.AST) -> Place | None:
    if not isinstance(node, ast.Call) or _last(node) == "autocast" or _is_torch_cuda(node):
        return None
    if dotted(node.func) == "torch.device" and node.args and _is_cuda(node.args[0]):
        return Place(node, ast.unparse(node), f"torch.device({OWN})")
    values = [each.value for each in node.keywords if each.arg in _KEYWORDS]
    if _last(node) == "to" and _is_method(node) and any(map(_is_cuda, (*node.args, *values))):
        return Place(node, _link(node), _link(_on_own_device(node)))
    if any(map(_is_cuda, values)):
        return Place(node, ast.unparse(node), ast.unparse(_on_own_device(node)))
    return None


def _cuda_autocast(_code: Code, node: ast.AST) -> Place | None:
    if not isinstance(node, ast.Call) or _last(node) != "autocast":
        return None
    values = {each.arg: each.value for each in node.keywords}
    enabled = values.get("enabled")
    if isinstance(enabled, ast.Constant) and enabled.value is False:
        return None  # it switches autocast off, which it is where there is no GPU
    kinds = [*node.args[:1], *(values[key] for key in ("device_type",) if key in values)]
    if dotted(node.func) == "torch.cuda.amp.autocast" or any(map(_is_cuda, kinds)):
        return Place(node, ast.unparse(node), 'torch.autocast("cpu", enabled=False)')
    return None


def _torch_cuda(_code: Code, node: ast.AST) -> Place | None:
    if not isinstance(node, ast.Call) or _last(node) == "autocast" or not _is_torch_cuda(node):
        return None
    member, text = dotted(node.func).split(".")[2], ast.unparse(node)
    if member in HARMLESS:
        return None
    new = f"torch.cuda.is_available() and {text}" if member in SKIPPED_ALONE else ""
    return Place(node, text, new)


def _last(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)


def _is_method(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute)


def _is_torch_cuda(node: ast.Call) -> bool:
    return dotted(node.func).startswith("torch.cuda.")


def _is_cuda(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value == CUDA or node.value.startswith("cuda:")
    if isinstance(node, ast.Call) and dotted(node.func) == "torch.device" and node.args:
        return _is_cuda(node.args[0])
    return False


def _link(node: ast.Call) -> str:
    """Return the last link of a chain: `.cuda(0)` of `x.y.cuda(0)`."""
    bare = copy.copy(node)
    bare.func = ast.Name(_last(node), ast.Load())
    return f".{ast.unparse(bare)}"


def _on_own_device(node: ast.Call) -> ast.Call:
    """Return the call with `OWN` in place of what names CUDA."""
    own = ast.parse(OWN, mode="eval").body
    made = copy.deepcopy(node)
    made.args = [own if _is_cuda(each) else each for each in made.args]
    for keyword in made.keywords:
        keyword.value = own if _is_cuda(keyword.value) else keyword.value
    return made


def _device_is_asked(code: Code, node: ast.AST, dtype: str) -> bool:
    # A function that is named for CUDA is called where there is CUDA.
    named = CUDA in code.function(node).rpartition(".")[2].lower()
    asked = named or code.guarded(node, code.asks_for_device)
    return asked or is_unreached(code, node, dtype)


def _device_rules(dtype: str) -> tuple[CodeRule, ...]:
    guarded = partial(_device_is_asked, dtype=dtype)
    _device_rule = partial(CodeRule, guarded=guarded, own="device")
    return (
        _device_rule(rule=rule("cuda-call"), match=_cuda_call),
        _device_rule(rule=rule("cuda-device"), match=_cuda_device),
        _device_rule(rule=rule("cuda-autocast"), match=_cuda_autocast, here_only=True),
        _device_rule(rule=rule("torch-cuda"), match=_torch_cuda),
    )


def check_devices(subject: Subject) -> Results:
    """Find the places that assume a CUDA GPU; on one, they are only counted."""
    total = behind = 0
    rules = _device_rules(subject.conditions.dtype)
    for code in subject.codes:
        for kind, found, guarded in places(code, *rules):
            total += len(found) + guarded
            behind += guarded
            if found and subject.conditions.device != CUDA:
                made = finding(kind, code, found, subject)
                if code.name not in subject.loaded:
                    made = msgspec.structs.replace(made, effect=Effect.RISK)
                yield made
    if total:
        names = f"{counted(total, 'place')} in the code name{'s' if total == 1 else ''} CUDA"
        asked = f", {behind} of them behind a test or a try" if behind else ""
        yield Fact(Layer.DEVICE, f"{names}{asked}")


# Dtypes

CASTS = {"half": "float16", "float16": "float16", "bfloat16": "bfloat16"}
"""torch's names of the dtypes below float32; a cast up to float32 is how numerics are kept safe."""

_DTYPE_NAME = re.compile(r"dtype|half|fp16|bf16|float16|amp", re.IGNORECASE)


def _cast(_code: Code, node: ast.AST) -> Place | None:
    """Match a cast to a fixed dtype below float32."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    name, values = node.func.attr, [*node.args, *(each.value for each in node.keywords)]
    dtype = ""
    if name in ("half", "bfloat16") and not values and dotted(node.func.value) != "torch":
        dtype = CASTS[name]
    elif name in ("to", "type") and len(values) == 1:
        package, _, last = dotted(values[0]).partition(".")
        dtype = CASTS.get(last, "") if package == "torch" else ""
    return Place(node, _link(node), f".to({OWN})", dtype) if dtype else None


def _dtype_is_asked(code: Code, node: ast.AST) -> bool:
    return code.guarded(node, lambda test: any(map(_DTYPE_NAME.search, names_in(test))))


def check_dtypes(subject: Subject) -> Results:
    """Find the casts to a fixed dtype that is not the one that the weights will have."""
    dtype = subject.conditions.dtype
    kind = CodeRule(rule=rule("cast"), match=_cast, guarded=_dtype_is_asked, own="dtype")
    for code in subject.codes:
        for _, found, _ in places(code, kind):
            other = [place for place in found if place.dtype != dtype]
            if same := len(found) - len(other):
                text = f"{code.name}: {counted(same, 'cast')} to {dtype}, as the weights are"
                yield Fact(Layer.DTYPES, text)
            if other:
                yield finding(kind, code, other, subject)


# Removed APIs


def _attribute_rule(api: RemovedApi) -> CodeRule:
    """Return the rule for the uses of an attribute that a package has removed."""
    receivers = re.compile(api.receivers)

    def match(code: Code, node: ast.AST) -> Place | None:
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
            return None
        receiver = ast.unparse(node.value) if node.attr == api.name else None
        if receiver is None or not receivers.search(receiver):
            return None
        above, through = next(code.file.above(node))
        call = above if isinstance(above, ast.Call) and through == "func" else None
        whole = ast.unparse(call or node)
        old = whole.removeprefix(receiver) if api.replacement.startswith(".") else whole
        arguments = tuple(ast.unparse(each) for each in call.args) if call else ()
        return Place(node, old, filled(api.replacement, receiver, arguments))

    def asks(test: ast.expr) -> bool:
        return any(word == api.name or "version" in word.lower() for word in names_in(test))

    why = api.why or f"{api.package} has taken {api.name} away."
    return CodeRule(
        rule=msgspec.structs.replace(rule("removed-api"), why=why),
        match=match,
        guarded=lambda code, node: code.guarded(node, asks),
        when={api.package: f">={api.since}"},
    )


def check_apis(subject: Subject) -> Results:
    """Find uses of attributes that the packages at hand have removed.

    Where the installed module still defines the name, the module is believed and not the table.
    What the other environments have removed is a fact, each release once.
    """
    own = {name for code in subject.codes for name in _defined(code)}
    for api in subject.table.removed:
        version = subject.conditions.versions.get(api.package, "")
        if not api.of or api.name in own:
            continue
        kind = _attribute_rule(api)
        used = [
            (code, found) for code in subject.codes for _, found, _ in places(code, kind) if found
        ]
        if not used:
            continue
        if is_removed(api, version) and not _defines(subject.module_text(api.module), api.name):
            for code, found in used:
                yield finding(kind, code, found, subject, api=api, version=version)
        else:
            there = " and there" if version else ""
            text = f"{api.name} is used{there}, and gone from {api.since} on"
            yield Fact(Layer.API, text)
        number = counted(sum(len(found) for _, found in used), "place")
        others = {each.versions.get(api.package, ""): each for each in subject.others}
        for other, packages in sorted(others.items()):
            if is_removed(api, other) and not _defines(packages.text(api.module), api.name):
                text = f"{api.of}.{api.name}, used at {number}, is gone in {api.package} {other}"
                yield Fact(Layer.API, f"{text} ({packages.label})")


def _defined(code: Code) -> Iterator[str]:
    """Yield the names that the model's own code defines: it may mean its own class."""
    for node in code.file.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _defines(text: str | None, name: str) -> bool:
    pattern = rf"^\s+(?:async )?def {name}\b|^\s+{name}\s*[:=]|self\.{name}\s*[:=]"
    return text is not None and re.search(pattern, text, re.MULTILINE) is not None
