"""From a model's name or a directory to what the rules check; a failure here is a finding."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.backends.installed import installed, site_packages
from orchestrator.catalog import Declared, ManifestDirectory
from orchestrator.catalog.directories import SUFFIX
from orchestrator.catalog.manifest_files import manifest_files, read_plain, shown_path
from orchestrator.core import patching
from orchestrator.core.devices import AUTO, choose_device, choose_dtype, named_device
from orchestrator.core.patching import Conditions
from orchestrator.core.patching.conditions import problem
from orchestrator.doctor.lock_wheels import AskIndex, check_wheels
from orchestrator.doctor.rules.config import COMPUTED, dtype_named, json_object
from orchestrator.doctor.rules.findings import Effect, Evidence, Fact, Finding, Layer, rule
from orchestrator.doctor.rules.packages import Packages
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.rules.tables import Table, merged, read_table
from orchestrator.doctor.rules.traces import MAX_TEXT, match_failures, prepared
from orchestrator.doctor.rules.weight_rules import main_dtype
from orchestrator.doctor.site_packages import packages_of
from orchestrator.doctor.subject_files import list_files, read_limited, read_weights
from orchestrator.environments.health import damage
from orchestrator.environments.store import MARKER
from orchestrator.errors import EnvironmentFailure, ManifestError, MMError, SourceError, UsageError
from orchestrator.sources.inplace import module_cache
from orchestrator.sources.patchsets import load_patch_sets
from orchestrator.system.files import open_file
from orchestrator.system.machine import this_platform
from orchestrator.system.removal import modified
from orchestrator.workspace import Workspace

TABLES = "doctor"
"""The directory of tables beside manifests."""


@dataclass(frozen=True)
class CheckOptions:
    """What a subject is to be checked under.

    Attributes:
        device: Where the model is to run; "auto" for the best device of this machine.
        dtype: In which dtype; "auto" for a job's own choice, or, for a directory, the dtype that
            its configuration names, else that of its weights.
        python: The interpreter whose packages are the environment of a directory.
        ask_index: Asks the index for what the lock of a model lacks, where its environment is not
            built; None where it is left alone.
    """

    device: str = AUTO
    dtype: str = AUTO
    python: str | None = None
    ask_index: AskIndex | None = None


def load_tables(directories: Iterable[ManifestDirectory]) -> Table:
    """Return the tables `doctor/*.yaml` of all directories as one; the first with an entry wins.

    Raises:
        ManifestError: When one is broken.
    """
    tables = []
    for directory in directories:
        folder = directory.path / TABLES
        for file in manifest_files(folder) if folder.is_dir() else ():
            if file.name.endswith(SUFFIX):
                data, stem = read_plain(file, str(file)), file.name.removesuffix(SUFFIX)
                tables.append(read_table(data, file=str(file), stem=stem))
    return merged(tables)


def find_subject(workspace: Workspace, target: str, options: CheckOptions, table: Table) -> Subject:
    """Return what `target` names: a model, else a directory.

    Raises:
        UsageError: When it is neither, or cannot be checked with these options.
    """
    if target in workspace.catalog.models and os.sep not in target:
        if options.python is not None:
            raise UsageError("a model has an environment of its own", where="--python")
        return model_subject(workspace, workspace.catalog.model(target), options, table)
    directory = (workspace.cwd / Path(target).expanduser()).resolve()
    if directory.is_dir() or os.sep in target:
        return directory_subject(workspace, directory, options, table)
    workspace.catalog.model(target)  # raises what is wrong with the name
    raise AssertionError(target)


def model_subject(
    workspace: Workspace, declared: Declared, options: CheckOptions, table: Table
) -> Subject:
    """Return a model as a job would load it.

    Raises:
        UsageError: When the manifest does not list the device or dtype that was given.
    """
    early: list[Finding | Fact] = []
    device, dtype = _chosen(workspace, declared, options, early)
    versions, site = _environment(workspace, declared, options.ask_index, early)
    early += _last_failure(workspace, declared.name, table, site)
    name, record = declared.name, None
    if declared.manifest.source is not None:
        declared = workspace.sources.at(declared, dtype)
        known = workspace.sources.record(name, declared.precision)
        if known is None and declared.manifest.is_embedded:
            early.append(Fact(Layer.WEIGHTS, "its files are fetched for its first job"))
        else:
            with _noted(
                early, Layer.WEIGHTS, "files", SourceError, f"run: mm model pull {declared.words}"
            ):
                record = workspace.sources.ready(declared)
            record = record or known
    files: dict[str, Path] = {}
    if record is not None:
        files = {each: path for each in record.files if (path := record.file(each)).is_file()}
    subject = _subject(workspace, table, name, files, Conditions(device, dtype, versions))
    subject.manifest = declared.manifest
    subject.early = early
    subject.rebuild = _rebuild(name)
    with _noted(early, Layer.RUNNER, "runner", ManifestError, f"write {declared.runner}"):
        texts = declared.read_runner()
        subject.runner = {shown_path(Path(f), workspace.cwd): text for f, text in texts.items()}
    subject.fetch = f"run: mm model verify {name}; then: mm model pull {declared.words}"
    if record is not None:
        subject.root, subject.repo, subject.commit = Path(record.path), record.repo, record.commit
        if not record.pulled:
            subject.fetch = f"run: mm model verify {name}; then restore the files in {record.path}"
    if site is not None:
        subject.own = packages_of("its own environment", versions, site)
        subject.find_others = partial(_others, workspace, site)
    with _noted(early, Layer.PATCHES, "set", ManifestError, "correct the patch set"):
        subject.sets = tuple(load_patch_sets(declared))
        if subject.sets and files:
            subject.patched = patching.apply(subject.sets, subject.original, subject.conditions)
    return subject


def directory_subject(
    workspace: Workspace, directory: Path, options: CheckOptions, table: Table
) -> Subject:
    """Return any directory that may hold a model; it need have no manifest.

    Raises:
        UsageError: When there is no such directory, or no packages at `options.python`.
    """
    if not directory.is_dir():
        raise UsageError("not a directory", where=str(directory))
    for name, value in (("device", options.device), ("dtype", options.dtype)):
        if value != AUTO and (wrong := problem(name, value)):
            raise UsageError(wrong, where=f"--{name}")
    device, dtype = options.device, options.dtype
    if device == AUTO:
        device = "cuda" if "cuda" in workspace.machine.usable else "cpu"
    files, conditions = list_files(directory), Conditions(device, "float32")
    subject = _subject(workspace, table, str(directory), files, conditions)
    subject.root = directory
    if options.python is not None:
        environment = Path(options.python).expanduser().absolute().parent.parent
        site = site_packages(environment)
        if site is None:
            raise UsageError(f"there are no packages of {options.python}", where="--python")
        versions = {name: each.version for name, each in installed(environment).items()}
        subject.own = packages_of(options.python, versions, site)
        subject.find_others = partial(_others, workspace, site)
    if dtype == AUTO:
        dtype = dtype_named(json_object(subject.original("config.json")))
        if dtype not in COMPUTED:
            dtype = main_dtype(subject.weights.headers.values()) or "float32"
    has = subject.own.versions if subject.own is not None else {}
    subject.conditions = Conditions(device, dtype, has)
    return subject


def _subject(
    workspace: Workspace,
    table: Table,
    name: str,
    files: Mapping[str, Path],
    conditions: Conditions,
) -> Subject:
    return Subject(
        name=name,
        files=files,
        conditions=conditions,
        original=lambda name: read_limited(files[name]) if name in files else None,
        load_weights=partial(read_weights, files),
        find_others=partial(_others, workspace, None),
        table=table,
        platform=this_platform(),
        modules=module_cache(workspace.variables),
        local_models=partial(_local_models, workspace, name),
    )


def _others(workspace: Workspace, own: Path | None) -> list[Packages]:
    """Return every environment that is built and whole, but for the one with the packages `own`."""
    found = []
    for stored in workspace.environments.store.all():
        site = site_packages(stored.path)
        if stored.marker is not None and site is not None and site != own:
            label = f"the environment {stored.path.name}"
            found.append(packages_of(label, stored.marker.packages, site))
    return found


def _local_models(workspace: Workspace, but: str) -> list[Path]:
    """Return the user's own directories of models, but for the model `but`."""
    records = (workspace.sources.record(name) for name in workspace.catalog.models if name != but)
    return [Path(record.path) for record in records if record is not None and not record.pulled]


