"""Drafts of patches: made from findings, applied in memory before anybody hears of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.patching import Patch, PatchSet, apply
from orchestrator.core.patching.engine import State
from orchestrator.core.patching.records import JsonEdit, PythonEdit
from orchestrator.doctor.rules.records import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.core.patching import Conditions
    from orchestrator.doctor.rules.code import Code

_OTHER = re.compile(r"[^a-z0-9]+")


def draft_id(*words: str) -> str:
    """Return a patch's id from words."""
    return _OTHER.sub("-", "-".join(words).lower()).strip("-")[:60].strip("-")


def replacing(
    code: Code,
    name: str,
    why: str,
    pairs: Mapping[str, str],
    conditions: Conditions,
    when: Mapping[str, str] | None = None,
) -> Patch | None:
    """Return a patch, called `name`, of expressions in a file, or None where it would not fit."""
    edit = PythonEdit(replace=dict(pairs))
    patch = Patch(id=name, why=why, file=code.name, when=dict(when or {}), python=edit)
    return fitted(patch, code.name, code.data, conditions)


def renaming(
    code: Code,
    name: str,
    why: str,
    pairs: Mapping[str, str],
    conditions: Conditions,
    when: Mapping[str, str] | None = None,
) -> Patch | None:
    """Return a patch that renames identifiers in a file, or None where it would not fit."""
    edit = PythonEdit(rename=dict(pairs))
    patch = Patch(id=name, why=why, file=code.name, when=dict(when or {}), python=edit)
    return fitted(patch, code.name, code.data, conditions, counted=False)


def setting(
    file: str,
    data: bytes,
    name: str,
    why: str,
    values: Mapping[str, Any],
    conditions: Conditions,
    when: Mapping[str, str] | None = None,
) -> Patch | None:
    """Return a patch that sets values in a JSON file, or None where it would not fit."""
    edit = JsonEdit(set=dict(values))
    patch = Patch(id=name, why=why, file=file, when=dict(when or {}), json=edit)
    return fitted(patch, file, data, conditions, counted=False)


def fitted(
    patch: Patch, file: str, data: bytes, conditions: Conditions, *, counted: bool = True
) -> Patch | None:
    """Apply `patch` to a file in memory and return it, or None where it does not fit.

    Args:
        patch: The patch, without `expect`.
        file: The name of the file.
        data: Its content.
        conditions: What the model is looked at under; they must ask for the patch.
        counted: Whether the number of places becomes the patch's `expect`.
    """
    made = apply(
        [PatchSet(name="draft", patches=(patch,))],
        lambda name: data if name == file else None,
        conditions,
    )
    outcome = made.outcomes[0]
    if outcome.state is not State.APPLIED:
        return None
    if not counted:
        return patch
    return msgspec.structs.replace(patch, expect=outcome.matches + outcome.there)


def patch_set_yaml(name: str, subject: str, check: str, patches: Sequence[Patch]) -> str:
    """Return the text of a patch set.

    Args:
        name: Its name.
        subject: The model or directory that it is for.
        check: The command that tries it.
        patches: Its patches, each with its reason.
    """
    import yaml

    head = (
        f"# A draft from mm doctor for {shortened(subject)}.\n"
        f"# Read each patch, edit it, and try it: {shortened(check)}\n"
        "# Say under proved: with which versions you have seen right answers, as in\n"
        '#   proved: {transformers: "==4.46.3"}\n'
        "# docs/patches.md tells what each key means.\n"
    )
    document: dict[str, Any] = {"name": name}
    document["patches"] = [_written(patch) for patch in patches]
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return head + body


def _written(patch: Patch) -> dict[str, Any]:
    """Return a patch without its empty fields, in the order in which people read it."""
    document = msgspec.to_builtins(patch)
    kept = {key: value for key, value in document.items() if value not in (None, {}, [], ())}
    for kind in ("python", "json", "text"):
        if kind in kept:
            kept[kind] = {key: value for key, value in kept[kind].items() if value}
    if "already" in kept:
        kept["already"] = list(kept["already"])
    return kept
