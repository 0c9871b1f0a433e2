"""`mm env lock --check`: what it says of locks that cannot be used."""

import pytest

from orchestrator.errors import EnvironmentFailure
from tests.unit.catalog.worlds import write_model


def test_a_lock_that_cannot_be_used_is_named_with_what_to_do(user):
    manifests = write_model(user.root / "a", "one")
    (user.root / "a" / "envs" / "one" / "requirements.lock").write_text("edited")
    with pytest.raises(EnvironmentFailure) as caught:
        user.mm("env", "lock", "--check", "one", manifests=[manifests])
    assert "is not a lock that mm has written; run: mm env lock one" in user.out[0]
    assert caught.value.fix == "correct what is listed above, then run: mm env lock one"
