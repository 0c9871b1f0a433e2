"""The rule about code that downloads while it is imported; jobs run with the hub offline."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from orchestrator.doctor.rules.code import Code, dotted
from orchestrator.doctor.rules.findings import Effect, Finding, listed, rule
from orchestrator.doctor.rules.subject import Subject

DOWNLOADS = frozenset(
    {"hf_hub_download", "snapshot_download", "cached_download", "urlretrieve", "urlopen",
     "load_state_dict_from_url", "download_url_to_file", "nltk.download", "gdown.download",
     "wget.download", "requests.get", "hub.load"}
)  # fmt: skip
"""Functions that fetch, by the last part of their names or, where that says little, by two."""


def check_downloads(subject: Subject) -> Iterator[Finding]:
    """Find what the model's code and its runner download when they are imported."""
    codes = [code for code in subject.codes if code.name in subject.loaded]
    for code in (*codes, *subject.runner_codes):
        calls = list(_calls_at_import(code))
        if calls:
            certain = not all(_is_conditional(code, call) for call in calls)
            yield rule("downloads").matched(
                *(code.evidence(call) for call in calls),
                effect=Effect.STOPS if certain else Effect.RISK,
                file=code.name,
                calls=listed(dict.fromkeys(dotted(call.func) for call in calls), 3),
            )


def _calls_at_import(code: Code) -> Iterator[ast.Call]:
    """Yield the calls at the module's level that fetch, and those of functions that do."""
    fetching = {
        code.function(node) for node in code.nodes if isinstance(node, ast.Call) and _fetches(node)
    }
    for node in code.nodes:
        if not isinstance(node, ast.Call) or code.function(node):
            continue
        tried = code.guarded(node, lambda _: False)
        if not tried and (_fetches(node) or dotted(node.func) in fetching - {""}):
            yield node


def _fetches(node: ast.Call) -> bool:
    parts = dotted(node.func).split(".")
    if parts[-1] == "from_pretrained":
        first = node.args[0] if node.args else None
        name = first.value if isinstance(first, ast.Constant) else ""
        return isinstance(name, str) and name[:1] not in ("", ".", "/")
    return parts[-1] in DOWNLOADS or ".".join(parts[-2:]) in DOWNLOADS


def _is_conditional(code: Code, node: ast.Call) -> bool:
    in_handler = any(isinstance(above, ast.ExceptHandler) for above, _ in code.file.above(node))
    return in_handler or code.guarded(node, lambda _: True)
