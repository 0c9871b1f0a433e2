"""The rules about what the code asks of its environment: names, modules, files, requirements.

Names are looked up in the text of installed packages. Those behind `try` or a test are expected to
be absent somewhere, and are kept apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.core.patching import Patch
from orchestrator.core.patching.patch_set import PythonEdit
from orchestrator.doctor.rules.config import json_object
from orchestrator.doctor.rules.findings import Effect, Fact, Finding, Layer, Results, listed, rule
from orchestrator.doctor.rules.imports import ImportedName
from orchestrator.doctor.rules.module_rules import WHEN_CALLED, check_modules
from orchestrator.doctor.rules.packages import TRANSFORMERS, Answer, Packages
from orchestrator.doctor.rules.patches import fitted
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.rules.tables import is_removed

MISSING, GUARDED, UNKNOWN = (
    "missing",
    "absent, behind a test or a try",
    "not known from the text",
)
"""Why a name is not there."""


def check_environment(subject: Subject) -> Results:
    """Check what the code asks for against the model's own environment and every other one."""
    own, others = subject.own, subject.others
    if subject.manifest is not None and own is None and subject.conditions.versions:
        text = "its environment is not built yet; names cannot be looked up in it"
        yield Fact(Layer.ENVIRONMENT, text)
    yield from subject.unparsed
    if own is None and not others and subject.codes and subject.manifest is None:
        text = "no environment is built in which the code's names could be looked up"
        yield Fact(Layer.ENVIRONMENT, text)
    written = json_object(subject.original("config.json")).get("transformers_version")
    written = written if isinstance(written, str) else ""
    if written:
        text = f"config.json was written with {TRANSFORMERS} {written}"
        yield Fact(Layer.ENVIRONMENT, text)
    yield from _check_requirements(subject)
    yield from _check_files(subject)
    yield from _check_names(subject, own, others, written)
    yield from check_modules(subject, own)


def _check_names(
    subject: Subject, own: Packages | None, others: Sequence[Packages], written: str
) -> Results:
    """Look the names from transformers up, each once; one that is not guarded first."""
    names: dict[tuple[str, str], ImportedName] = {}
    for each in sorted(subject.imports, key=lambda each: each.guarded):
        if each.level == 0 and each.top == TRANSFORMERS and each.name:
            names.setdefault((each.module, each.name), each)
    every = [own, *others] if own is not None else others
    absent = [(each, _absent(names, each)) for each in every if names and each.transformers]
    good = next((each for each, found in absent if not found[MISSING]), None)
    seen: set[str] = set()
    for packages, found in absent:
        if packages is own or packages.transformers not in seen:
            seen.add(packages.transformers)
            yield _names_fact(len(names), packages, found)
        if packages is own:
            for name in found[MISSING]:
                yield _missing(name, packages, subject, good, written)
    if own is None and absent and good is None and not subject.conditions.versions:
        packages, found = absent[0]
        yield rule("no-environment").matched(
            *(name.evidence for name in found[MISSING][:3]),
            version=packages.transformers,
            names=listed(name.name for name in found[MISSING]),
            pin=f"; it was written with {written}" if written not in ("", *seen) else "",
        )


def _absent(
    names: Mapping[tuple[str, str], ImportedName], packages: Packages
) -> dict[str, list[ImportedName]]:
    """Return the names that an environment does not have, by why that is."""
    found: dict[str, list[ImportedName]] = {MISSING: [], GUARDED: [], UNKNOWN: []}
    for key, name in names.items():
        answer = packages.find(*key)
        if answer is Answer.MISSING:
            found[GUARDED if name.guarded else MISSING].append(name)
        elif answer is Answer.UNKNOWN:
            found[UNKNOWN].append(name)
    return found


def _names_fact(total: int, packages: Packages, absent: dict[str, list[ImportedName]]) -> Fact:
    where = f"{TRANSFORMERS} {packages.transformers} ({packages.label})"
    parts = [f"{listed(each.name for each in n)} {why}" for why, n in absent.items() if n]
    if not parts:
        text = f"all {total} names that the code imports are in {where}"
    else:
        text = f"of {total} names that the code imports, in {where}: {'; '.join(parts)}"
    return Fact(Layer.ENVIRONMENT, text)


def _missing(
    name: ImportedName, own: Packages, subject: Subject, good: Packages | None, written: str
) -> Finding:
    patch = _renaming(name, own, subject)
    remedies = ["a patch that takes what is in its place"] if patch is not None else []
    if good is not None and good.transformers != own.transformers:
        remedies.append(f"pin {TRANSFORMERS}=={good.transformers}, which has all of them")
    elif written and written != own.transformers:
        remedies.append(f"pin {TRANSFORMERS}=={written}, with which the model was written")
    same = (name.module, name.name, 0)
    return rule("no-name").matched(
        *(e.evidence for e in subject.imports if (e.module, e.name, e.level) == same),
        effect=Effect.RISK if name.called else Effect.STOPS,
        patch=patch,
        missing=name,
        version=own.transformers,
        called=WHEN_CALLED if name.called else "",
        remedies=" or ".join(remedies) or f"pin another release of {TRANSFORMERS}, which has it",
    )


def _renaming(name: ImportedName, own: Packages, subject: Subject) -> Patch | None:
    """Return the patch that takes the name that stands in the place of a removed one."""
    for api in subject.table.removed:
        same = (api.module, api.name, api.of) == (name.module, name.name, "")
        if not same or not api.replacement or not is_removed(api, own.transformers):
            continue
        if own.find(name.module, api.replacement) is not Answer.OFFERED:
            continue
        code = next(each for each in subject.codes if each.name == name.evidence.file)
        patch = Patch(
            id="draft",
            why=api.why or f"{TRANSFORMERS} has {api.instead} in its place.",
            file=code.name,
            when={TRANSFORMERS: f">={api.since}"},
            python=PythonEdit(rename={name.name: api.replacement}),
        )
        return fitted(patch, code.data, subject.conditions)
    return None


def _check_files(subject: Subject) -> Iterator[Finding]:
    """Find files of the model that are imported as if they were packages, or are not there."""
    for each in subject.imports:
        file = each.evidence.file
        if each.guarded:
            continue
        if each.level:
            if each.files and not any(name in subject.files for name in each.files):
                yield rule("no-file").matched(each.evidence, file=file, name=each.files[0])
        elif f"{each.top}.py" in subject.files:
            yield rule("no-dot").matched(each.evidence, file=file, top=each.top)


def _check_requirements(subject: Subject) -> Iterator[Finding]:
    """Compare the model's own requirements with what is locked."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    versions = subject.conditions.versions
    for evidence in subject.requirements if versions else ():
        try:
            requirement = Requirement(evidence.quote)
        except InvalidRequirement:
            continue
        version = versions.get(canonicalize_name(requirement.name))
        if requirement.marker is not None or version is None:
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield rule("other-version").matched(evidence, asked=requirement, version=version)
