"""Layer 1: what the code asks of its environment against what environments have.

Names are looked up in the text of installed packages. Those behind `try` or a test are expected to
be absent somewhere, and are told apart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.doctor.rules.drafts import draft_id, renaming
from orchestrator.doctor.rules.imports import Wanted, beside
from orchestrator.doctor.rules.lookup import Answer, Lookup
from orchestrator.doctor.rules.records import (
    Effect,
    Evidence,
    Fact,
    Finding,
    Layer,
    Looked,
    listed,
)
from orchestrator.doctor.rules.tables import Gone, is_gone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.core.patching import Conditions, Patch
    from orchestrator.doctor.rules.code import Code

PACKAGE = "transformers"
"""The package whose names the remote code is written against."""


CALLED = "ModuleNotFoundError, when the function that imports it is called"


@dataclass(frozen=True)
class Place:
    """An environment that is built.

    Attributes:
        label: What people call it.
        versions: The version of each package by normalised name.
        lookup: A lookup in its packages.
        checks_by_tree: Whether its transformers reads every import of a model's files, those in
            functions too, before it loads them. Older releases go by patterns, which pass over
            `import x as y`; None where there is no transformers.
    """

    label: str
    versions: Mapping[str, str]
    lookup: Lookup
    checks_by_tree: bool | None = None

    @property
    def version(self) -> str:
        """Its transformers, or nothing."""
        return self.versions.get(PACKAGE, "")


@dataclass(frozen=True)
class Asked:
    """What a model's code asks for.

    Attributes:
        wanted: Every name that its files import.
        codes: Those files.
        files: The names of all files beside them.
        requirements: Lines of a requirements file of the model's own, with the file's name.
        written_for: The release of transformers that config.json was written with, or nothing.
    """

    wanted: Sequence[Wanted]
    codes: Sequence[Code]
    files: frozenset[str]
    requirements: Sequence[tuple[Evidence, str]] = ()
    written_for: str = ""

    @property
    def names(self) -> dict[tuple[str, str], Wanted]:
        """Each name taken from transformers, once; one that is not guarded first."""
        found: dict[tuple[str, str], Wanted] = {}
        for each in sorted(self.wanted, key=lambda wanted: wanted.guarded):
            if each.level == 0 and each.top == PACKAGE and each.name:
                found.setdefault((each.module, each.name), each)
        return found


def look(
    asked: Asked,
    own: Place | None,
    others: Sequence[Place],
    conditions: Conditions,
    table: Sequence[Gone],
    packages_of: Callable[[str], str],
) -> Looked:
    """Look at the model's own environment, and at every other that has transformers.

    Args:
        asked: What the code asks for.
        own: The model's environment; None where it is not built, or nobody knows which it is.
        others: Other environments.
        conditions: The versions that are locked; empty where there is no lock.
        table: What is known to have gone, for remedies.
        packages_of: Returns the package that brings a module, by what people call them.
    """
    looked = Looked()
    if asked.written_for:
        text = f"config.json was written with transformers {asked.written_for}"
        looked.facts.append(Fact(Layer.ENVIRONMENT, text))
    _requirements(asked, conditions, looked)
    _neighbours(asked, looked)
    answers = {place.label: _answers(asked, place) for place in (own, *others) if place}
    good = [
        f"{PACKAGE}=={place.version}"
        for place in (own, *others)
        if place and _lacking(asked, answers[place.label]) == []
    ]
    seen: set[str] = set()
    for place in (own, *others):
        if place is None or not place.version or not asked.names:
            continue
        lacking = _lacking(asked, answers[place.label])
        if place is own or place.version not in seen:
            seen.add(place.version)
            looked.facts.append(_told(asked, place, answers[place.label], lacking))
        if place is own:
            looked.findings += [
                _missing(each, place, asked, good, conditions, table) for each in lacking or ()
            ]
    if own is not None:
        looked.findings += _modules(asked, own, packages_of)
    elif not conditions.versions and not good and asked.names:
        looked.findings += [_nowhere(asked, each, answers) for each in others if each.version][:1]
    return looked


def _answers(asked: Asked, place: Place) -> dict[tuple[str, str], Answer]:
    if not place.version:
        return {}
    return {key: place.lookup.find(*key) for key in asked.names}


def _lacking(asked: Asked, answers: Mapping[tuple[str, str], Answer]) -> list[Wanted] | None:
    """Return the names that are missing and not guarded; None where nothing was looked up."""
    if not answers:
        return None
    return [
        wanted
        for key, wanted in asked.names.items()
        if answers[key] is Answer.MISSING and not wanted.guarded
    ]


def _told(
    asked: Asked,
    place: Place,
    answers: Mapping[tuple[str, str], Answer],
    lacking: list[Wanted] | None,
) -> Fact:
    names = asked.names
    where = f"{PACKAGE} {place.version} ({place.label})"
    unknown = [key for key, answer in answers.items() if answer is Answer.UNKNOWN]
    behind = [
        key for key, answer in answers.items() if answer is Answer.MISSING and names[key].guarded
    ]
    parts = []
    if lacking:
        parts.append(f"{listed(each.name for each in lacking)} missing")
    if behind:
        parts.append(f"{listed(name for _, name in behind)} absent, behind a test or a try")
    if unknown:
        parts.append(f"{listed(name for _, name in unknown)} not known from the text")
    if not parts:
        return Fact(
            Layer.ENVIRONMENT, f"all {len(names)} names that the code imports are in {where}"
        )
    return Fact(
        Layer.ENVIRONMENT,
        f"of {len(names)} names that the code imports, in {where}: {'; '.join(parts)}",
    )


def _missing(
    wanted: Wanted,
    place: Place,
    asked: Asked,
    good: Sequence[str],
    conditions: Conditions,
    table: Sequence[Gone],
) -> Finding:
    evidence = tuple(
        each.evidence
        for each in asked.wanted
        if (each.module, each.name, each.level) == (wanted.module, wanted.name, 0)
    )
    patch = _rename(wanted, asked, place, conditions, table)
    remedies = []
    if patch is not None:
        remedies.append("a patch that takes what is in its place")
    if good:
        remedies.append(f"pin {good[0]}, which has all of them")
    elif asked.written_for:
        remedies.append(f"pin {PACKAGE}=={asked.written_for}, with which the model was written")
    return Finding(
        Layer.ENVIRONMENT,
        draft_id("gone", wanted.name),
        Effect.RISK if wanted.called else Effect.STOPS,
        f"{PACKAGE} {place.version} has no {wanted.name} in {wanted.module}",
        f"ImportError: cannot import name '{wanted.name}'"
        + (", when the function that imports it is called" if wanted.called else ""),
        " or ".join(remedies) or f"pin a release of {PACKAGE} that has it",
        evidence,
        patch,
    )


def _rename(
    wanted: Wanted, asked: Asked, place: Place, conditions: Conditions, table: Sequence[Gone]
) -> Patch | None:
    for gone in table:
        same = (gone.module, gone.name, gone.of) == (wanted.module, wanted.name, "")
        if not same or not gone.replacement or not is_gone(gone, place.version):
            continue
        if place.lookup.find(wanted.module, gone.replacement) is not Answer.OFFERED:
            continue
        code = next(each for each in asked.codes if each.name == wanted.evidence.file)
        return renaming(
            code,
            draft_id("gone", wanted.name),
            gone.why or f"{PACKAGE} has {gone.instead} in its place.",
            {wanted.name: gone.replacement},
            conditions,
            {PACKAGE: f">={gone.gone}"},
        )
    return None


def _nowhere(
    asked: Asked, place: Place, answers: Mapping[str, Mapping[tuple[str, str], Answer]]
) -> Finding:
    lacking = _lacking(asked, answers[place.label]) or []
    pin = f"; it was written with {asked.written_for}" if asked.written_for else ""
    return Finding(
        Layer.ENVIRONMENT,
        "no-environment",
        Effect.RISK,
        f"no environment that is built has every name: in {PACKAGE} {place.version} "
        f"{listed(each.name for each in lacking)} missing",
        "the code cannot be imported in any of them",
        f"lock a release of {PACKAGE} that has them{pin}",
        tuple(each.evidence for each in lacking[:3]),
    )


def _modules(asked: Asked, own: Place, packages_of: Callable[[str], str]) -> list[Finding]:
    """Find modules that nothing in the environment brings."""
    found: dict[str, tuple[Wanted, str]] = {}
    for wanted in asked.wanted:
        if wanted.level or wanted.top in sys.stdlib_module_names:
            continue
        if _is_neighbour(wanted, asked.files) or wanted.top in found:
            continue
        ends = _ends(wanted, own)
        if ends and own.lookup.find(wanted.top, "") is Answer.MISSING:
            found[wanted.top] = (wanted, ends)
    return [
        Finding(
            Layer.ENVIRONMENT,
            draft_id("module", top),
            Effect.RISK if ends is CALLED else Effect.STOPS,
            f"nothing in the environment brings the module {top}",
            ends,
            f"add {packages_of(top)} to the manifest's dependencies and lock it again",
            (wanted.evidence,),
        )
        for top, (wanted, ends) in found.items()
    ]


def _ends(wanted: Wanted, own: Place) -> str:
    """Return what comes of it where a module is not there; nothing where that is expected.

    transformers looks through a model's files before it imports them, functions included, and
    refuses a model of which a package is missing; what stands in a `try` it passes over.
    """
    passed_over = own.checks_by_tree is False and wanted.aliased
    if own.checks_by_tree is not None and not wanted.tried and not passed_over:
        return "ImportError: This modeling file requires the following packages"
    if wanted.guarded:
        return ""
    return CALLED if wanted.called else "ModuleNotFoundError, when the file is imported"


def _is_neighbour(wanted: Wanted, files: frozenset[str]) -> bool:
    return f"{wanted.top}.py" in files


def _neighbours(asked: Asked, looked: Looked) -> None:
    """Find files of the model that are imported as if they were packages, or are not there."""
    for wanted in asked.wanted:
        here = wanted.evidence.file
        if wanted.level:
            options = beside(wanted, here)
            if options and not wanted.guarded and not any(each in asked.files for each in options):
                looked.findings.append(
                    Finding(
                        Layer.ENVIRONMENT,
                        draft_id("file", options[0]),
                        Effect.STOPS,
                        f"{here} imports {options[0]}, which is not there",
                        "the loader looks for the file and fails",
                        "fetch the file: it belongs to the model",
                        (wanted.evidence,),
                    )
                )
        elif _is_neighbour(wanted, asked.files) and not wanted.guarded:
            looked.findings.append(
                Finding(
                    Layer.ENVIRONMENT,
                    draft_id("dot", wanted.top, here),
                    Effect.STOPS,
                    f"{here} imports its neighbour {wanted.top}.py as if it were a package",
                    f"transformers looks for a package {wanted.top} and does not find it",
                    f"write a dot before it: from .{wanted.top} import …",
                    (wanted.evidence,),
                )
            )


def _requirements(asked: Asked, conditions: Conditions, looked: Looked) -> None:
    """Compare the model's own requirements with what is locked."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if not conditions.versions:
        return
    for evidence, line in asked.requirements:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is not None:
            continue
        version = conditions.versions.get(canonicalize_name(requirement.name))
        if version is None or requirement.specifier.contains(version, prereleases=True):
            continue
        looked.findings.append(
            Finding(
                Layer.ENVIRONMENT,
                draft_id("requirement", requirement.name),
                Effect.RISK,
                f"the model asks for {requirement.name}{requirement.specifier}, "
                f"and {version} is locked",
                "the code was written for another release than the one that runs it",
                f"pin what it asks for, or prove by a patch set that {version} is right",
                (evidence,),
            )
        )