def _chosen(
    workspace: Workspace, declared: Declared, options: CheckOptions, early: list[Finding | Fact]
) -> tuple[str, str]:
    manifest = declared.manifest
    # A device that is given by name need not be on this machine: nothing is run.
    named = manifest.devices[0] if options.device == AUTO else options.device
    device = named_device(manifest, named)
    if options.device == AUTO:
        machine = workspace.machine_for(declared, options.dtype)
        with _noted(early, Layer.DEVICE, "device", UsageError, "run it on another machine"):
            device, note = choose_device(manifest, AUTO, machine)
            if note:
                early.append(Fact(Layer.DEVICE, note))
    usable = workspace.sources.usable(manifest) if options.dtype == AUTO else manifest
    return device.kind, choose_dtype(usable, device, options.dtype)


def _environment(
    workspace: Workspace, declared: Declared, ask: AskIndex | None, early: list[Finding | Fact]
) -> tuple[Mapping[str, str], Path | None]:
    """Return the versions that are locked, and the `site-packages` where they are built."""
    versions: Mapping[str, str] = {}
    site = None
    fix = f"run: mm env lock {declared.name}"
    with _noted(early, Layer.ENVIRONMENT, "lock", EnvironmentFailure, fix):
        target = workspace.environments.target(declared)
        versions = target.packages
        stored = workspace.environments.store.find(target.digest)
        site = site_packages(stored.path) if stored is not None else None
        marker = stored.marker if stored is not None else None
        if stored is not None and marker is not None and (reason := damage(stored.path, marker)):
            evidence, rebuild = Evidence(str(stored.path)), _rebuild(declared.name)
            known = rule("damaged-environment")
            early.append(known.matched(evidence, reason=reason, rebuild=rebuild))
        if stored is None and ask is not None and not target.mine:
            early.append(check_wheels(workspace, declared, ask))
    return versions, site


