"""What a build waits for before it does anything."""

import pytest

from orchestrator.environments.build import Builder
from orchestrator.environments.plan import Action, BuildStep
from orchestrator.environments.store import Store
from orchestrator.environments.targets import Target
from orchestrator.errors import Cancelled, TimedOut
from orchestrator.system.home import Home
from orchestrator.system.processes import Children
from orchestrator.system.waiting import ENDLESS, Deadline
from tests.models import DIGEST, Notes, interpreter, model


@pytest.fixture
def build(tmp_path):
    """Return a function that builds what another builds already."""
    home, notes, children = Home(tmp_path), Notes(), Children()
    store = Store(home)

    def build(deadline=ENDLESS):
        builder = Builder(
            home=home, store=store, backend=None, variables={}, indexes=None, reporter=notes,
            offline=False, children=children, deadline=deadline,
        )  # fmt: skip
        target = Target(model(tmp_path, "m"), None, False, interpreter(), (), DIGEST)
        return builder.build(BuildStep(Action.BUILD, (target,), ()))

    build.children = children
    with store.build_lock(DIGEST, pytest.fail):
        yield build


def test_the_wait_for_anothers_build_ends_with_the_deadline(build):
    with pytest.raises(TimedOut, match="waiting for another mm, which builds its environment"):
        build(Deadline(0.01))


def test_the_wait_for_anothers_build_ends_with_the_work_that_it_is_part_of(build):
    build.children.stop()
    with pytest.raises(Cancelled, match="waiting for another mm, which builds its environment"):
        build()
