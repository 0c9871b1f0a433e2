"""The built-in steps of pipelines: one small file each, imported when a pipeline names it."""

from orchestrator.steps.base import BuiltIn, Emit
from orchestrator.steps.registry import NAMES, builtin

__all__ = ["NAMES", "BuiltIn", "Emit", "builtin"]
