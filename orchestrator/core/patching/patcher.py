"""Patch sets applied to files: pure, whole or not at all.

The caller hands over a way to read the files and gets back the new content of those that change,
or the conflicts, in which case nothing changes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from orchestrator.core.canonical import digest_bytes
from orchestrator.core.json_text import parse_json
from orchestrator.core.patching import expressions, json_edits, statements, text_edits
from orchestrator.core.patching.conditions import Conditions, unmet
from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.patch_set import Patch, PatchSet
from orchestrator.core.patching.python_tree import PythonFile
from orchestrator.core.patching.source_text import (
    EditResult,
    SourceText,
    decode_python,
    decode_text,
)

Read = Callable[[str], "bytes | None"]
"""Returns the content of a file of the model, or None where there is no such file."""


class State(enum.Enum):
    """How one patch ended."""

    APPLIED = "applied"
    ALREADY = "already there"
    NOT_NEEDED = "not needed"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class PatchOutcome:
    """The outcome of one patch.

    Attributes:
        set_name: The patch set.
        patch: The patch.
        state: How it ended.
        matches: Places that it changes.
        there: Places that are already as it would make them.
        reason: Why it is not needed, or what was found instead.
        looked_for: What it looks for, where there is a conflict.
        line: The line of the conflict, from 1; 0 for none.
    """

    set_name: str
    patch: Patch
    state: State
    matches: int = 0
    there: int = 0
    reason: str = ""
    looked_for: str = ""
    line: int = 0

    @property
    def sentence(self) -> str:
        """The conflict in words: what was looked for and what was found."""
        what = f"the patch {self.patch.id} "
        looked = f"looked for {self.looked_for!r} and " if self.looked_for else ""
        return f"{what}{looked}found {self.reason}"

    @property
    def where(self) -> str:
        """The file of the patch, and the line where one is known."""
        return f"{self.patch.file}:{self.line}" if self.line else self.patch.file


@dataclass(frozen=True)
class Patched:
    """What patch sets make of a model's files.

    Attributes:
        outcomes: One for each patch, in order.
        files: The new content of each file that changes; empty where there is a conflict.
        looked_at: The names of all files that a needed patch is about.
    """

    outcomes: tuple[PatchOutcome, ...]
    files: Mapping[str, bytes]
    looked_at: frozenset[str] = frozenset()

    @property
    def conflicts(self) -> tuple[PatchOutcome, ...]:
        """The patches that did not fit."""
        return tuple(each for each in self.outcomes if each.state is State.CONFLICT)


@dataclass(frozen=True)
class Drift:
    """A file that is neither as a known commit has it nor as the set leaves that."""

    commit: str
    file: str
    found: str


def apply(sets: Sequence[PatchSet], read: Read, conditions: Conditions) -> Patched:
    """Apply `sets`, in order, to the files that `read` returns, all or none.

    A file that the sets have patched before comes out unchanged; a half-patched one is completed.
    """
    before: dict[str, bytes] = {}
    now: dict[str, bytes] = {}
    outcomes: list[PatchOutcome] = []
    for patch_set in sets:
        for patch in patch_set.patches:
            reason = unmet(patch.when, conditions)
            if reason is not None:
                outcomes.append(
                    PatchOutcome(patch_set.name, patch, State.NOT_NEEDED, reason=reason)
                )
                continue
            if patch.file not in now and (data := read(patch.file)) is not None:
                before[patch.file] = now[patch.file] = data
            try:
                data, matches, there = _patched(patch, now.get(patch.file), patch_set)
            except PatchConflict as conflict:
                outcomes.append(
                    PatchOutcome(
                        patch_set.name,
                        patch,
                        State.CONFLICT,
                        reason=conflict.found,
                        looked_for=conflict.looked_for,
                        line=conflict.line,
                    )
                )
                continue
            now[patch.file] = data
            state = State.APPLIED if matches else State.ALREADY
            outcomes.append(PatchOutcome(patch_set.name, patch, state, matches, there))
    changed = {name: data for name, data in now.items() if data != before[name]}
    fits = all(each.state is not State.CONFLICT for each in outcomes)
    return Patched(tuple(outcomes), changed if fits else {}, frozenset(now))


def drift(patch_set: PatchSet, commit: str | None, read: Read) -> tuple[Drift, ...]:
    """Return the files whose hashes are known at `commit` and that have none of them.

    Nothing is known of a commit that the set does not list, nor of None.
    """
    found = []
    for name, hashes in patch_set.commits.get(commit or "", {}).items():
        data = read(name)
        sha256 = digest_bytes(data) if data is not None else ""
        if sha256 not in (hashes.before, *hashes.after):
            found.append(Drift(commit or "", name, sha256))
    return tuple(found)


def unproved(sets: Iterable[PatchSet], conditions: Conditions) -> str | None:
    """Return why the patched model was not shown to be right with these versions, or None."""
    for patch_set in sets:
        reason = unmet(patch_set.proved, conditions)
        if reason is not None:
            proved = ", ".join(f"{name}{spec}" for name, spec in patch_set.proved.items())
            return f"the patch set {patch_set.name} was proved with {proved}, and {reason}"
    return None


def active(sets: Iterable[PatchSet], conditions: Conditions) -> list[str]:
    """Return the names of the patches that are needed under `conditions`."""
    return [
        f"{patch_set.name}/{patch.id}"
        for patch_set in sets
        for patch in patch_set.patches
        if unmet(patch.when, conditions) is None
    ]


def _patched(patch: Patch, data: bytes | None, patch_set: PatchSet) -> tuple[bytes, int, int]:
    """Return the file after `patch`, and how many places were changed and were there.

    Raises:
        PatchConflict: When the file is not what the patch was written for.
    """
    if data is None:
        raise PatchConflict("no such file", patch.file)
    source = decode_python(data) if patch.python is not None else decode_text(data)
    edited = _edit(patch, source, patch_set)
    count = edited.matches + edited.there
    if patch.expect is not None and count != patch.expect:
        raise PatchConflict(
            f"{count} place{'s' * (count != 1)} ({edited.there} already changed) "
            f"instead of {patch.expect}",
            edited.looked_for,
        )
    if count == 0:
        raise PatchConflict("nothing like it", edited.looked_for)
    if not edited.matches:
        return data, 0, edited.there
    made = edited.result.encoded()
    _check_file(patch.file, edited.result)
    again = _edit(patch, edited.result, patch_set)
    if again.matches or again.there != count:
        raise PatchConflict(
            "a place that would not be recognised once it is edited", edited.looked_for
        )
    return made, edited.matches, edited.there


def _edit(patch: Patch, source: SourceText, patch_set: PatchSet) -> EditResult:
    """Make every edit of `patch` in turn, each in the text that the one before leaves."""
    matches = there = 0
    looked_for = []
    for edit in _edits(patch, patch_set):
        edited = edit(source)
        source = edited.result
        matches += edited.matches
        there += edited.there
        looked_for.append(edited.looked_for)
    return EditResult(matches, there, source, ", ".join(looked_for))


def _edits(patch: Patch, patch_set: PatchSet) -> Iterator[Callable[[SourceText], EditResult]]:
    # `already` stands for the whole patch, so that its first edit alone counts it.
    already = patch.already
    if patch.json is not None:
        for path, value in patch.json.set.items():
            yield partial(json_edits.set_value, path=path, value=value)
        for path in patch.json.delete:
            yield partial(json_edits.delete, path=path)
    elif patch.text is not None:
        for old, new in patch.text.replace.items():
            yield partial(text_edits.replace, old=old, new=new, already=already)
            already = ()
    elif patch.python is not None:
        edit = patch.python
        if edit.prepend or edit.append:
            yield partial(
                statements.insert,
                function=edit.function,
                code=edit.append or edit.prepend,
                at_end=bool(edit.append),
                already=already,
                companions=_companions(patch, patch_set, at_end=bool(edit.append)),
            )
        for old, new in edit.rename.items():
            yield partial(expressions.rename, old=old, new=new, already=already)
            already = ()
        for old, new in edit.replace.items():
            yield partial(
                expressions.replace,
                pattern=old,
                replacement=new,
                function=edit.function,
                already=already,
            )
            already = ()


def _companions(patch: Patch, patch_set: PatchSet, *, at_end: bool) -> frozenset[str]:
    """Return what other patches of the set put at the same place of the same function."""
    assert patch.python is not None
    return frozenset(
        statements.statements_dump(code)
        for other in patch_set.patches
        if other is not patch
        and other.file == patch.file
        and other.python is not None
        and other.python.function == patch.python.function
        and (code := other.python.append if at_end else other.python.prepend)
    )


def _check_file(name: str, result: SourceText) -> None:
    """Check that an edited file is still of its kind.

    Raises:
        PatchConflict: When it is not.
    """
    if name.endswith(".py"):
        PythonFile.parse(result)
    elif name.endswith(".json"):
        try:
            parse_json(result.text)
        except ValueError as error:
            raise PatchConflict(f"that the edited file would not be JSON ({error})") from error
