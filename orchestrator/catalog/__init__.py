"""Where manifests are found, in which order they win, and which of them are trusted."""

from orchestrator.catalog.catalog import Broken, Catalog, Declared, Ignored
from orchestrator.catalog.directories import (
    ManifestDirectory,
    Origin,
    builtin_directory,
    given_directories,
    user_directory,
)
from orchestrator.catalog.loading import load_catalog
from orchestrator.catalog.manifest_files import manifest_files, shown_path
from orchestrator.catalog.runners import runner_digest, runner_path
from orchestrator.catalog.trust import Contents, inspect_tree

__all__ = [
    "Broken",
    "Catalog",
    "Contents",
    "Declared",
    "Ignored",
    "ManifestDirectory",
    "Origin",
    "builtin_directory",
    "given_directories",
    "inspect_tree",
    "load_catalog",
    "manifest_files",
    "runner_digest",
    "runner_path",
    "shown_path",
    "user_directory",
]
