"""What manifests say, kept by the content of their files.

Most commands read every manifest. To parse the YAML and check what it declares takes as long as the
rest of a short command; a digest of the same bytes says that the answer is the same.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from orchestrator import core
from orchestrator.core.binding import bind
from orchestrator.core.canonical import digest, short
from orchestrator.core.manifest import Manifest
from orchestrator.core.yaml_document import Document, parse
from orchestrator.system.record_cache import RecordCache
from orchestrator.version import __version__

if TYPE_CHECKING:
    from pathlib import Path


class ManifestCache:
    """Reads manifests, and keeps the data of sound ones.

    Args:
        file: Where they are kept; nowhere while its directory does not exist.
        code: The folder of the code that reads them; a port for tests.
    """

    def __init__(self, file: Path, code: str = core.__path__[0]) -> None:
        self._file = file
        self._reader = _stamp(code)
        self._kept = RecordCache(file, dict[str, Any])
        self._new: dict[str, Any] = {}

    def read(self, data: bytes, content: str, *, shown: str, stem: str) -> Manifest:
        """Return the manifest in a file.

        Args:
            data: The file's content.
            content: The digest of that.
            shown: The file, as messages name it.
            stem: Its name without `.yaml`.

        Raises:
            ManifestError: With the file, line and key of the first problem.
        """
        key = f"{self._reader}-{content}"
        kept = Document(shown, self._kept.get(key), {}, {})
        found = bind(kept, Manifest, lambda *_, **__: None)  # as it was bound before
        if found is not None and found.name == stem:
            return found
        from orchestrator.core.manifest_reader import read_manifest

        manifest = read_manifest(data, file=shown, stem=stem)
        self._new[key] = parse(data, shown).data
        return manifest

    def save(self) -> None:
        """Keep what was read for the first time."""
        if self._new and self._file.parent.is_dir():
            self._kept.keep(self._new)


@cache
def _stamp(code: str) -> str:
    """Return what stands for the code in a folder, as this process has begun with it.

    By sizes and times of its files, as Python's own bytecode.
    """
    with os.scandir(code) as entries:
        files = [(one.name, one.stat()) for one in entries if one.name.endswith(".py")]
    stamps = sorted((name, status.st_size, status.st_mtime_ns) for name, status in files)
    return short(digest([__version__, stamps]))
