"""Environments: locked, built in place, published whole, shared by digest."""

from orchestrator.environments.service import Environment, Environments

__all__ = ["Environment", "Environments"]
