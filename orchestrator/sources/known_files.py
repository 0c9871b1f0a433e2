"""`files.json`: the hashes of a model's files at a commit, beside the lock; it need not be there.

With it, files are those of the pinned commit wherever they come from: from a mirror, or from a hub
that has other commits. `{"COMMIT": {"FILE": "SHA256"}}`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import ManifestError
from orchestrator.sources.hub import HubFailure
from orchestrator.sources.patchsets import load_patch_sets
from orchestrator.system.home import read_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.catalog import Declared

FILES = "files.json"


def known_files(declared: Declared, commit: str) -> Mapping[str, str]:
    """Return the known SHA-256 of files at `commit`, by name: those of patch sets included.

    Raises:
        ManifestError: When that file or a patch set is broken, or a patch set is missing.
    """
    path = declared.lock.with_name(FILES)
    listed = read_record(path, dict[str, dict[str, str]])
    if listed is None and path.exists():
        raise ManifestError("holds no hashes of files by commit", where=str(path))
    sets = [each.commits.get(commit, {}) for each in load_patch_sets(declared)]
    patched = {name: each.before for one in sets for name, each in one.items()}
    return {**patched, **(listed or {}).get(commit, {})}


def check_known(known: Mapping[str, str], name: str, sha256: str, hub: str, commit: str) -> None:
    """Check that a file with this hash is that of the pinned commit, as far as its hash is known.

    Raises:
        HubFailure: When it is another.
    """
    if known.get(name, sha256) != sha256:
        what = f"{hub} has another {name} than the commit {commit[:12]}, and its hash is known"
        raise HubFailure(what, fix="choose another hub, or correct source.revision")
