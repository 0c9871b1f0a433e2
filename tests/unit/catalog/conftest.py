"""What the tests of the catalogue share."""

import pytest

from tests.unit.catalog.worlds import World, write_model


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path.resolve())
    world.cwd.mkdir(parents=True)
    write_model(world.builtin.parent, "built-in")
    return world
