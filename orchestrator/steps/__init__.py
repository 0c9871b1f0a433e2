"""The built-in steps of pipelines: one small file each, imported when a pipeline names it."""

from orchestrator.steps.registry import builtin
from orchestrator.steps.step import BuiltIn, Emit, Progress

__all__ = ["BuiltIn", "Emit", "Progress", "builtin"]
