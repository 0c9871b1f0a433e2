"""Which model a client gets: by name, by task, by the language of what it wants spoken."""

import asyncio
from functools import cached_property
from types import SimpleNamespace

import pytest

from orchestrator.serve.refused import Refused
from orchestrator.serve.served_models import ServedModels
from orchestrator.workspace import Workspace
from tests.unit.catalog.worlds import write_model

CHINESE = {"text": "\u4f60\u597d"}


class Bare(Workspace):
    """A workspace in which nothing is built."""

    @cached_property
    def environments(self):
        return SimpleNamespace(ready=lambda declared: None)


@pytest.fixture
def workspace(tmp_path):
    for name, language in (("anna", "en"), ("bert", "zh")):
        more = f"languages: [{language}]\n"
        manifests = write_model(tmp_path, name, task="recite", more=more)
    return Bare(variables={}, cwd=tmp_path, manifests=(manifests,), root=tmp_path / "home")


def found(workspace, names, inputs):
    return asyncio.run(ServedModels(workspace, names).find("recite", inputs=inputs))


def test_the_model_that_speaks_a_text_is_named_with_what_it_lacks(workspace):
    with pytest.raises(Refused, match="bert") as refused:
        found(workspace, (), CHINESE)
    assert refused.value.status == 503


def test_a_model_that_is_not_served_is_never_chosen(workspace):
    with pytest.raises(Refused):
        found(workspace, ("anna",), CHINESE)
