"""`mm patch new`: a patch set drafted from findings, tried in memory before it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core import patching
from orchestrator.core.patching import PatchSet, State, read_patch_set
from orchestrator.doctor.examine import examine
from orchestrator.doctor.rules.drafts import draft_id, patch_set_yaml
from orchestrator.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.core.patching import Patch
    from orchestrator.doctor.rules.records import Finding
    from orchestrator.doctor.rules.tables import Table
    from orchestrator.doctor.subject import Subject
    from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class Draft:
    """A draft of a patch set.

    Attributes:
        name: Its name, and that of its file.
        text: The file.
        patches: What is in it.
        left: Findings that no patch mends.
    """

    name: str
    text: str
    patches: tuple[Patch, ...]
    left: tuple[Finding, ...]


def draft(subject: Subject, workspace: Workspace, table: Table, name: str) -> Draft:
    """Return a patch set with one patch for each finding that a patch can mend.

    The model is looked at as its own patch sets leave it, so that the draft has what they lack.

    Args:
        subject: The model.
        workspace: The user's.
        table: What is known to have gone.
        name: The name of the set.

    Raises:
        UsageError: When there is nothing to draft.
        SourceError: When the patches do not fit together.
    """
    report = examine(subject, workspace, table)
    patches = _named([each.patch for each in report.wrong if each.patch is not None])
    left = tuple(each for each in report.wrong if each.patch is None)
    if not patches:
        raise UsageError(
            f"no finding about {subject.name} can be mended by a patch",
            fix=f"run: mm doctor {subject.name}",
        )
    patches = _together(subject, patches)
    text = patch_set_yaml(name, subject.name, check_command(subject), patches)
    # What is written is read as `mm patch check` will read it.
    made = read_patch_set(text.encode("utf-8"), file=f"{name}.yaml", stem=name)
    return Draft(name, text, made.patches, left)


def check_command(subject: Subject) -> str:
    """Return the command that tries a patch set on the subject."""
    if subject.declared is not None:
        return f"mm patch check {subject.name}"
    return f"mm patch check MODEL {subject.name}"


def _named(patches: Sequence[Patch]) -> list[Patch]:
    """Give each patch an id of its own."""
    taken: set[str] = set()
    named = []
    for patch in patches:
        name, number = patch.id, 2
        while name in taken:
            name, number = draft_id(patch.id[:56], str(number)), number + 1
        taken.add(name)
        named.append(msgspec.structs.replace(patch, id=name))
    return named


def _together(subject: Subject, patches: Sequence[Patch]) -> list[Patch]:
    """Apply the patches in turn, each to what those before leave, and count its places there.

    Raises:
        SourceError: When one no longer fits.
    """
    kept: list[Patch] = []
    for patch in patches:
        bare = msgspec.structs.replace(patch, expect=None)
        made = patching.apply(
            [PatchSet(name="draft", patches=(*kept, bare))], subject.read, subject.conditions
        )
        outcome = made.outcomes[-1]
        if outcome.state is State.CONFLICT:
            raise SourceError(
                f"a draft would not fit: {outcome.sentence}",
                where=outcome.where,
                fix=f"run: mm doctor {subject.name}",
            )
        count = outcome.matches + outcome.there
        expect = count if patch.expect is not None else None
        kept.append(msgspec.structs.replace(patch, expect=expect))
    return kept


def write_draft(made: Draft, path: Path) -> None:
    """Write a draft where there is no file yet.

    Raises:
        UsageError: When there is one, or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(made.text)
    except FileExistsError as error:
        raise UsageError(
            "is there already", where=str(path), fix="name another file with -o FILE"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot be written ({error.strerror})", where=str(path)) from error
