"""The sizes beside the built-in locks belong to them."""

from pathlib import Path

import pytest

from orchestrator.core.lockfile import parse_lock
from orchestrator.core.manifest_reader import read_manifest
from orchestrator.environments.sizes_file import load_sizes, total
from orchestrator.locking.measuring import representative

ROOT = Path(__file__).parents[3]
MANIFESTS = sorted((ROOT / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_what_a_built_in_model_takes_is_known_on_every_platform(file):
    manifest = read_manifest(file.read_bytes(), file=str(file), stem=file.stem)
    lock = ROOT / "envs" / manifest.env / "requirements.lock"
    digest = parse_lock(lock.read_text()).digest
    for platform, _ in representative(manifest.environment):
        sizes = load_sizes(lock, digest, platform)
        size = total(sizes, sizes)
        assert 0 < size.download < size.disk, platform
