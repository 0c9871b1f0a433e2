"""Everything that can be wrong with a pipeline, found before any of it starts.

The caller says what each step takes and returns; what comes out is the graph that is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.binding import did_you_mean
from orchestrator.core.manifest_reader import (
    RESERVED_OPTIONS,
    check_input,
    identifier_problem,
    value_problem,
)
from orchestrator.core.pipelines.graph import cycle, ordered
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
from orchestrator.core.pipelines.signatures import (
    FILES,
    WORDS,
    Kind,
    Port,
    Signature,
    misfit,
    port_of,
)
from orchestrator.core.units import timeout_problem
from orchestrator.core.yaml_document import Path
from orchestrator.errors import ManifestError, MMError

if TYPE_CHECKING:
    from orchestrator.core.pipelines.declaration import Declaration, Step, Where

RESERVED = RESERVED_OPTIONS | {"set", "keep-going", "no-cache", "force-step", "explain", "trace"}
"""The options of `mm pipeline run`, which no input may bear."""

MAX_WORKERS = 256

SignatureOf = Callable[["Step"], Signature]


@dataclass(frozen=True)
class Node:
    """One step of a checked pipeline.

    Attributes:
        step: What was declared.
        signature: What it takes and returns.
        templates: What it is given, by input.
        source: The list that it runs over, if it does.
    """

    step: Step
    signature: Signature
    templates: Mapping[str, Template]
    source: Reference | None

    @property
    def id(self) -> str:
        """What references call it."""
        return self.step.id

    @property
    def mapped(self) -> bool:
        """Whether it runs once for each item of a list."""
        return self.source is not None

    @property
    def follows(self) -> str:
        """The step whose items it runs over, one by one; empty where there is none."""
        return self.source.step if self.source is not None else ""

    @property
    def waits_for(self) -> frozenset[str]:
        """The steps of which it needs everything before it can begin."""
        references = [each for one in self.templates.values() for each in references_in(one)]
        return frozenset(each.step for each in references if each.step)

    def output(self, name: str) -> Kind:
        """Return the type of an output as other steps see it."""
        kind = self.signature.outputs[name]
        return Kind(kind.type, many=True) if self.mapped else kind


@dataclass(frozen=True)
class Graph:
    """A pipeline without a mistake.

    Attributes:
        declaration: What was declared.
        nodes: By id, each after all that it needs.
        outputs: What each output is, and its type; the first is the primary one.
    """

    declaration: Declaration
    nodes: Mapping[str, Node]
    outputs: Mapping[str, tuple[Reference, Kind]]

    @property
    def primary(self) -> str:
        """The output that `-o OUT` names."""
        return next(iter(self.outputs))


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
        self._check_order()
        for node in self._nodes.values():
            self._check_node(node)
        outputs = self._check_outputs()
        try:
            order = ordered({node.id: _needs(node) for node in self._nodes.values()})
        except ValueError:  # a cycle, which has been reported
            order = list(self._nodes)
        return Graph(self._declared, {name: self._nodes[name] for name in order}, outputs)

    def _report(self, path: Path, what: str, fix: str = "") -> None:
        self.problems.append(ManifestError(what, where=self._where(path), fix=fix))

    def _check_inputs(self) -> None:
        for name, declared in self._declared.inputs.items():
            path = ("inputs", name)
            if problem := identifier_problem(name):
                self._report(path, problem)
            elif name.replace("_", "-").lower() in RESERVED:
                self._report(path, f"mm itself has {name!r}", "rename the input")
            check_input(declared, path, self._report)

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
            try:
                source = parse_reference(step.foreach)
            except ValueError as error:
                self._report((*path, "foreach"), str(error))
                return
        parsed = {
            name: self._parsed(value, (*path, "with", name)) for name, value in step.with_.items()
        }
        templates = {name: template for name, template in parsed.items() if template is not None}
        self._nodes[step.id] = Node(step, signature, templates, source)

    def _parsed(self, value: Any, path: Path) -> Template | None:
        try:
            return parse_template(value)
        except ValueError as error:
            self._report(path, str(error))
            return None

    def _check_order(self) -> None:
        before = {node.id: _needs(node) for node in self._nodes.values()}
        if around := cycle(before):
            names = " needs ".join([*around, around[0]])
            self._report(self._paths[around[0]], f"these steps wait for each other: {names}")

    def _check_node(self, node: Node) -> None:
        path = self._paths[node.id]
        item = self._item(node, path)
        for name, template in node.templates.items():
            here = (*path, "with", name)
            port = node.signature.inputs.get(name)
            if port is None:
                known = list(node.signature.inputs)
                fix = did_you_mean(name, known) or f"its inputs are {', '.join(known)}"
                self._report(here, f"{node.signature.name} has no input {name!r}", fix)
            else:
                self._check_template(template, port, item, here)
        for name, port in node.signature.inputs.items():
            # What could not be parsed has been reported.
            if port.required and name not in node.step.with_:
                self._report((*path, "with"), f"{node.signature.name} needs the input {name!r}")

    def _item(self, node: Node, path: Path) -> Kind | None:
        """Return the type of the items of a `foreach`; None where there is none that is known."""
        if node.source is None:
            return None
        here = (*path, "foreach")
        if any(kind.many for kind in node.signature.outputs.values()):
            self._report(here, f"{node.signature.name} returns a list and cannot run over one")
        if not node.source.step and node.source.root != "inputs":
            self._report(here, f"{node.source} is not known here")
            return None
        kind = self._kind(node.source, None, here, required=True)
        if kind is not None and not kind.many:
            self._report(here, f"{node.source} is one {kind}, and a list is wanted")
            return None
        return Kind(kind.type) if kind is not None else None

    def _check_template(self, template: Template, port: Port, item: Kind | None, at: Path) -> None:
        if isinstance(template, Reference):
            given = self._kind(template, item, at, required=port.required)
            if given is not None and (problem := misfit(given, port.kind)):
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
            if kind is not None and (kind.many or kind.type not in WORDS):
                self._report(at, f"{reference} is {kind}, which cannot stand inside text")

    def _check_literal(self, template: Literal, port: Port, at: Path) -> None:
        value, declared = template.value, port.declared
        if value is None:
            self._report(at, "has no value", "give it one, or remove the key")
        elif port.kind.type in FILES or port.kind.type == "array":
            fix = "declare an input of the pipeline and refer to it"
            self._report(at, "a file is not named in a pipeline", fix)
        elif declared is not None and port.kind.many != isinstance(value, list):
            self._report(at, "must be a list" if port.kind.many else "must be one value")
        elif declared is not None:
            for one in value if port.kind.many else [value]:
                if problem := value_problem(declared, one):
                    self._report(at, problem)

    def _kind(
        self, reference: Reference, item: Kind | None, at: Path, *, required: bool
    ) -> Kind | None:
        """Return the type of what is referred to, or None after reporting that there is no such."""
        if reference.root == "steps":
            return self._kind_of_output(reference, at)
        if reference.root == "inputs":
            return self._kind_of_input(reference, at, required=required)
        if reference.root == "index" and item is not None:
            return Kind("integer")
        if item is None and not self._maps(at[:2]):
            self._report(at, f"{reference} is known only in a step with foreach")
        return item

    def _maps(self, path: Path) -> bool:
        position = path[1] if len(path) > 1 else None
        return (
            isinstance(position, int)
            and path[0] == "steps"
            and self._declared.steps[position].foreach is not None
        )

    def _kind_of_input(self, reference: Reference, at: Path, *, required: bool) -> Kind | None:
        declared = self._declared.inputs.get(reference.name)
        if declared is None:
            known = list(self._declared.inputs)
            fix = did_you_mean(reference.name, known) or f"the inputs are {', '.join(known)}"
            self._report(at, f"the pipeline has no input {reference.name!r}", fix)
            return None
        if required and not declared.required and declared.default is msgspec.UNSET:
            fix = "give it required: true, or a default"
            self._report(at, f"{reference} is needed here and may be left out", fix)
        return port_of(declared).kind

    def _kind_of_output(self, reference: Reference, at: Path) -> Kind | None:
        node = self._nodes.get(reference.step)
        if node is None:
            # A step that is there and has been reported is not reported again.
            if reference.step not in self._paths:
                fix = did_you_mean(reference.step, self._paths)
                self._report(at, f"there is no step {reference.step!r}", fix)
            return None
        if reference.name not in node.signature.outputs:
            known = list(node.signature.outputs)
            fix = did_you_mean(reference.name, known) or f"its outputs are {', '.join(known)}"
            what = f"the step {reference.step!r} ({node.signature.name}) has no output"
            self._report(at, f"{what} {reference.name!r}", fix)
            return None
        return node.output(reference.name)

    def _check_outputs(self) -> dict[str, tuple[Reference, Kind]]:
        if not self._declared.outputs:
            self._report(("outputs",), "a pipeline returns at least one output")
        outputs: dict[str, tuple[Reference, Kind]] = {}
        for name, text in self._declared.outputs.items():
            path: Path = ("outputs", name)
            if problem := identifier_problem(name):
                self._report(path, problem)
            try:
                reference = parse_reference(text)
            except ValueError as error:
                self._report(path, str(error))
                continue
            if reference.root != "steps":
                self._report(path, "an output is the output of a step: steps.ID.OUTPUT")
            elif (kind := self._kind_of_output(reference, path)) is not None:
                outputs[name] = (reference, kind)
        return outputs


def _needs(node: Node) -> frozenset[str]:
    return node.waits_for | {node.follows} if node.follows else node.waits_for
