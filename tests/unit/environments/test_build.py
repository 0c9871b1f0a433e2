"""What a build waits for before it does anything."""

import pytest

from orchestrator.environments.build import Builder
from orchestrator.environments.plan import Action, BuildStep
from orchestrator.environments.store import Store
from orchestrator.environments.targets import Target
from orchestrator.errors import Cancelled
from orchestrator.system.home import Home
from orchestrator.system.processes import Children
from tests.models import DIGEST, Notes, interpreter, model


def test_the_wait_for_anothers_build_ends_with_the_work_that_it_is_part_of(tmp_path):
    home, children = Home(tmp_path), Children()
    store = Store(home)
    builder = Builder(
        home=home, store=store, backend=None, variables={}, indexes=None, reporter=Notes(),
        offline=False, children=children,
    )  # fmt: skip
    target = Target(model(tmp_path, "m"), None, False, interpreter(), (), DIGEST)
    children.stop()
    with (
        store.build_lock(DIGEST, pytest.fail),
        pytest.raises(Cancelled, match="waiting for another mm, which builds its environment"),
    ):
        builder.build(BuildStep(Action.BUILD, (target,), ()))
