"""One patch set's text to a `PatchSet`, with every check that its types cannot make."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orchestrator.core.names import name_problem
from orchestrator.core.patching import conditions, expressions, statements
from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.patch_set import FileHashes, JsonEdit, Patch, PatchSet, PythonEdit
from orchestrator.core.record_reader import Problem, nested, read_record
from orchestrator.core.requirements import is_package_name

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FUNCTION = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def read_patch_set(data: bytes, *, file: str, stem: str) -> PatchSet:
    """Return the patch set in `data`, the content of `file`, whose name without `.yaml` is `stem`.

    Raises:
        ManifestError: With the file, line and key of the first problem.
    """
    return read_record(data, file, stem, PatchSet, _set_problems)


def _set_problems(patch_set: PatchSet) -> Iterator[Problem]:
    if not patch_set.patches:
        yield Problem(("patches",), "a patch set has at least one patch")
    yield from nested(("proved",), _condition_problems(patch_set.proved))
    for key in conditions.NAMES:
        if key in patch_set.proved:
            yield Problem(("proved", key), "only versions of packages are proved")
    for commit, files in patch_set.commits.items():
        yield from nested(("commits", commit), _commit_problems(commit, files))
    seen: set[str] = set()
    for position, patch in enumerate(patch_set.patches):
        if patch.id in seen:
            yield Problem(("patches", position, "id"), f"{patch.id!r} stands here twice")
        seen.add(patch.id)
        yield from nested(("patches", position), _patch_problems(patch))


def _commit_problems(commit: str, files: Mapping[str, FileHashes]) -> Iterator[Problem]:
    if not _COMMIT.fullmatch(commit):
        yield Problem((), "is not a whole commit, 40 hexadecimal digits")
    for name, hashes in files.items():
        yield from nested((name,), _file_problems(name))
        for value in (hashes.before, *hashes.after):
            if not _SHA256.fullmatch(value):
                yield Problem((name,), f"{value!r} is not a SHA-256 in 64 hexadecimal digits")


def _patch_problems(patch: Patch) -> Iterator[Problem]:
    if problem := name_problem(patch.id):
        yield Problem(("id",), problem)
    if not patch.why.strip():
        yield Problem(("why",), "is empty", "say why the edit is made")
    elif not patch.why.replace("\n", "").isprintable():
        yield Problem(("why",), "holds a control character")
    yield from nested(("file",), _file_problems(patch.file))
    yield from nested(("when",), _condition_problems(patch.when))
    if patch.expect is not None and patch.expect < 1:
        yield Problem(("expect",), "must be 1 or more")
    if any(not each.strip() for each in patch.already):
        yield Problem(("already",), "an alternative is empty")
    yield from _edit_problems(patch)


def _edit_problems(patch: Patch) -> Iterator[Problem]:
    if [patch.python, patch.json, patch.text].count(None) != 2:
        yield Problem((), "a patch has one edit: python, json or text")
    elif patch.python is not None:
        yield from nested(("python",), _python_problems(patch.python, patch.expect))
    elif patch.json is not None:
        yield from _json_problems(patch.json)
        if patch.already:
            yield Problem(("already",), "has no meaning for JSON")
    elif patch.text is not None:
        yield from nested(("text", "replace"), _pair_problems(patch.text.replace))


def _json_problems(edit: JsonEdit) -> Iterator[Problem]:
    paths = [*edit.set, *edit.delete]
    if not paths:
        yield Problem(("json",), "sets and deletes nothing")
    for dotted in paths:
        if not all(dotted.split(".")):
            yield Problem(("json",), f"{dotted!r} is not a path such as a.b")


def _python_problems(edit: PythonEdit, expect: int | None) -> Iterator[Problem]:
    kinds = [name for name in ("prepend", "append", "rename", "replace") if getattr(edit, name)]
    if len(kinds) != 1:
        yield Problem((), "a Python edit is one of prepend, append, rename and replace")
        return
    kind = kinds[0]
    if kind in ("prepend", "append"):
        if not edit.function:
            yield Problem((kind,), "says no function", "write function: Class.method")
        yield from nested((kind,), _statement_problems(edit.prepend or edit.append))
    else:
        if edit.rename and edit.function:
            yield Problem(("function",), "has no meaning for rename")
        yield from nested((kind,), _pair_problems(edit.rename or edit.replace))
    for old, new in edit.rename.items():
        for name in (old, new):
            if not expressions.is_identifier(name):
                yield Problem(("rename", old), f"{name!r} is not an identifier")
    for old, new in edit.replace.items():
        yield from nested(("replace", old), _replacement_problems(old, new, expect))
    if edit.function and not _FUNCTION.fullmatch(edit.function):
        yield Problem(("function",), f"{edit.function!r} is not a name such as Class.method")


def _statement_problems(code: str) -> Iterator[Problem]:
    try:
        if not statements.statements_dump(code):
            yield Problem((), "holds no statement")
    except PatchConflict as conflict:
        yield Problem((), conflict.found)


def _replacement_problems(old: str, new: str, expect: int | None) -> Iterator[Problem]:
    if old.startswith(".") != new.startswith("."):
        yield Problem((), "either both sides begin with a dot or neither does")
        return
    try:
        trees = [expressions.pattern_tree(each) for each in (old, new)]
    except PatchConflict as conflict:
        yield Problem((), conflict.found)
        return
    if expressions.is_common(trees[1]) and expect is None:
        what = f"{new!r} is too common to be recognised"
        yield Problem((), what, "say how many with expect")


def _pair_problems(pairs: Mapping[str, str]) -> Iterator[Problem]:
    if not pairs:
        yield Problem((), "replaces nothing")
    for old, new in pairs.items():
        if old == new:
            yield Problem((old,), "is replaced by itself")
        if not old.strip() or not new.strip():
            yield Problem((old,), "an empty text cannot be found again")


def _file_problems(name: str) -> Iterator[Problem]:
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts):
        yield Problem((), f"{name!r} is not a file inside the model's directory")


def _condition_problems(wanted: Mapping[str, str]) -> Iterator[Problem]:
    for key, value in wanted.items():
        if key not in conditions.NAMES and not is_package_name(key):
            yield Problem((key,), f"{key!r} is neither device, dtype nor a package")
        elif problem := conditions.problem(key, value):
            yield Problem((key,), problem)
