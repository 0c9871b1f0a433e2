"""How the worker's main thread waits."""

import pytest

from orchestrator.worker.capabilities import SHARED_POLLING
from orchestrator.worker.poller import Poller

DAY = 86400.0


@pytest.mark.parametrize("shared", sorted({False, SHARED_POLLING}))
@pytest.mark.parametrize("seconds", [None, 0.01, 25 * DAY, 365 * DAY, 1e18, 1e300, float("inf")])
def test_a_wait_may_be_as_long_as_anyone_asks(shared, seconds):
    poller = Poller(shared=shared)
    poller.wake()
    assert poller.wait_in_main(seconds, soon=False)
