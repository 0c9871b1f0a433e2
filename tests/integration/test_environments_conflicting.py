"""Two models that cannot live together, on one disk: real transformers, real torch."""

from orchestrator.backends.installed import installed, recorded_files
from orchestrator.environments.inventory import size_of
from tests.integration.conftest import READER, SPEAKER

MEGABYTE = 1_000_000


def test_the_second_costs_what_differs(environments):
    first, second = environments[READER], environments[SPEAKER]
    ours, theirs = installed(first), installed(second)
    shared = ours.keys() & theirs.keys()
    same = {name for name in shared if ours[name].version == theirs[name].version}
    assert "torch" in same
    assert not {"transformers", "tokenizers"} & same
    added = size_of(first, second).total - size_of(first).total
    files = (file.path for name in theirs.keys() - same for file in recorded_files(theirs[name]))
    differs = sum(path.lstat().st_blocks * 512 for path in files if path.exists())
    bytecode = sum(path.stat().st_blocks * 512 for path in second.rglob("*.pyc"))
    assert added - bytecode < differs + 10 * MEGABYTE
    assert added < size_of(second).total / 5
