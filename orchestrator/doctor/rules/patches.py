"""Patches: drafts made from findings, and the rules about a model's own patch sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from orchestrator.core.patching import Conditions, Patch, PatchSet, State, apply, drift, unproved
from orchestrator.doctor.rules.findings import Evidence, Fact, Layer, Results, rule, shortened
from orchestrator.doctor.rules.subject import Subject


def check_patches(subject: Subject) -> Results:
    """Check that the model's patch sets fit its files and were proved with its packages."""
    if subject.patched is None:
        return
    for outcome in subject.patched.conflicts:
        evidence = Evidence(outcome.patch.file, outcome.line, outcome.looked_for)
        yield rule("conflict").matched(evidence, outcome=outcome, model=subject.name)
    counts = Counter(outcome.state.value for outcome in subject.patched.outcomes)
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    names = ", ".join(patch_set.name for patch_set in subject.sets)
    yield Fact(Layer.PATCHES, f"{names}: {states}")
    if reason := unproved(subject.sets, subject.conditions):
        yield rule("unproved").matched(reason=reason, model=subject.name)
    for patch_set in subject.sets:
        for each in drift(patch_set, subject.commit, subject.original):
            evidence = Evidence(each.file)
            yield rule("drift").matched(
                evidence, drift=each, set=patch_set.name, fetch=subject.fetch
            )


def fitted(patch: Patch, data: bytes, conditions: Conditions) -> Patch | None:
    """Apply a draft to its file in memory and return it, or None where it does not fit.

    A draft that replaces expressions expects as many places as it has found.

    Args:
        patch: The draft, without `expect`.
        data: The content of its file.
        conditions: The conditions of the check; those of the patch must hold under them.
    """
    made = apply([PatchSet(name="draft", patches=(patch,))], {patch.file: data}.get, conditions)
    outcome = made.outcomes[0]
    if outcome.state is not State.APPLIED:
        return None
    if patch.python is None or not patch.python.replace:
        return patch
    return msgspec.structs.replace(patch, expect=outcome.matches + outcome.there)


def patch_set_yaml(
    name: str, subject: str, check: str, version: str, patches: Sequence[Patch]
) -> str:
    """Return the text of a patch set.

    Args:
        name: Its name.
        subject: The model or directory that it is for.
        check: The command that tries it.
        version: The release of transformers that it was drafted for; empty where none is known.
        patches: Its patches, each with its reason.
    """
    import yaml

    head = (
        f"# A draft from mm doctor for {shortened(subject)}.\n"
        f"# Read each patch, edit it, and try it: {shortened(check)}\n"
        "# Say under proved: with which versions you have seen right answers, as in\n"
        f'#   proved: {{transformers: "=={version or "VERSION"}"}}\n'
        "# docs/patches.md describes each key.\n"
    )
    document = {"name": name, "patches": [_written(patch) for patch in patches]}
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _written(patch: Patch) -> dict[str, Any]:
    """Return a patch without its empty fields, in the order in which people read it."""
    document = msgspec.json.decode(msgspec.json.encode(patch))
    return {
        key: {name: each for name, each in value.items() if each}
        if isinstance(value, dict)
        else value
        for key, value in document.items()
        if value
    }
