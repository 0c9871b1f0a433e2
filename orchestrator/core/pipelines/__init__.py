"""Pipelines as data: their YAML, references, types, order and keys. Nothing here runs a step."""

from orchestrator.core.pipelines.declaration import Declaration, Step, Where, read_pipeline
from orchestrator.core.pipelines.graph import Graph, Node
from orchestrator.core.pipelines.step_signatures import (
    Kind,
    Port,
    Signature,
    signature_of_model,
    signature_of_models,
)
from orchestrator.core.pipelines.validation import check

__all__ = [
    "Declaration",
    "Graph",
    "Kind",
    "Node",
    "Port",
    "Signature",
    "Step",
    "Where",
    "check",
    "read_pipeline",
    "signature_of_model",
    "signature_of_models",
]
