"""The tables in use: `doctor/*.yaml` beside the manifests of every directory in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.catalog.directories import SUFFIX
from orchestrator.catalog.files import manifest_files, read_plain
from orchestrator.doctor.rules.tables import Table, merged, read_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.catalog import ManifestDirectory

DIRECTORY = "doctor"


def load_tables(directories: Iterable[ManifestDirectory]) -> Table:
    """Return the tables of all directories as one; the first that has an entry wins.

    Raises:
        ManifestError: When one is broken.
    """
    tables = []
    for directory in directories:
        folder = directory.path / DIRECTORY
        if not folder.is_dir():
            continue
        for file in manifest_files(folder):
            if file.name.endswith(SUFFIX):
                shown = str(file)
                stem = file.name.removesuffix(SUFFIX)
                tables.append(read_table(read_plain(file, shown), file=shown, stem=stem))
    return merged(tables)
