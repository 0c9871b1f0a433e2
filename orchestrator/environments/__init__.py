"""Environments: locked, built in place, published whole, shared by digest."""

from orchestrator.environments.service import BuiltEnvironment, Environments

__all__ = ["BuiltEnvironment", "Environments"]
