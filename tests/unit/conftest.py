"""Unit tests start no process, reach no network, and write nowhere but in their own directory."""

import pytest

from tests import guards


@pytest.fixture(autouse=True)
def _guarded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    data = guards.REAL_HOME / ".local" / "share" / "mm"
    config = guards.REAL_HOME / ".config" / "mm"
    with guards.forbidden(guards.PROCESSES | guards.NETWORK), guards.protected(data, config):
        yield
