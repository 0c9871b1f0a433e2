"""Overlays: the directory that a worker loads, patched, beside an untouched download.

Code and configuration are real files, weights are links. Each overlay is named for what it was made
from. Workers and those who start them hold it shared; one that is out of date goes when the next is
made, unless it is held.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from orchestrator.core import patching
from orchestrator.core.canonical import digest, short
from orchestrator.core.patching import Conditions, Patched, PatchSet
from orchestrator.errors import EnvironmentFailure, SourceError
from orchestrator.sources.interpreter import check_compiles
from orchestrator.sources.model_files import SourceRecord, system_errors
from orchestrator.sources.patchsets import refuse_conflicts
from orchestrator.system.content_store import ContentStore
from orchestrator.system.files import read_file
from orchestrator.system.flock import Held, nap, wait_lock
from orchestrator.system.home import Home

MARKER = "overlay.json"
FORMAT = 3

MODEL = "model"
"""The directory in an overlay that the runner is given."""

REAL_SUFFIXES = frozenset({".py", ".json", ".txt", ".jinja", ".yaml", ".yml", ".md", ".cfg"})
"""Of code and configuration, which may be patched; everything else is linked."""


class OverlayMarker(msgspec.Struct, frozen=True, kw_only=True):
    """Written last: an overlay without it is not whole."""

    digest: str
    """What the overlay was made from."""
    commit: str
    """The commit of the source; empty for a directory that the user added."""
    path: str
    """Where the source lies."""
    source: str
    """The digest of the source's files."""
    files: dict[str, str]
    """The hash of each of the source's files."""
    sets: dict[str, str]
    """The digest of each patch set, by name."""
    patches: dict[str, str]
    """How each patch ended, by set and id."""
    real: dict[str, tuple[int, int]]
    """Size and time of each real file, so that one edited by hand is noticed."""


@dataclass(frozen=True)
class Overlay:
    """A model's directory, ready to load.

    Attributes:
        directory: Where it lies.
        marker: What was written into it when it was whole.
        held: The lock that keeps it from being removed; the caller releases it.
    """

    directory: Path
    marker: OverlayMarker
    held: Held = field(compare=False)

    @property
    def digest(self) -> str:
        """What it was made from."""
        return self.marker.digest

    @property
    def path(self) -> Path:
        """The directory for the runner; its name can be part of a module's."""
        return self.directory / MODEL

    @property
    def variables(self) -> dict[str, str]:
        """What a worker's environment needs for it."""
        return {"TRANSFORMERS_OFFLINE": "1"}


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
    store = _store(home, model)
    directory = store.root / short(name)
    home.prepare()
    held = store.use(name, pause)
    try:
        marker = _find(store, directory, name)
        if marker is None:
            with wait_lock(home.locks / f"overlays-of-{model}.lock", pause=pause):
                marker = _find(store, directory, name)
                if marker is None:
                    patched = patching.apply(sets, record.read, conditions)
                    refuse_conflicts(patched, record.path, fix=f"run: mm patch check {model}")
                    code = {n: d for n, d in patched.files.items() if n.endswith(".py")}
                    check_compiles(python, code, model)
                    marker = _make(store, directory, name, record, sets, patched)
                    _discard_old(store, marker)
    except BaseException:
        held.release()
        raise
    return Overlay(directory, marker, held)


def remove_overlays(home: Home, model: str) -> None:
    """Remove every overlay of a model, or none.

    Raises:
        SourceError: When one of them is in use, or cannot be removed.
    """
    store = _store(home, model)
    with contextlib.ExitStack() as locks:
        for directory in store.directories():
            held = store.try_unused(directory.name)
            if held is None:
                raise SourceError(f"{model} is in use", fix=f"run: mm stop {model}")
            locks.enter_context(held)
        again = f"check whose it is, then run: mm model remove {model}"
        with system_errors("could not be removed", store.root, fix=again):
            for directory in store.directories():
                store.clear(directory)


def _store(home: Home, model: str) -> ContentStore[OverlayMarker]:
    return ContentStore(
        home.models / model,
        home.locks,
        kind="overlay",
        marker_file=MARKER,
        marker_type=OverlayMarker,
    )


def _find(store: ContentStore[OverlayMarker], directory: Path, name: str) -> OverlayMarker | None:
    """Return the marker of the overlay in `directory` where it is whole and unchanged, or None."""
    marker = store.marker(directory)
    if marker is None or marker.digest != name:
        return None
    try:
        now = {file: _stamp(directory / MODEL / file) for file in marker.real}
    except OSError:
        return None
    return marker if now == marker.real else None


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _make(
    store: ContentStore[OverlayMarker],
    directory: Path,
    name: str,
    record: SourceRecord,
    sets: Sequence[PatchSet],
    patched: Patched,
) -> OverlayMarker:
    def fill() -> OverlayMarker:
        real = {}
        for file in record.files:
            target = directory / MODEL / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if file in patched.files or target.suffix in REAL_SUFFIXES:
                target.write_bytes(patched.files.get(file) or read_file(record.file(file)))
                real[file] = _stamp(target)
            else:
                target.symlink_to(record.file(file))
        return OverlayMarker(
            digest=name,
            commit=record.commit,
            path=record.path,
            source=record.digest,
            files={name: each.sha256 for name, each in record.files.items()},
            sets={each.name: each.digest for each in sets},
            patches={f"{o.set_name}/{o.patch.id}": o.state.value for o in patched.outcomes},
            real=real,
        )

    with system_errors("the overlay cannot be written", directory):
        return store.make(directory, fill)


def _discard_old(store: ContentStore[OverlayMarker], new: OverlayMarker) -> None:
    """Remove the overlays of other files or other patch sets, but for those that are in use."""
    for directory in store.directories():
        marker = store.marker(directory)
        current = marker and (marker.path, marker.source, marker.sets)
        if current != (new.path, new.source, new.sets):
            # One that cannot be removed, or whose lock is another user's: the next one tries again.
            with contextlib.suppress(OSError, EnvironmentFailure):
                store.discard(directory)
