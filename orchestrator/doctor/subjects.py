"""From a model's name or a directory to a `Subject`, with everything that fails on the way said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import machine
from orchestrator.backends.installed import installed, site_packages
from orchestrator.core import patching
from orchestrator.core.devices import AUTO, choose_device, choose_dtype
from orchestrator.core.patching import Conditions
from orchestrator.core.patching.conditions import problem
from orchestrator.doctor.packages import Installation, SitePackages
from orchestrator.doctor.rules import configs, weights
from orchestrator.doctor.rules.records import Effect, Finding, Layer
from orchestrator.doctor.subject import Subject, config_of, list_files
from orchestrator.errors import EnvironmentFailure, ManifestError, MMError, SourceError, UsageError
from orchestrator.processor import native_dtypes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.catalog import Declared
    from orchestrator.sources.records import SourceRecord
    from orchestrator.workspace import Workspace


def model_subject(
    workspace: Workspace, declared: Declared, device: str = AUTO, dtype: str = AUTO
) -> Subject:
    """Return a model as a job would load it on a device, in a dtype.

    Raises:
        UsageError: When the manifest does not list what was asked for.
    """
    early: list[Finding] = []
    on, as_type = _chosen(workspace, declared, device, dtype, early)
    versions, own = _environment(workspace, declared, early)
    conditions = Conditions(on, as_type, versions)
    record = _record(workspace, declared, early)
    files: dict[str, Path] = {}
    if record is not None:
        files = {name: path for name in record.files if (path := record.file(name)).is_file()}
    subject = Subject(
        declared.name,
        Path(record.path) if record is not None else None,
        files,
        conditions,
        declared,
        record,
        own,
        early=early,
        mend=_mend(declared.name, record),
    )
    _patch(subject, declared, early)
    return subject


def directory_subject(
    directory: Path, device: str = AUTO, dtype: str = AUTO, python: str | None = None
) -> Subject:
    """Return any directory that may hold a model.

    Args:
        directory: It need have no manifest.
        device: Where the model is to run; by default on the best that is here.
        dtype: In which dtype; by default the one that its configuration names, else that of its
            weights.
        python: The interpreter whose packages are the environment; by default nobody's.

    Raises:
        UsageError: When there is no such directory, or no packages at `python`.
    """
    if not directory.is_dir():
        raise UsageError("not a directory", where=str(directory))
    for name, value in (("device", device), ("dtype", dtype)):
        if value != AUTO and (wrong := problem(name, value)):
            raise UsageError(wrong, where=f"--{name}")
    versions: Mapping[str, str] = {}
    own = None
    if python is not None:
        own = _installation_of(Path(python))
        versions = own.versions
    available = machine.available_devices()
    on = device if device != AUTO else ("cuda" if "cuda" in available else "cpu")
    subject = Subject(
        str(directory),
        directory,
        list_files(directory),
        Conditions(on, "float32", versions),
        own=own,
    )
    if dtype == AUTO:
        named = configs.dtype_named(config_of(subject.original("config.json")))
        dtype = named if named in configs.COMPUTED else weights.majority(subject.weights.headers)
    subject.conditions = Conditions(on, dtype or "float32", versions)
    return subject


def built(workspace: Workspace, but: Sequence[Path] = ()) -> list[Installation]:
    """Return every environment that is built and whole, those at the paths `but` left out."""
    found = []
    for stored in workspace.environments.store.all():
        site = site_packages(stored.path)
        if stored.marker is not None and site is not None and site not in but:
            label = f"the environment {stored.path.name}"
            found.append(Installation(label, stored.marker.packages, SitePackages(site)))
    return found


def _installation_of(python: Path) -> Installation:
    directory = python.expanduser().absolute().parent.parent
    site = site_packages(directory)
    if site is None:
        raise UsageError(f"there are no packages of {python}", where="--python")
    versions = {name: package.version for name, package in installed(directory).items()}
    return Installation(str(python), versions, SitePackages(site))


def _chosen(
    workspace: Workspace, declared: Declared, device: str, dtype: str, early: list[Finding]
) -> tuple[str, str]:
    manifest = declared.manifest
    available = machine.available_devices()
    try:
        # A device that is asked for by name need not be here: nothing is run.
        on = choose_device(manifest, device, available if device == AUTO else (device,))
    except UsageError as error:
        if device != AUTO:
            raise
        early.append(_early(Layer.DEVICE, "device", error, "run it on another machine"))
        on = manifest.devices[0]
    return on, choose_dtype(manifest, on, dtype, workspace.memory.get(on), native_dtypes())


def _environment(
    workspace: Workspace, declared: Declared, early: list[Finding]
) -> tuple[Mapping[str, str], Installation | None]:
    try:
        target = workspace.environments.target(declared)
    except EnvironmentFailure as error:
        early.append(_early(Layer.ENVIRONMENT, "lock", error, f"run: mm env lock {declared.name}"))
        return {}, None
    versions = {pin.name: pin.version for pin in target.pins}
    stored = workspace.environments.store.find(target.digest)
    site = site_packages(stored.path) if stored is not None else None
    if site is None:
        return versions, None
    return versions, Installation("its own environment", versions, SitePackages(site))


def _record(workspace: Workspace, declared: Declared, early: list[Finding]) -> SourceRecord | None:
    if declared.manifest.source is None:
        return None
    try:
        return workspace.sources.ready(declared)
    except SourceError as error:
        fix = f"run: mm model pull {declared.name}"
        early.append(_early(Layer.WEIGHTS, "files", error, fix))
        return workspace.sources.record(declared.name)


def _patch(subject: Subject, declared: Declared, early: list[Finding]) -> None:
    from orchestrator.sources.patchsets import load_patch_sets

    try:
        subject.sets = tuple(load_patch_sets(declared))
    except ManifestError as error:
        early.append(_early(Layer.PATCHES, "set", error, "mend the patch set"))
        return
    if subject.sets and subject.files:
        subject.patched = patching.apply(subject.sets, subject.original, subject.conditions)


def _early(layer: Layer, name: str, error: MMError, remedy: str) -> Finding:
    where = f"{error.where}: " if error.where else ""
    return Finding(
        layer,
        f"{layer.value}-{name}",
        Effect.STOPS,
        f"{where}{error.what}",
        "the model is not run",
        error.fix or remedy,
    )


def _mend(name: str, record: SourceRecord | None) -> str:
    if record is not None and not record.repo:
        return f"run: mm model verify {name}; then mend the files in {record.path}"
    return f"run: mm model verify {name}; then: mm model pull {name}"
