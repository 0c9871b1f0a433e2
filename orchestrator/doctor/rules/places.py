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
from orchestrator.doctor.rules.code import Code
from orchestrator.doctor.rules.findings import Finding, Rule, counted, listed
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
class CodeRule(Rule):
    """A kind of place in code.

    Attributes:
        match: Returns the place that a node is, or None.
        guarded: Says whether a place is reached only where nothing is wrong with it.
        own: What of the model the patch takes: `device`, `dtype` or nothing.
        when: The conditions of the patch.
        here_only: Whether the patch is for the device of the check alone.
    """

    match: Callable[[Code, ast.AST], Place | None]
    guarded: Callable[[Code, ast.AST], bool]
    own: str = ""
    when: Mapping[str, str] = field(default_factory=dict)
    here_only: bool = False
    patched: str = "a patch that replaces {pairs} ({count})"


def places(code: Code, *rules: CodeRule) -> Iterator[tuple[CodeRule, list[Place], int]]:
    """Walk over a file; yield, for each rule, the places that it finds and how many are guarded.

    The first rule that matches a node has it. The arguments of a call belong to its own place.
    """
    found: dict[str, list[Place]] = {rule.id: [] for rule in rules}
    guarded = dict.fromkeys(found, 0)
    inside: set[int] = set()
    for node in code.nodes:
        for rule in rules if id(node) not in inside else ():
            if (place := rule.match(code, node)) is None:
                continue
            if isinstance(node, ast.Call):
                for part in (*node.args, *node.keywords):
                    inside |= {id(each) for each in ast.walk(part)}
            if rule.guarded(code, node):
                guarded[rule.id] += 1
            else:
                found[rule.id].append(place)
            break
    for rule in rules:
        yield rule, found[rule.id], guarded[rule.id]


def finding(
    rule: CodeRule, code: Code, found: Sequence[Place], subject: Subject, **values: Any
) -> Finding:
    """Return the finding of all places of a rule in a file, with one patch for all of them."""
    number = len(found)
    own = {code.model_attribute(place.node, rule.own) for place in found if rule.own}
    in_all = " in all of them" if number > 1 else ""
    values |= {
        "file": code.name,
        "device": subject.conditions.device,
        "dtype": subject.conditions.dtype,
        "count": counted(number),
        "times": f"{number} times" if number > 1 else "once",
        "functions": listed(
            dict.fromkeys(code.function(each.node) or "the module's level" for each in found), 4
        ),
        "dtypes": listed(sorted({place.dtype for place in found})),
        "at_hand": f"self is not at hand{in_all}" if "" in own else "self is at hand",
    }
    patch = _patch(rule, code, found, own.pop() if len(own) == 1 else "", values, subject)
    replaced = patch.python.replace if patch is not None and patch.python is not None else {}
    values["pairs"] = listed((f"{old} by {new}" for old, new in replaced.items()), 3)
    evidence = sorted((code.evidence(each.node) for each in found), key=lambda each: each.line)
    return rule.matched(*evidence, patch=patch, **values)


def _patch(
    rule: CodeRule,
    code: Code,
    found: Sequence[Place],
    own: str,
    values: Mapping[str, Any],
    subject: Subject,
) -> Patch | None:
    """Return the patch for all places, which takes `own` where all of them can have the same."""
    if not all(place.new for place in found):
        return None
    literal = LITERALS.get(rule.own, "").format(**values)
    pairs = {}
    for place in found:
        new = place.new.replace(OWN, own or literal)
        pairs[place.old] = own if own and new == f"torch.device({own})" else new
    when = dict(rule.when)
    if rule.here_only or (not own and any(OWN in place.new for place in found)):
        when[rule.own] = values[rule.own]
    edit = PythonEdit(replace=pairs)
    patch = Patch(id="draft", why=rule.why, file=code.name, when=when, python=edit)
    return fitted(patch, code.data, subject.conditions)
