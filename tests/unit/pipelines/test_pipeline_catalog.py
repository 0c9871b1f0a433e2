"""Which pipeline a name means, and what to do where there is none."""

from types import SimpleNamespace

import pytest

from orchestrator.catalog import Ignored
from orchestrator.errors import UsageError
from orchestrator.pipelines.pipeline_catalog import find


@pytest.mark.parametrize(
    ("name", "fix"), [("mine", "run: mm manifest trust x"), ("other", "run: mm pipeline list")]
)
def test_a_pipeline_that_waits_to_be_trusted_is_said_to(tmp_path, name, fix):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "mine.yaml").touch()
    ignored = Ignored(tmp_path, "is not trusted", "run: mm manifest trust x", frozenset())
    catalog = SimpleNamespace(directories=(), ignored=ignored)
    with pytest.raises(UsageError) as caught:
        find(SimpleNamespace(catalog=catalog, cwd=tmp_path), name)
    assert caught.value.fix == fix
