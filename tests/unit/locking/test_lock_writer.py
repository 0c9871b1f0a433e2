"""Writing a lock, up to where the resolver begins."""

import pytest

from orchestrator.errors import EnvironmentFailure
from orchestrator.locking.lock_writer import LockOptions, write_lock
from tests.models import model


@pytest.mark.parametrize("python", [">=3.99", ">=4", ">=3.10,<3.10"])
def test_a_range_that_no_known_python_fits_is_refused(tmp_path, python):
    declared = model(tmp_path, "m", python=python)
    with pytest.raises(EnvironmentFailure, match=r"environment\.python: no Python from") as caught:
        write_lock(None, declared, declared.lock, LockOptions())
    assert caught.value.where == declared.shown
