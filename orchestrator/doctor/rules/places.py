"""The walk over a model's code that every rule about it shares, and the finding of what it matches.

A rule says how a place is recognised and what a patch puts there. All places of one rule in one
file are one finding with one patch.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orchestrator.core.patching import Patch
from orchestrator.core.patching.patch_set import PythonEdit
from orchestrator.core.units import counted
from orchestrator.doctor.rules.code import Code
from orchestrator.doctor.rules.findings import Finding, Rule, listed
from orchestrator.doctor.rules.patches import fitted
from orchestrator.doctor.rules.subject import Subject

OWN = "{own}"
"""In what a patch puts at a place: the expression for the model's own device or dtype."""

LITERALS = {"device": '"{device}"', "dtype": "torch.{dtype}"}
"""What a patch takes for `OWN` where `self` is not at hand."""


class Place(NamedTuple):
    """A place that a rule matches.

    Attributes:
        node: The expression.
        old: What a patch looks for.
        new: What it puts there; empty where a person must look.
        dtype: The dtype that a cast names.
    """

    node: ast.expr
    old: str
    new: str
    dtype: str = ""


@dataclass(frozen=True, kw_only=True)
class CodeRule:
    """A kind of place in code.

    Attributes:
        rule: What is said of it.
        match: Returns the place that a node is, or None.
        guarded: Says whether a place is reached only where nothing is wrong with it.
        own: What of the model the patch takes: `device`, `dtype` or nothing.
        when: The conditions of the patch.
        here_only: Whether the patch is for the device of the check alone.
    """

    rule: Rule
    match: Callable[[Code, ast.AST], Place | None]
    guarded: Callable[[Code, ast.AST], bool]
    own: str = ""
    when: Mapping[str, str] = field(default_factory=dict)
    here_only: bool = False


def places(code: Code, *kinds: CodeRule) -> Iterator[tuple[CodeRule, list[Place], int]]:
    """Walk over a file; yield, for each kind, the places that it finds and how many are guarded.

    The first kind that matches a node has it. The arguments of a call belong to its own place.
    """
    found: list[list[Place]] = [[] for _ in kinds]
    guarded = [0] * len(kinds)
    inside: set[int] = set()
    for node in code.nodes:
        for number, kind in enumerate(kinds) if id(node) not in inside else ():
            if (place := kind.match(code, node)) is None:
                continue
            if isinstance(node, ast.Call):
                for part in (*node.args, *node.keywords):
                    inside |= {id(each) for each in ast.walk(part)}
            if kind.guarded(code, node):
                guarded[number] += 1
            else:
                found[number].append(place)
            break
    yield from zip(kinds, found, guarded, strict=True)


def finding(
    kind: CodeRule, code: Code, found: Sequence[Place], subject: Subject, **values: Any
) -> Finding:
    """Return the finding of all places of a kind in a file, with one patch for all of them."""
    number = len(found)
    own = {code.model_attribute(place.node, kind.own) for place in found if kind.own}
    in_all = " in all of them" if number > 1 else ""
    values |= {
        "file": code.name,
        "device": subject.conditions.device,
        "dtype": subject.conditions.dtype,
        "count": counted(number, "place"),
        "times": f"{number} times" if number > 1 else "once",
        "functions": listed(
            dict.fromkeys(code.function(each.node) or "the module's level" for each in found), 4
        ),
        "dtypes": listed(sorted({place.dtype for place in found})),
        "at_hand": f"self is not at hand{in_all}" if "" in own else "self is at hand",
    }
    patch = _patch(kind, code, found, own.pop() if len(own) == 1 else "", values, subject)
    replaced = patch.python.replace if patch is not None and patch.python is not None else {}
    values["pairs"] = listed((f"{old} by {new}" for old, new in replaced.items()), 3)
    evidence = sorted((code.evidence(each.node) for each in found), key=lambda each: each.line)
    return kind.rule.matched(*evidence, patch=patch, **values)


def _patch(
    kind: CodeRule,
    code: Code,
    found: Sequence[Place],
    own: str,
    values: Mapping[str, Any],
    subject: Subject,
) -> Patch | None:
    """Return the patch for all places, which takes `own` where all of them can have the same."""
    if not all(place.new for place in found):
        return None
    literal = LITERALS.get(kind.own, "").format(**values)
    pairs = {}
    for place in found:
        new = place.new.replace(OWN, own or literal)
        pairs[place.old] = own if own and new == f"torch.device({own})" else new
    when = dict(kind.when)
    if kind.here_only or (not own and any(OWN in place.new for place in found)):
        when[kind.own] = values[kind.own]
    edit = PythonEdit(replace=pairs)
    patch = Patch(id="draft", why=kind.rule.why, file=code.name, when=when, python=edit)
    return fitted(patch, code.data, subject.conditions)
