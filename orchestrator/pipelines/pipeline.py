"""Pipelines for programs: load or write one, check it, run it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.core.manifest import Input
from orchestrator.core.paths import given_path, working_directory
from orchestrator.core.pipelines import Declaration, Graph, Step, Where
from orchestrator.core.pipelines.declaration import written_in_python
from orchestrator.errors import ItemsFailed
from orchestrator.pipelines.execution import execute
from orchestrator.pipelines.outcome import Outcome
from orchestrator.pipelines.pipeline_catalog import find, graph_of
from orchestrator.pipelines.run_context import RunOptions
from orchestrator.pipelines.step_failures import failure_summary
from orchestrator.session import Session
from orchestrator.workspace import Workspace


class Pipeline:
    """Steps joined by their inputs and outputs, loaded from YAML or written in Python.

    Args:
        name: What it is called.
        steps: Its steps, in any order.
        outputs: A reference for each output, such as `"${{ steps.read.text }}"`; the first is the
            primary one.
        inputs: What it takes, as manifests declare inputs.
        summary: What it does, in one line.
    """

    def __init__(
        self,
        name: str,
        *,
        steps: Iterable[Step],
        outputs: Mapping[str, str],
        inputs: Mapping[str, Input] | None = None,
        summary: str = "",
    ) -> None:
        self.declaration = Declaration(
            name=name,
            inputs=dict(inputs or {}),
            steps=tuple(steps),
            outputs=dict(outputs),
            summary=summary,
        )
        self._where: Where = written_in_python(name)

    @classmethod
    def load(cls, name: str | Path, manifests: Iterable[str | Path] = ()) -> Pipeline:
        """Return the pipeline `name`: one that manifests declare, or a file by its path.

        Raises:
            UsageError: When there is none of that name.
            ManifestError: When its file cannot be read as a pipeline.
        """
        from orchestrator.system.userenv import snapshot
        from orchestrator.workspace import Workspace

        where = tuple(given_path(path, "manifests") for path in manifests)
        workspace = Workspace(variables=snapshot(), cwd=working_directory(), manifests=where)
        return cls.of(*find(workspace, str(name)).read())

    @classmethod
    def of(cls, declaration: Declaration, where: Where) -> Pipeline:
        """Return the pipeline of a declaration that was read from a file."""
        pipeline = cls(declaration.name, steps=(), outputs={})
        pipeline.declaration = declaration
        pipeline._where = where
        return pipeline

    @property
    def name(self) -> str:
        """What it is called."""
        return self.declaration.name

    def check(self, workspace: Workspace) -> Graph:
        """Return its graph on this machine.

        Raises:
            ManifestError: For the first mistake; `detail` has the others.
        """
        return graph_of(workspace, self.declaration, self._where)

    def run(
        self,
        session: Session | None = None,
        *,
        keep_going: bool = False,
        retries: int = 0,
        cache: bool = True,
        force: Iterable[str] = (),
        **inputs: Any,
    ) -> Outcome:
        """Run it and return its outputs.

        Args:
            session: Whose workers run its models; by default one that ends with the run.
            keep_going: Whether other items go on after one failed; those that failed are then in
                `Outcome.failures`.
            retries: How often a job that failed is tried again.
            cache: Whether results that are kept are used, and new ones kept.
            force: Ids of steps that run though their results are kept.
            **inputs: What it takes.

        Raises:
            ItemsFailed: When something failed and it was not to keep going.
            MMError: When a step cannot run at all.
        """
        options = RunOptions(keep_going, retries, cache, frozenset(force))
        with contextlib.ExitStack() as stack:
            if session is None:
                session = stack.enter_context(Session())
            graph = self.check(session.workspace)
            outcome = execute(graph, session, inputs, options)
            if outcome.failures and not keep_going:
                details = (failure.error.detail for failure in outcome.failures)
                detail = "\n".join(filter(None, details))
                raise ItemsFailed(failure_summary(outcome.failures), detail=detail)
            return outcome
