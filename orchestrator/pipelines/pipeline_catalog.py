"""The pipelines that are declared, and what their steps stand for on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.catalog import Origin, manifest_files, shown_path
from orchestrator.catalog.manifest_files import check_suffix, read_plain
from orchestrator.core.names import BUILT_IN_STEPS, did_you_mean
from orchestrator.core.pipelines import (
    Declaration,
    Graph,
    Signature,
    Step,
    Where,
    check,
    read_pipeline,
    signature_of_model,
    signature_of_models,
)
from orchestrator.errors import ManifestError, UsageError
from orchestrator.steps import builtin
from orchestrator.workspace import Workspace

DIRECTORY = "pipelines"


@dataclass(frozen=True)
class PipelineFile:
    """A file that declares a pipeline.

    Attributes:
        name: What it is called.
        file: Where it is.
        shown: The file as messages name it.
    """

    name: str
    file: Path
    shown: str

    def read(self) -> tuple[Declaration, Where]:
        """Return what the file declares.

        Raises:
            ManifestError: When it cannot be read as a pipeline.
        """
        check_suffix(self.file.name, self.shown)
        data = read_plain(self.file, self.shown)
        return read_pipeline(data, file=self.shown, stem=self.file.stem)


def all_pipelines(workspace: Workspace) -> dict[str, PipelineFile]:
    """Return the pipelines of every manifest directory in use; the first wins on a name.

    One found by walking up from the working directory never replaces another.
    """
    directories = workspace.catalog.directories
    ordered = sorted(directories, key=lambda each: each.origin is Origin.FOUND)
    found: dict[str, PipelineFile] = {}
    for directory in ordered:
        path = directory.path / DIRECTORY
        for file in manifest_files(path) if path.is_dir() else ():
            found.setdefault(
                file.stem, PipelineFile(file.stem, file, shown_path(file, workspace.cwd))
            )
    return dict(sorted(found.items()))


def find(workspace: Workspace, name: str) -> PipelineFile:
    """Return the pipeline that `name` names: a declared one, or a file (`./mine.yaml`).

    Raises:
        UsageError: When there is none.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        file = (workspace.cwd / Path(name).expanduser()).absolute()
        return PipelineFile(file.stem, file, name)
    known = all_pipelines(workspace)
    if name not in known:
        fix = did_you_mean(name, known) or "run: mm pipeline list"
        ignored = workspace.catalog.ignored
        if ignored and (ignored.directory / DIRECTORY / f"{name}.yaml").is_file():
            fix = ignored.fix
        raise UsageError(f"there is no pipeline {name!r}", fix=fix)
    return known[name]


def signature_on(workspace: Workspace, step: Step) -> Signature:
    """Return what a step takes and returns here: of a built-in step, or of the model chosen for it.

    Raises:
        MMError: When there is no such step, or no model stands for it here.
    """
    if step.run in BUILT_IN_STEPS:
        for key in ("model", "timeout"):
            if getattr(step, key) is not None:
                raise UsageError(f"{step.run} is no model, and has no {key}")
        return builtin(step.run).signature
    try:
        choice = workspace.choose(step.run, step.model)
    except UsageError as error:
        names = [*BUILT_IN_STEPS, *workspace.catalog.tasks, *workspace.catalog.models]
        unknown = step.model is None and step.run not in names
        fix = did_you_mean(step.run, names) if unknown else ""
        raise UsageError(error.what, fix=fix or error.fix) from error
    manifest = choice.declared.manifest
    workspace.device_and_dtype(choice.declared, step.device, step.dtype)  # raises where it has none
    one = signature_of_model(manifest, choice.reason)
    many = [each.manifest for each in workspace.candidates(step.run, step.model)]
    if not many:
        return one
    others = (signature_of_model(each) for each in many if each.name != manifest.name)
    return signature_of_models(one, others, set(step.with_))


def missing_packages(declaration: Declaration) -> Iterator[UsageError]:
    """Yield the error of each built-in step of a pipeline that cannot run without an extra."""
    names = {step.run: None for step in declaration.steps if step.run in BUILT_IN_STEPS}
    yield from filter(None, (builtin(name).missing() for name in names))


def problems_of(
    workspace: Workspace, declaration: Declaration, where: Where
) -> tuple[Graph | None, list[ManifestError]]:
    """Return the graph of a pipeline on this machine, or all that is wrong with it, by line."""
    graph, problems = check(declaration, where, lambda step: signature_on(workspace, step))
    return graph, sorted(problems, key=_line_of)


def _line_of(problem: ManifestError) -> int:
    """Return the line that a problem names (`file:line: key`); 0 for one written in Python."""
    found = re.search(r":(\d+): ", problem.where)
    return int(found[1]) if found else 0


def graph_of(workspace: Workspace, declaration: Declaration, where: Where) -> Graph:
    """Return the graph of a pipeline on this machine.

    Raises:
        ManifestError: The first of its problems; `detail` has the others.
    """
    graph, problems = problems_of(workspace, declaration, where)
    if graph is None:
        first, *others = problems
        more = "\n".join(str(problem) for problem in others)
        raise ManifestError(first.what, where=first.where, fix=first.fix, detail=more)
    return graph
