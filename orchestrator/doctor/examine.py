"""All layers of one subject, each by itself: what one sees, another need not know."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.core.patching import State, drift, unproved
from orchestrator.doctor import caches
from orchestrator.doctor.rules import apis, casts, configs, devices, environments, weights
from orchestrator.doctor.rules.records import (
    Effect,
    Evidence,
    Fact,
    Finding,
    Layer,
    Looked,
    Report,
    report,
)
from orchestrator.doctor.subject import config_of, requirements_of
from orchestrator.doctor.subjects import built

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from orchestrator.doctor.packages import Installation
    from orchestrator.doctor.rules.tables import Table
    from orchestrator.doctor.subject import Subject
    from orchestrator.workspace import Workspace

BRINGS = {
    "PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "pyyaml", "sklearn": "scikit-learn",
    "skimage": "scikit-image", "flash_attn": "flash-attn", "google": "protobuf",
    "sentence_transformers": "sentence-transformers", "fitz": "pymupdf", "bs4": "beautifulsoup4",
}  # fmt: skip
"""The packages of modules that bear another name."""


def examine(
    subject: Subject,
    workspace: Workspace,
    table: Table,
    layers: Collection[Layer] = tuple(Layer),
) -> Report:
    """Look at `subject` layer by layer and return what was seen.

    Args:
        subject: A model or a directory.
        workspace: The user's: other environments, other models' directories, the module cache.
        table: What is known to have gone from packages.
        layers: Those to look at.
    """
    looked = Looked()
    looks: dict[Layer, Callable[[], Looked]] = {
        Layer.ENVIRONMENT: lambda: _environment(subject, workspace, table),
        Layer.API: lambda: _api(subject, workspace, table),
        Layer.DEVICE: lambda: devices.look(subject.codes, subject.conditions),
        Layer.CONFIGURATION: lambda: _configuration(subject),
        Layer.WEIGHTS: lambda: _weights(subject),
        Layer.DTYPES: lambda: casts.look(subject.codes, subject.conditions),
        Layer.CACHES: lambda: _caches(subject, workspace),
        Layer.PATCHES: lambda: _patches(subject),
    }
    for layer, look in looks.items():
        if layer in layers:
            looked.findings += [each for each in subject.early if each.layer is layer]
            try:
                looked.add(look())
            except RecursionError:
                looked.findings.append(_too_deep(layer))
    return report(subject.name, told(subject), looked)


def _too_deep(layer: Layer) -> Finding:
    return Finding(
        layer,
        f"{layer.value}-too-deep",
        Effect.RISK,
        "the code is nested too deep to be looked at here",
        "nothing more is known of this layer",
        "look at the code by hand",
    )


def told(subject: Subject) -> str:
    """Return the conditions in words."""
    conditions = subject.conditions
    versions = [
        f"{name} {conditions.versions[name]}"
        for name in ("transformers", "torch")
        if name in conditions.versions
    ]
    return ", ".join([f"on {conditions.device} in {conditions.dtype}", *versions])


def _environment(subject: Subject, workspace: Workspace, table: Table) -> Looked:
    looked = Looked()
    if subject.declared is not None and subject.own is None and subject.conditions.versions:
        text = "its environment is not built yet; names cannot be looked up in it"
        looked.facts.append(Fact(Layer.ENVIRONMENT, text))
    looked.findings += subject.unparsed
    own = _place(subject.own) if subject.own is not None else None
    mine = [subject.own.site.directory] if subject.own and subject.own.site else []
    others = [place for each in built(workspace, mine) if (place := _place(each)) is not None]
    written = config_of(subject.original("config.json")).get("transformers_version")
    if own is None and not others and subject.codes and subject.declared is None:
        text = "no environment is built in which the code's names could be looked up"
        looked.facts.append(Fact(Layer.ENVIRONMENT, text))
    asked = environments.Asked(
        subject.wanted,
        subject.codes,
        frozenset(subject.files),
        requirements_of(subject),
        written if isinstance(written, str) else "",
    )
    looked.add(
        environments.look(
            asked, own, others, subject.conditions, table.gone, lambda top: BRINGS.get(top, top)
        )
    )
    return looked


def _place(installation: Installation) -> environments.Place | None:
    lookup = installation.lookup
    if lookup is None:
        return None
    by_tree = None
    if installation.site is not None and "transformers" in installation.versions:
        source = installation.site.source("transformers.dynamic_module_utils")
        by_tree = source is not None and "ast.parse" in (source.text or "")
    return environments.Place(installation.label, installation.versions, lookup, by_tree)


def _api(subject: Subject, workspace: Workspace, table: Table) -> Looked:
    del workspace
    site = subject.own.site if subject.own is not None else None

    def text_of(module: str) -> str | None:
        source = site.source(module) if site is not None else None
        return source.text if source is not None else None

    return apis.look(subject.codes, table.gone, subject.conditions, text_of)


def _configuration(subject: Subject) -> Looked:
    code = "\n".join(each.file.source.text for each in subject.codes)
    beside = configs.Setting(
        subject.conditions,
        subject.offered,
        frozenset(subject.files),
        code,
        offline=subject.declared is not None,
    )
    looked = configs.look(subject.configs, beside)
    looked.findings += subject.unread
    return looked


def _weights(subject: Subject) -> Looked:
    if subject.declared is not None and subject.declared.manifest.source is None:
        text = "its weights come with the packages of its environment"
        return Looked([Fact(Layer.WEIGHTS, text)])
    return weights.look(subject.weights, subject.mend)


def _caches(subject: Subject, workspace: Workspace) -> Looked:
    others = [
        Path(record.path)
        for name in workspace.catalog.models
        if name != subject.name
        and (record := workspace.sources.record(name)) is not None
        and not record.repo
    ]
    return caches.look(subject, caches.module_cache(workspace.variables), others)


def _patches(subject: Subject) -> Looked:
    looked = Looked()
    if subject.patched is None:
        return looked
    counts: dict[State, int] = {}
    for outcome in subject.patched.outcomes:
        counts[outcome.state] = counts.get(outcome.state, 0) + 1
        if outcome.state is State.CONFLICT:
            looked.findings.append(
                Finding(
                    Layer.PATCHES,
                    f"conflict-{outcome.patch.id}",
                    Effect.STOPS,
                    f"the patch set {outcome.set_name} does not fit: {outcome.sentence}",
                    "a job is refused before it begins, and nothing is patched",
                    f"change the patch, or use the files that it was written for: "
                    f"mm patch check {subject.name}",
                    (Evidence(outcome.patch.file, outcome.line, outcome.looked_for),),
                )
            )
    said = ", ".join(f"{count} {state.value}" for state, count in counts.items())
    names = ", ".join(each.name for each in subject.sets)
    looked.facts.append(Fact(Layer.PATCHES, f"{names}: {said}"))
    if reason := unproved(subject.sets, subject.conditions):
        looked.findings.append(
            Finding(
                Layer.PATCHES,
                "unproved",
                Effect.STOPS,
                reason,
                "a job is refused: the answers may be wrong in silence",
                f"pin what was proved, and lock it again: mm env lock {subject.name}",
            )
        )
    looked.findings += _drift(subject)
    return looked


def _drift(subject: Subject) -> Sequence[Finding]:
    commit = subject.record.commit if subject.record is not None else ""
    return [
        Finding(
            Layer.PATCHES,
            "drift",
            Effect.RISK,
            f"{each.file} is not the file of {each.commit[:12]} that {patch_set.name} was "
            "written for",
            "the patches may fit and still not do what they are for",
            subject.mend,
            (Evidence(each.file),),
        )
        for patch_set in subject.sets
        for each in drift(patch_set, commit, subject.original)
    ]
