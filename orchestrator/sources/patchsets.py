"""The patch sets of a model, from the `patches/` beside its manifest."""

from __future__ import annotations

from pathlib import Path

from orchestrator.catalog import Declared
from orchestrator.catalog.manifest_files import read_plain
from orchestrator.core.patching import Patched, PatchSet, read_patch_set
from orchestrator.errors import ManifestError, SourceError

DIRECTORY = "patches"


def patch_set_path(declared: Declared, name: str) -> Path:
    """Return the file of the patch set `name` of a model."""
    return declared.file.parent / DIRECTORY / f"{name}.yaml"


def load_patch_sets(declared: Declared) -> list[PatchSet]:
    """Return the patch sets that a manifest names, in order.

    Raises:
        ManifestError: When one is missing or broken.
    """
    sets = []
    for name in declared.manifest.patches:
        path = patch_set_path(declared, name)
        shown = str(path)
        try:
            data = read_plain(path, shown)
        except ManifestError as error:
            raise ManifestError(
                f"the patch set {name!r} of {declared.name} cannot be read: {error.what}",
                where=shown,
                fix=f"write it, or remove it from {declared.shown}",
            ) from error
        sets.append(read_patch_set(data, file=shown, stem=name))
    return sets


def refuse_conflicts(patched: Patched, directory: str, *, note: str = "", fix: str = "") -> None:
    """Raise the first conflict of patches with the files in `directory`, the others beneath it.

    Raises:
        SourceError: When there is one.
    """
    if patched.conflicts:
        first, *others = patched.conflicts
        raise SourceError(
            f"{first.sentence}{note}",
            where=str(Path(directory, first.where)),
            fix=fix,
            detail="\n".join(f"{each.where}: {each.sentence}" for each in others),
        )
