"""Everything that can be wrong with a pipeline, found before any of it starts.

The caller says what each step takes and returns; what comes out is the graph that is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from graphlib import CycleError
from typing import Any, TypeVar

import msgspec

from orchestrator.core.input_rules import RESERVED_OPTIONS, input_problems, value_problem
from orchestrator.core.manifest import PATH_TYPES, option_name
from orchestrator.core.names import did_you_mean, identifier_problem
from orchestrator.core.pipelines.declaration import Declaration, Step, Where
from orchestrator.core.pipelines.graph import Graph, Node, topological_order
from orchestrator.core.pipelines.references import (
    Literal,
    Many,
    Reference,
    Template,
    Text,
    parse_reference,
    parse_template,
    references_in,
    step_id_problem,
)
from orchestrator.core.pipelines.step_signatures import (
    UNKNOWN,
    WORDS,
    Kind,
    Port,
    Signature,
    mismatch,
    port_of,
)
from orchestrator.core.record_reader import nested
from orchestrator.core.units import timeout_problem
from orchestrator.core.yaml_document import Path
from orchestrator.errors import ManifestError, MMError

RESERVED = RESERVED_OPTIONS | {"set", "keep-going", "no-cache", "force-step", "explain", "trace"}
"""The options of `mm pipeline run`, which no input may bear."""

MAX_WORKERS = 256

SignatureOf = Callable[["Step"], Signature]
Parsed = TypeVar("Parsed")


def check(
    declaration: Declaration, where: Where, signature_of: SignatureOf
) -> tuple[Graph | None, list[ManifestError]]:
    """Return the graph of a pipeline (None when anything is wrong) and all of its problems.

    Args:
        declaration: The pipeline.
        where: Says where each part was written.
        signature_of: Says what a step takes and returns, or raises what is wrong with it.
    """
    checker = _Checker(declaration, where, signature_of)
    graph = checker.graph()
    return (None if checker.problems else graph), checker.problems


class _Checker:
    def __init__(self, declaration: Declaration, where: Where, signature_of: SignatureOf) -> None:
        self.problems: list[ManifestError] = []
        self._declared = declaration
        self._where = where
        self._signature_of = signature_of
        self._nodes: dict[str, Node] = {}
        self._paths: dict[str, Path] = {}

    def graph(self) -> Graph:
        self._check_inputs()
        self._collect()
        order = self._order()
        for node in self._nodes.values():
            self._check_node(node)
        outputs = self._check_outputs()
        return Graph(self._declared, {name: self._nodes[name] for name in order}, outputs)

    def _report(self, path: Path, what: str, fix: str = "") -> None:
        self.problems.append(ManifestError(what, where=self._where(path), fix=fix))

    def _report_unknown(
        self, path: Path, what: str, name: str, known: Iterable[str], those: str
    ) -> None:
        """Report a name that is not among the known ones; `those` is what these are called."""
        fix = did_you_mean(name, known) or f"{those} are {', '.join(known)}"
        self._report(path, f"{what} {name!r}", fix)

    def _parsed(self, parse: Callable[[Any], Parsed], value: Any, path: Path) -> Parsed | None:
        """Return what a value means, or None after reporting that it means nothing."""
        try:
            return parse(value)
        except ValueError as error:
            self._report(path, str(error))
            return None

    def _check_inputs(self) -> None:
        for name, declared in self._declared.inputs.items():
            path = ("inputs", name)
            if problem := identifier_problem(name):
                self._report(path, problem)
            elif option_name(name).lower() in RESERVED:
                self._report(path, f"mm itself has {name!r}", "rename the input")
            for found in nested(path, input_problems(declared)):
                self._report(*found)

    def _collect(self) -> None:
        """Make a node of every step that can be understood by itself."""
        if not self._declared.steps:
            self._report(("steps",), "a pipeline has at least one step")
        for position, step in enumerate(self._declared.steps):
            path: Path = ("steps", position)
            if problem := step_id_problem(step.id):
                self._report((*path, "id"), problem)
            elif step.id in self._paths:
                self._report((*path, "id"), f"{step.id!r} is the id of an earlier step")
            else:
                self._paths[step.id] = path
                self._collect_one(step, path)

    def _collect_one(self, step: Step, path: Path) -> None:
        if not 1 <= step.workers <= MAX_WORKERS:
            self._report((*path, "workers"), f"must be from 1 to {MAX_WORKERS}")
        if step.timeout is not None and (problem := timeout_problem(step.timeout)):
            self._report((*path, "timeout"), problem)
        try:
            signature = self._signature_of(step)
        except MMError as error:
            self._report((*path, "run"), str(error))
            return
        source = None
        if step.foreach is not None:
            source = self._parsed(parse_reference, step.foreach, (*path, "foreach"))
            if source is None:
                return
        templates: dict[str, Template] = {}
        for name, value in step.with_.items():
            template = self._parsed(parse_template, value, (*path, "with", name))
            if template is not None:
                templates[name] = template
        self._nodes[step.id] = Node(step, signature, templates, source)

    def _order(self) -> list[str]:
        """Return the steps, each after all that it needs; in the given order where none is."""
        try:
            return topological_order({node.id: node.needs for node in self._nodes.values()})
        except CycleError as error:
            around = error.args[1][::-1]
            names = " needs ".join(around)
            self._report(self._paths[around[0]], f"these steps wait for each other: {names}")
            return list(self._nodes)

    def _check_node(self, node: Node) -> None:
        path = self._paths[node.id]
        item = self._item(node, path)
        inputs, name_of_step = node.signature.inputs, node.signature.name
        for name, template in node.templates.items():
            here = (*path, "with", name)
            if name in inputs:
                self._check_template(template, inputs[name], item, here)
            else:
                what = f"{name_of_step} has no input"
                self._report_unknown(here, what, name, inputs, "its inputs")
        for name, port in inputs.items():
            # What could not be parsed has been reported.
            if port.required and name not in node.step.with_:
                self._report((*path, "with"), f"{name_of_step} needs the input {name!r}")

    def _item(self, node: Node, path: Path) -> Kind | None:
        """Return the type of the items of a `foreach`; None where there is no `foreach`."""
        if node.source is None:
            return None
        here = (*path, "foreach")
        if any(kind.many for kind in node.signature.outputs.values()):
            self._report(here, f"{node.signature.name} returns a list and cannot run over one")
        if not node.source.step and node.source.root != "inputs":
            self._report(here, f"{node.source} is not known here")
            return UNKNOWN
        kind = self._kind(node.source, None, here, required=True)
        if kind is not UNKNOWN and not kind.many:
            self._report(here, f"{node.source} is one {kind}, and a list is wanted")
        return Kind(kind.type) if kind.many else UNKNOWN

    def _check_template(self, template: Template, port: Port, item: Kind | None, at: Path) -> None:
        if isinstance(template, Reference):
            given = self._kind(template, item, at, required=port.required)
            if problem := mismatch(given, port.kind):
                self._report(at, f"{template}: {problem}")
        elif isinstance(template, Text):
            self._check_text(template, port.kind, item, at)
        elif isinstance(template, Many):
            if not port.kind.many:
                self._report(at, f"a list does not fit into one {port.kind}")
                return
            one = Port(Kind(port.kind.type), port.required, port.declared)
            for position, each in enumerate(template.items):
                self._check_template(each, one, item, (*at, position))
        else:
            self._check_literal(template, port, at)

    def _check_text(self, template: Text, wanted: Kind, item: Kind | None, at: Path) -> None:
        if wanted.many or wanted.type not in ("text", "choice", "any"):
            self._report(at, f"text does not fit into {wanted}", "give the reference alone")
        for reference in references_in(template):
            kind = self._kind(reference, item, at, required=True)
            if kind is not UNKNOWN and (kind.many or kind.type not in WORDS):
                self._report(at, f"{reference} is {kind}, which cannot stand inside text")

    def _check_literal(self, template: Literal, port: Port, at: Path) -> None:
        value, declared = template.value, port.declared
        if value is None:
            self._report(at, "has no value", "give it one, or remove the key")
        elif port.kind.type in PATH_TYPES:
            fix = "declare an input of the pipeline and refer to it"
            self._report(at, "a file is not named in a pipeline", fix)
        elif declared is not None and port.kind.many != isinstance(value, list):
            self._report(at, "must be a list" if port.kind.many else "must be one value")
        elif declared is not None:
            for one in value if port.kind.many else [value]:
                if problem := value_problem(declared, one):
                    self._report(at, problem)

    def _kind(self, reference: Reference, item: Kind | None, at: Path, *, required: bool) -> Kind:
        """Return the type of what is referred to, or report that it is not there."""
        if reference.root == "steps":
            return self._kind_of_output(reference, at, required=required)
        if reference.root == "inputs":
            return self._kind_of_input(reference, at, required=required)
        if item is None:
            self._report(at, f"{reference} is known only in a step with foreach")
            return UNKNOWN
        return Kind("integer") if reference.root == "index" else item

    def _kind_of_input(self, reference: Reference, at: Path, *, required: bool) -> Kind:
        known = self._declared.inputs
        declared = known.get(reference.name)
        if declared is None:
            what = "the pipeline has no input"
            self._report_unknown(at, what, reference.name, known, "the inputs")
            return UNKNOWN
        if required and not declared.required and declared.default is msgspec.UNSET:
            fix = "give it required: true, or a default"
            self._report(at, f"{reference} is needed here and may be left out", fix)
        return port_of(declared).kind

    def _kind_of_output(self, reference: Reference, at: Path, *, required: bool) -> Kind:
        node = self._nodes.get(reference.step)
        if node is None:
            # A step that is there and has been reported is not reported again.
            if reference.step not in self._paths:
                fix = did_you_mean(reference.step, self._paths)
                self._report(at, f"there is no step {reference.step!r}", fix)
            return UNKNOWN
        known = node.signature.outputs
        if reference.optional and required:
            self._report(at, f"{reference} is needed here and may be left out", "remove the ?")
        elif reference.name not in known and reference.optional and node.signature.model:
            return UNKNOWN
        if reference.name not in known:
            what = f"the step {reference.step!r} ({node.signature.name}) has no output"
            self._report_unknown(at, what, reference.name, known, "its outputs")
            return UNKNOWN
        return node.output(reference.name)

    def _check_outputs(self) -> dict[str, tuple[Reference, Kind]]:
        if not self._declared.outputs:
            self._report(("outputs",), "a pipeline returns at least one output")
        outputs: dict[str, tuple[Reference, Kind]] = {}
        for name, text in self._declared.outputs.items():
            path: Path = ("outputs", name)
            if problem := identifier_problem(name):
                self._report(path, problem)
            reference = self._parsed(parse_reference, text, path)
            if reference is None:
                continue
            if reference.root != "steps":
                self._report(path, "an output is the output of a step: steps.ID.OUTPUT")
            else:
                outputs[name] = (reference, self._kind_of_output(reference, path, required=True))
        return outputs
