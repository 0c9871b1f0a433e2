"""The tests themselves on a machine that has one Python and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
COLLECT = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only"]
FILES = ["tests/integration/test_environments_broken.py", "tests/contract/test_worker.py"]


@pytest.mark.parametrize(("variables", "code"), [({}, 0), ({"MM_TEST_COMPLETE": "1"}, 1)])
def test_the_last_lines_say_what_is_not_exercised(tmp_path, variables, code):
    ended = subprocess.run(
        [*COLLECT, *FILES],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path), **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended
    *_, disk, pythons = ended.stdout.splitlines()
    assert disk == "not exercised: an environment on a full disk; run the tests as root on Linux"
    assert pythons.startswith("not exercised: workers under Python 3.")
    assert "; run: uv python install 3." in pythons
