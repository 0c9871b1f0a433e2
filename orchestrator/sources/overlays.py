"""Overlays: the directory that a worker loads, patched, beside an untouched download.

Code and configuration are real files, weights are links. Each overlay is named for what it was made
from and has a module cache of its own, so that nothing stale is ever imported. Whoever loads one
holds its lock, shared, and so does the worker; one that is out of date goes when the next is made,
unless somebody holds it.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core import patching
from orchestrator.core.canonical import digest, short
from orchestrator.errors import EnvironmentFailure, SourceError
from orchestrator.flock import nap, try_lock, wait_lock
from orchestrator.home import write_json
from orchestrator.sources.interpreter import check_compiles
from orchestrator.tidying import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.core.patching import Conditions, Patched, PatchSet
    from orchestrator.flock import Held
    from orchestrator.home import Home
    from orchestrator.sources.records import SourceRecord

MARKER = "overlay.json"
FORMAT = 2

REAL_SUFFIXES = frozenset({".py", ".json", ".txt", ".jinja", ".yaml", ".yml", ".md", ".cfg"})
"""Of code and configuration, which may be patched; everything else is linked."""


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Written last: an overlay without it is not whole."""

    digest: str
    commit: str
    path: str
    """Where the source lies."""
    source: str
    sets: dict[str, str]
    """The digest of each patch set."""
    patches: dict[str, str]
    """How each patch ended."""
    real: dict[str, tuple[int, int]]
    """Size and time of each real file, so that one edited by hand is noticed."""


@dataclass(frozen=True)
class Overlay:
    """A model's directory, ready to load.

    Attributes:
        digest: What it was made from.
        path: The directory for the runner; its name can be part of a module's.
        modules: Where the dynamic modules of transformers go.
        commit: The commit of the source; empty for a directory that the user added.
        source: The digest of the source's files.
        sets: The digest of each patch set, by name.
        patches: How each patch ended, by set and id.
        held: The lock that keeps it from being removed; whoever loads it releases it.
    """

    digest: str
    path: Path
    modules: Path
    commit: str
    source: str
    sets: Mapping[str, str]
    patches: Mapping[str, str]
    held: Held = field(compare=False)

    @property
    def variables(self) -> dict[str, str]:
        """What a worker's environment needs for it."""
        return {"HF_MODULES_CACHE": str(self.modules), "TRANSFORMERS_OFFLINE": "1"}


def overlay_digest(record: SourceRecord, sets: Sequence[PatchSet], conditions: Conditions) -> str:
    """Return the digest of an overlay: its source, its patch sets, which patches are needed."""
    return digest(
        {
            "format": FORMAT,
            "source": record.digest,
            "path": record.path,
            "sets": [each.digest for each in sets],
            "active": patching.active(sets, conditions),
        }
    )


def ensure_overlay(
    home: Home,
    model: str,
    record: SourceRecord,
    sets: Sequence[PatchSet],
    conditions: Conditions,
    python: Path,
    pause: Callable[[], None] = nap,
) -> Overlay:
    """Return the overlay for these conditions, made first where it is not there.

    Args:
        home: Where overlays lie.
        model: The model.
        record: Its files, which are there.
        sets: The patch sets of its manifest.
        conditions: What it will be loaded under.
        python: The interpreter that patched files must compile in.
        pause: Called again and again while another makes it; what it raises ends the wait.

    Raises:
        SourceError: When a patch does not fit, or a patched file does not compile.
    """
    name = overlay_digest(record, sets, conditions)
    directory = home.models / model / short(name)
    home.prepare()
    held = wait_lock(_use_lock(home, directory), shared=True, pause=pause)
    try:
        marker = _read(directory, name)
        if marker is None:
            with wait_lock(home.locks / f"overlays-of-{model}.lock", pause=pause):
                marker = _read(directory, name)
                if marker is None:
                    marker = _build(directory, name, record, sets, conditions, python)
                    _discard_old(home, directory.parent, record, sets)
    except BaseException:
        held.release()
        raise
    return Overlay(
        digest=marker.digest,
        path=directory / "model",
        modules=directory / "modules",
        commit=marker.commit,
        source=marker.source,
        sets=marker.sets,
        patches=marker.patches,
        held=held,
    )


