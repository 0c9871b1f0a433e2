"""The rules about modules that no package of the environment brings: the model's and the runner's.

Where the environment is built, its files say which modules there are. Where it is only locked, a
module is looked for among the names of the packages, and none that may bring it is believed absent.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator

from orchestrator.doctor.rules.findings import (
    Effect,
    Evidence,
    Fact,
    Finding,
    Layer,
    Results,
    listed,
    rule,
)
from orchestrator.doctor.rules.imports import ImportedName, imports_of
from orchestrator.doctor.rules.packages import Answer, Packages
from orchestrator.doctor.rules.required_imports import required_modules
from orchestrator.doctor.rules.subject import Subject

BRINGS = {
    "PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "pyyaml", "sklearn": "scikit-learn",
    "skimage": "scikit-image", "google": "protobuf", "fitz": "pymupdf", "bs4": "beautifulsoup4",
    "pkg_resources": "setuptools",
}  # fmt: skip
"""The packages of modules that have another name."""

ENTRIES = ("load", "run", "check")
"""The functions of a runner that `mm` calls."""

WHEN_CALLED = ", when the function that imports it is called"


def check_modules(subject: Subject, own: Packages | None) -> Results:
    """Find the modules of the model's code that nothing in its environment brings."""
    versions = subject.conditions.versions
    foreign = [each for each in subject.imports if _is_foreign(each, subject)]
    if own is None and not versions:
        yield from _listed(foreign)
        return
    required = {
        (code.name, top)
        for code in subject.codes
        if own is not None and code.name in subject.named
        for top in required_modules(code, own)
    }
    found: set[str] = set()
    for each in foreign:
        error = _error_without(each, required)
        if error and each.top not in found:
            found.add(each.top)
            effect = Effect.RISK if error.endswith(WHEN_CALLED) else Effect.STOPS
            yield from _missing(subject, own, each.top, each.evidence, effect, error)


def check_runner_modules(subject: Subject) -> Iterator[Finding]:
    """Find the modules of the runner that nothing in the model's environment brings."""
    own = subject.own
    # What the model's own code imports is looked up for that.
    found = {each.top for each in subject.imports if not each.guarded}
    imports = [each for code in subject.runner_codes for each in imports_of(code, ENTRIES)]
    for each in imports if own is not None or subject.conditions.versions else ():
        if each.top not in found and not each.guarded and _is_foreign(each, subject):
            found.add(each.top)
            effect = Effect.RISK if each.called else Effect.STOPS
            error = f"ModuleNotFoundError{WHEN_CALLED if each.called else ', when it is loaded'}"
            yield from _missing(subject, own, each.top, each.evidence, effect, error)


def locked_package(top: str, versions: Collection[str]) -> str:
    """Return the package that brings a module, if it is one of `versions`, else nothing."""
    from packaging.utils import canonicalize_name

    name = canonicalize_name(BRINGS.get(top, top))
    return name if name in versions else ""


def _missing(
    subject: Subject,
    own: Packages | None,
    top: str,
    evidence: Evidence,
    effect: Effect,
    error: str,
) -> Iterator[Finding]:
    """Yield a finding where no package of the environment, or else of the lock, has a module."""
    versions, brings = subject.conditions.versions, BRINGS.get(top, top).replace("_", "-")
    if own is None:
        if not may_be_brought(top, versions):
            yield rule("not-locked").matched(evidence, top=top, error=error, brings=brings)
    elif own.find(top, "") is Answer.MISSING:
        name, package = "no-module", locked_package(top, versions)
        if package:
            name, brings = "lost-module", package
        yield rule(name).matched(
            evidence, effect=effect, top=top, error=error, brings=brings, rebuild=subject.rebuild
        )


def may_be_brought(top: str, versions: Collection[str]) -> bool:
    """Say whether the name of a locked package begins or ends as a module's or its package's."""
    stems = {_plain(top), _plain(BRINGS.get(top, top)), "opencv" if top == "cv2" else _plain(top)}
    return any(
        _plain(name).startswith(stem) or _plain(name).endswith(stem)
        for name in versions
        for stem in stems
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]", "", name.lower())


def _is_foreign(name: ImportedName, subject: Subject) -> bool:
    own = name.level or f"{name.top}.py" in subject.files
    return not own and name.top not in sys.stdlib_module_names


def _listed(imports: Collection[ImportedName]) -> Iterator[Fact]:
    """Say which packages the code imports, where nothing is known of an environment."""
    certain = {each.top for each in imports if not each.guarded}
    optional = {each.top for each in imports} - certain
    if imports:
        behind = f"; behind a test or a try {listed(sorted(optional), 20)}" if optional else ""
        text = f"the code imports {listed(sorted(certain), 20) or 'nothing for certain'}{behind}"
        yield Fact(Layer.ENVIRONMENT, text)


def _error_without(name: ImportedName, required: Collection[tuple[str, str]]) -> str:
    """Return the error where a module is not there; nothing where that is expected.

    transformers looks through a model's files before it imports them, functions included, and
    refuses a model of which a package is missing.
    """
    if (name.evidence.file, name.top) in required:
        return "ImportError: This modeling file requires the following packages"
    if name.guarded:
        return ""
    return f"ModuleNotFoundError{WHEN_CALLED if name.called else ', when the file is imported'}"
