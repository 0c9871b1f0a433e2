"""`mm patch new`: a patch set drafted from findings, tried in memory before it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator.core import patching
from orchestrator.core.patching import Patch, PatchSet, State, read_patch_set
from orchestrator.doctor.examine import examine
from orchestrator.doctor.rules.findings import Finding, slug
from orchestrator.doctor.rules.packages import TRANSFORMERS
from orchestrator.doctor.rules.patches import patch_set_yaml
from orchestrator.doctor.rules.subject import Subject
from orchestrator.errors import SourceError, UsageError


@dataclass(frozen=True)
class Draft:
    """A draft of a patch set.

    Attributes:
        text: Its file.
        patches: What is in it.
        left: Findings that no patch fixes.
    """

    text: str
    patches: tuple[Patch, ...]
    left: tuple[Finding, ...]


def draft(subject: Subject, name: str) -> Draft:
    """Return a patch set with one patch for each finding that a patch can fix.

    The model is checked as its own patch sets leave it, so that the draft has what they lack.

    Args:
        subject: The model.
        name: The name of the set.

    Raises:
        UsageError: When there is nothing to draft.
        SourceError: When the patches do not fit together.
    """
    report = examine(subject)
    patches = _together(subject, [each.patch for each in report.wrong if each.patch is not None])
    if not patches:
        raise UsageError(
            f"no finding about {subject.name} can be fixed by a patch",
            fix=f"run: mm doctor {subject.quoted}",
        )
    version = subject.conditions.versions.get(TRANSFORMERS, "")
    text = patch_set_yaml(name, subject.name, check_command(subject), version, patches)
    # What is written is read as `mm patch check` will read it.
    made = read_patch_set(text.encode("utf-8"), file=f"{name}.yaml", stem=name)
    left = tuple(each for each in report.wrong if each.patch is None)
    return Draft(text, made.patches, left)


def check_command(subject: Subject) -> str:
    """Return the command that tries a patch set on the subject."""
    if subject.manifest is not None:
        return f"mm patch check {subject.name}"
    return f"mm patch check MODEL {subject.quoted}"


def _together(subject: Subject, patches: Iterable[Patch]) -> list[Patch]:
    """Apply the patches in turn, each to what those before leave, and count its places there.

    Each gets an id of its own.

    Raises:
        SourceError: When one no longer fits.
    """
    kept: list[Patch] = []
    for patch in patches:
        name, number = patch.id, 2
        while name in {each.id for each in kept}:
            name, number = slug(f"{patch.id[:56]}-{number}"), number + 1
        bare = msgspec.structs.replace(patch, id=name, expect=None)
        made = patching.apply(
            [PatchSet(name="draft", patches=(*kept, bare))], subject.read, subject.conditions
        )
        outcome = made.outcomes[-1]
        if outcome.state is State.CONFLICT:
            raise SourceError(
                f"a draft would not fit: {outcome.sentence}",
                where=outcome.where,
                fix=f"run: mm doctor {subject.quoted}",
            )
        count = outcome.matches + outcome.there
        expect = count if patch.expect is not None else None
        kept.append(msgspec.structs.replace(bare, expect=expect))
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
