"""One patch set's text to a `PatchSet`, with every check that its types cannot make."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.core.binding import bind
from orchestrator.core.names import name_problem
from orchestrator.core.patching import conditions, expressions, statements
from orchestrator.core.patching.misfit import Misfit
from orchestrator.core.patching.records import JsonEdit, Patch, PatchSet, PythonEdit
from orchestrator.core.requirements import is_package_name
from orchestrator.core.yaml_document import parse
from orchestrator.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.core.binding import Report
    from orchestrator.core.yaml_document import Path

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FUNCTION = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def read_patch_set(data: bytes, *, file: str, stem: str) -> PatchSet:
    """Return the patch set in `data`, the content of `file`, whose name without `.yaml` is `stem`.

    Raises:
        ManifestError: With the file, line and key of the first problem.
    """
    patches, problems = examine(data, file=file, stem=stem)
    if problems:
        raise problems[0]
    assert patches is not None
    return patches


def examine(data: bytes, *, file: str, stem: str) -> tuple[PatchSet | None, list[ManifestError]]:
    """Return the patch set in `data` (None when its types do not fit) and all of its problems."""
    try:
        document = parse(data, file)
    except ManifestError as error:
        return None, [error]
    problems: list[tuple[int, ManifestError]] = []

    def report(path: Path, what: str, fix: str = "") -> None:
        problems.append((document.lines.get(path, 0), document.error(path, what, fix)))

    patch_set = bind(document, PatchSet, report)
    if patch_set is not None:
        _check_set(patch_set, stem, report)
        for position, patch in enumerate(patch_set.patches):
            _check_patch(patch, ("patches", position), report)
    return patch_set, [error for _, error in sorted(problems, key=lambda each: each[0])]


def _check_set(patch_set: PatchSet, stem: str, report: Report) -> None:
    if problem := name_problem(patch_set.name):
        report(("name",), problem)
    elif patch_set.name != stem:
        report(("name",), f"{patch_set.name!r} is not the file's name", f"write name: {stem}")
    if not patch_set.patches:
        report(("patches",), "a patch set has at least one patch")
    seen: set[str] = set()
    for position, patch in enumerate(patch_set.patches):
        if patch.id in seen:
            report(("patches", position, "id"), f"{patch.id!r} stands here twice")
        seen.add(patch.id)
    _check_proofs(patch_set, report)


def _check_proofs(patch_set: PatchSet, report: Report) -> None:
    _check_conditions(patch_set.proved, ("proved",), report)
    for key in conditions.NAMES:
        if key in patch_set.proved:
            report(("proved", key), "only versions of packages are proved")
    for commit, files in patch_set.commits.items():
        if not _COMMIT.fullmatch(commit):
            report(("commits", commit), "is not a whole commit, 40 hexadecimal digits")
        for name, hashes in files.items():
            here = ("commits", commit, name)
            _check_file(name, here, report)
            for value in (hashes.before, *hashes.after):
                if not _SHA256.fullmatch(value):
                    report(here, f"{value!r} is not a SHA-256 in 64 hexadecimal digits")


def _check_patch(patch: Patch, path: Path, report: Report) -> None:
    if problem := name_problem(patch.id):
        report((*path, "id"), problem)
    if not patch.why.strip():
        report((*path, "why"), "is empty", "say why the edit is made")
    elif not patch.why.replace("\n", "").isprintable():
        report((*path, "why"), "holds a control character")
    _check_file(patch.file, (*path, "file"), report)
    _check_conditions(patch.when, (*path, "when"), report)
    if patch.expect is not None and patch.expect < 1:
        report((*path, "expect"), "must be 1 or more")
    if any(not each.strip() for each in patch.already):
        report((*path, "already"), "an alternative is empty")
    _check_edit(patch, path, report)


def _check_edit(patch: Patch, path: Path, report: Report) -> None:
    edits = [name for name in ("python", "json", "text") if getattr(patch, name) is not None]
    if len(edits) != 1:
        report(path, "a patch has one edit: python, json or text")
    elif patch.python is not None:
        _check_python(patch, patch.python, (*path, "python"), report)
    elif patch.json is not None:
        _check_json(patch, patch.json, path, report)
    elif patch.text is not None:
        _check_pairs(patch.text.replace, (*path, "text", "replace"), report)


def _check_json(patch: Patch, edit: JsonEdit, path: Path, report: Report) -> None:
    paths = [*edit.set, *edit.delete]
    if not paths:
        report((*path, "json"), "sets and deletes nothing")
    if patch.already:
        report((*path, "already"), "has no meaning for JSON")
    for dotted in paths:
        if not all(dotted.split(".")):
            report((*path, "json"), f"{dotted!r} is not a path such as a.b")


def _check_python(patch: Patch, edit: PythonEdit, path: Path, report: Report) -> None:
    kinds = [name for name in ("prepend", "append", "rename", "replace") if getattr(edit, name)]
    if len(kinds) != 1:
        report(path, "a Python edit is one of prepend, append, rename and replace")
        return
    kind = kinds[0]
    if kind == "rename":
        _check_rename(edit, path, report)
    elif kind == "replace":
        _check_pairs(edit.replace, (*path, "replace"), report)
        for old, new in edit.replace.items():
            _check_replacement(patch, old, new, (*path, "replace", old), report)
    else:
        if not edit.function:
            report((*path, kind), "says no function", "write function: Class.method")
        _check_statements(getattr(edit, kind), (*path, kind), report)
    if edit.function and not _FUNCTION.fullmatch(edit.function):
        report((*path, "function"), f"{edit.function!r} is not a name such as Class.method")


def _check_rename(edit: PythonEdit, path: Path, report: Report) -> None:
    if edit.function:
        report((*path, "function"), "has no meaning for rename")
    _check_pairs(edit.rename, (*path, "rename"), report)
    for old, new in edit.rename.items():
        for name in (old, new):
            if not expressions.is_identifier(name):
                report((*path, "rename", old), f"{name!r} is not an identifier")


def _check_statements(code: str, path: Path, report: Report) -> None:
    try:
        if not statements.statements_dump(code):
            report(path, "holds no statement")
    except Misfit as misfit:
        report(path, misfit.found)


def _check_replacement(patch: Patch, old: str, new: str, path: Path, report: Report) -> None:
    if old.startswith(".") != new.startswith("."):
        report(path, "either both sides begin with a dot or neither does")
        return
    try:
        trees = [expressions.pattern_tree(each) for each in (old, new)]
    except Misfit as misfit:
        report(path, misfit.found)
        return
    if expressions.is_common(trees[1]) and patch.expect is None:
        report(path, f"{new!r} is too common to be recognised", "say how many with expect")


def _check_pairs(pairs: Mapping[str, str], path: Path, report: Report) -> None:
    if not pairs:
        report(path, "replaces nothing")
    for old, new in pairs.items():
        if old == new:
            report((*path, old), "is replaced by itself")
        if not old.strip() or not new.strip():
            report((*path, old), "an empty text cannot be found again")


def _check_file(name: str, path: Path, report: Report) -> None:
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts):
        report(path, f"{name!r} is not a file inside the model's directory")


def _check_conditions(wanted: Mapping[str, str], path: Path, report: Report) -> None:
    for key, value in wanted.items():
        if key not in conditions.NAMES and not is_package_name(key):
            report((*path, key), f"{key!r} is neither device, dtype nor a package")
        elif problem := conditions.problem(key, value):
            report((*path, key), problem)