def _rebuild(name: str) -> str:
    return f"run: mm env check {name}; then: mm env sync {name}"


def _last_failure(
    workspace: Workspace, name: str, table: Table, site: Path | None
) -> Iterator[Finding]:
    """Yield a note where the newest worker's log of a model ends with a known failure.

    One that is older than the environment of now, whose `site-packages` is `site`, says nothing.
    """
    log = max(workspace.logs_of(name), key=modified, default=None)
    built = modified(site.parents[2] / MARKER) if site is not None else 0.0
    if log is None or modified(log) < built:
        return
    with suppress(OSError), open_file(log) as stream:
        stream.seek(max(0, log.stat().st_size - MAX_TEXT))
        text = stream.read(MAX_TEXT).decode("utf-8", "replace").rstrip()
        # Whatever stands after a trace was said by a job that came later.
        known = [each for each in match_failures(text, table.failures) if not each.failure.harmless]
        if known and "\n" not in prepared(text)[known[0].end :]:
            means, said = known[0].means(name), known[0].said
            yield rule("last-failure").matched(
                Evidence(str(log)), means=means, said=said, model=name, log=shlex.quote(str(log))
            )


@contextmanager
def _noted(
    early: list[Finding | Fact], layer: Layer, name: str, kind: type[MMError], fix: str
) -> Iterator[None]:
    """Make a finding of an error of a kind, which would refuse a job."""
    try:
        yield
    except kind as error:
        where = f"{error.where}: " if error.where else ""
        early.append(
            Finding(
                layer=layer,
                id=f"{layer.value}-{name}",
                effect=Effect.STOPS,
                finding=f"{where}{error.what}",
                consequence="the model is not run",
                remedy=error.fix or fix,
            )
        )
