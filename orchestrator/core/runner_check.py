"""What can be said of a runner from its text: whether it compiles, and takes what is declared.

Nothing is imported or executed. A function that is imported, decorated or assigned is believed.
"""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.core.manifest import Manifest

POSITIONAL = {"load": ("context",), "run": ("model", "job"), "check": ("job",)}
"""The functions that `mm` calls, with the names that documents use for what it gives by position.

`run` and `check` get the inputs by keyword.
"""


class RunnerProblem(NamedTuple):
    """What is wrong: the file, the line (0 for the whole file), a clause, and what to do."""

    path: str
    line: int
    what: str
    fix: str = ""

    @property
    def where(self) -> str:
        """The place as messages name it."""
        return f"{self.path}:{self.line}" if self.line else self.path


def runner_problems(manifest: Manifest, files: Mapping[str, str]) -> list[RunnerProblem]:
    """Return what is wrong with a runner.

    Args:
        manifest: What it is a runner of.
        files: Its texts by path, the one that is executed first.
    """
    problems = []
    for index, (path, text) in enumerate(files.items()):
        tree = _parse(path, text)
        if isinstance(tree, RunnerProblem):
            problems.append(tree)
        elif index == 0:
            problems += _functions(manifest, path, tree)
    return problems


def _parse(path: str, text: str) -> ast.Module | RunnerProblem:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strings such as "\d", for its author's eyes
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 0
        reason = getattr(error, "msg", None) or str(error) or "it is nested too deep"
        return RunnerProblem(path, line, f"is not valid Python: {reason}")


def _functions(manifest: Manifest, path: str, tree: ast.Module) -> Iterator[RunnerProblem]:
    bound = names_bound(tree)
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if "*" not in bound:
        for name in ("load", "run"):
            if name not in bound:
                yield RunnerProblem(path, 0, f"defines no function {name}")
    for name, given in POSITIONAL.items():
        function = defined.get(name)
        if function is not None and not function.decorator_list:
            for what, fix in _parameters(manifest, function, given):
                yield RunnerProblem(path, function.lineno, what, fix)


def _parameters(
    manifest: Manifest, function: ast.FunctionDef, given: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    arguments = function.args
    positional = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    needed = len(positional) - len(arguments.defaults)
    shape = f"def {function.name}({', '.join(given)}"
    most = needed if function.name == "load" else len(arguments.posonlyargs)
    if most > len(given) or (len(positional) < len(given) and arguments.vararg is None):
        inputs = ", ".join(manifest.inputs) if function.name != "load" else ""
        yield (
            f"{function.name} is called with {len(given)} by position",
            f"write {shape}{f', *, {inputs}' if inputs else ''})",
        )
        return
    if function.name == "load":
        return
    takes = {each.arg for each in arguments.kwonlyargs} | set(positional[len(given) :])
    if arguments.kwarg is None:
        for name in manifest.inputs:
            if name not in takes:
                what = f"{function.name} does not take the input {name!r} of the manifest"
                yield what, f"add it to its keywords: {shape}, *, {name})"
    optional = {
        each.arg
        for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    } | set(positional[needed:])
    for name in sorted(takes - optional):
        declared = manifest.inputs.get(name)
        if declared is None:
            yield f"{function.name} wants {name!r}, which is no input of the manifest", ""
        elif not declared.required and declared.default is msgspec.UNSET:
            yield (
                f"{function.name} wants {name!r}, and a job need not give it",
                f"give it a default there, or write required: true or a default in inputs.{name}",
            )


def names_bound(tree: ast.Module) -> set[str]:
    """Return the names that a module binds, in whatever way; `*` stands for names unknown."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names