def remove_overlays(home: Home, model: str) -> None:
    """Remove every overlay of a model, or none.

    Raises:
        SourceError: When somebody has one of them loaded, or one cannot be removed.
    """
    with ExitStack() as locks:
        directories = _directories(home.models / model)
        for directory in directories:
            held = try_lock(_use_lock(home, directory))
            if held is None:
                raise SourceError(f"{model} is loaded by somebody", fix=f"run: mm stop {model}")
            locks.enter_context(held)
        try:
            for directory in directories:
                remove(directory)
        except OSError as error:
            raise SourceError(
                f"could not be removed ({error.strerror})",
                where=str(error.filename),
                fix=f"check whose it is, then run: mm model remove {model}",
            ) from error


def _discard_old(
    home: Home, overlays: Path, record: SourceRecord, sets: Sequence[PatchSet]
) -> None:
    """Remove the overlays of other files or other patch sets, but for those that are in use."""
    current = (record.path, record.digest, {each.name: each.digest for each in sets})
    for directory in _directories(overlays):
        marker = _marker(directory)
        if marker is not None and (marker.path, marker.source, marker.sets) == current:
            continue
        with suppress(EnvironmentFailure):  # its lock is another user's
            held = try_lock(_use_lock(home, directory))
            if held is not None:
                with held:
                    shutil.rmtree(directory, ignore_errors=True)  # the next one tries again


def _directories(overlays: Path) -> list[Path]:
    try:
        return sorted(each for each in overlays.iterdir() if each.is_dir())
    except OSError:
        return []


def _use_lock(home: Home, directory: Path) -> Path:
    return home.locks / f"overlay-{directory.name}.lock"


def apply_or_refuse(
    record: SourceRecord, sets: Sequence[PatchSet], conditions: Conditions, model: str
) -> Patched:
    """Apply the patch sets to the files of `record`, in memory.

    Raises:
        SourceError: With the first conflict, the others beneath it.
    """
    patched = patching.apply(sets, lambda name: read_file(record, name), conditions)
    if patched.conflicts:
        first = patched.conflicts[0]
        others = "\n".join(f"{each.where}: {each.sentence}" for each in patched.conflicts[1:])
        raise SourceError(
            first.sentence,
            where=str(Path(record.path, first.where)),
            fix=f"run: mm patch check {model}",
            detail=others,
        )
    return patched


def read_file(record: SourceRecord, name: str) -> bytes | None:
    """Return the content of a file of the source, or None where there is no such file."""
    if name not in record.files:
        return None
    return record.file(name).read_bytes()


def _read(directory: Path, name: str) -> Marker | None:
    """Return the marker of the overlay in `directory` where it is whole and unchanged, or None."""
    marker = _marker(directory)
    if marker is None or marker.digest != name:
        return None
    try:
        for file, (size, modified) in marker.real.items():
            status = (directory / "model" / file).stat()
            if (status.st_size, status.st_mtime_ns) != (size, modified):
                return None
    except OSError:
        return None
    return marker


def _marker(directory: Path) -> Marker | None:
    try:
        return msgspec.json.decode((directory / MARKER).read_bytes(), type=Marker)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _build(
    directory: Path,
    name: str,
    record: SourceRecord,
    sets: Sequence[PatchSet],
    conditions: Conditions,
    python: Path,
) -> Marker:
    model = directory.parent.name
    patched = apply_or_refuse(record, sets, conditions, model)
    check_compiles(python, {n: d for n, d in patched.files.items() if n.endswith(".py")}, model)
    try:
        if directory.exists():
            shutil.rmtree(directory)  # not whole, or edited by hand
        (directory / "modules").mkdir(parents=True)
        real = {}
        for file in record.files:
            target = directory / "model" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if file in patched.files or target.suffix in REAL_SUFFIXES:
                data = patched.files.get(file) or record.file(file).read_bytes()
                target.write_bytes(data)
                status = target.stat()
                real[file] = (status.st_size, status.st_mtime_ns)
            else:
                target.symlink_to(record.file(file))
        marker = Marker(
            digest=name,
            commit=record.commit,
            path=record.path,
            source=record.digest,
            sets={each.name: each.digest for each in sets},
            patches={f"{o.set_name}/{o.patch.id}": o.state.value for o in patched.outcomes},
            real=real,
        )
        write_json(directory / MARKER, msgspec.to_builtins(marker))
    except OSError as error:
        raise SourceError(
            f"the overlay cannot be written ({error.strerror})", where=str(directory)
        ) from error
    return marker
