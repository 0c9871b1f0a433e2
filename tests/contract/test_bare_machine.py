"""The tests themselves on a machine that has one Python and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "loads_nothing"]
FILES = ["tests/integration/test_environments_broken.py", "tests/contract/test_worker.py"]
COMPLETE = {"MM_TEST_COMPLETE": "1"}


@pytest.mark.parametrize(
    ("variables", "options", "code"),
    [({}, (), 0), (COMPLETE, (), 1), ({}, ("-n", "2"), 0), (COMPLETE, ("-n", "2"), 2)],
)
def test_the_last_lines_say_once_what_is_not_exercised(tmp_path, variables, options, code):
    ended = subprocess.run(
        [*PYTEST, *FILES, *options],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path), **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended
    assert ("MM_TEST_COMPLETE is set" in ended.stdout) == bool(variables)
    *_, counts, disk, pythons = ended.stdout.splitlines()
    assert "not exercised" not in counts
    assert disk == "not exercised: an environment on a full disk; run the tests as root on Linux"
    assert pythons.startswith("not exercised: workers under Python 3.")
    assert "; run: uv python install 3." in pythons
