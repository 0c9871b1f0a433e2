"""The type of every option and argument of the command line that takes a path."""

from __future__ import annotations

import os
from typing import Any

import click

from orchestrator.core.paths import given_path


class GivenPath(click.Path):
    """A path, which need not exist; an empty one, as from an unset shell variable, is refused."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path as `click.Path` does.

        Raises:
            UsageError: When it is empty.
        """
        # A `Path` was checked before, and is never empty.
        if isinstance(value, str) and param is not None:
            is_option = isinstance(param, click.Option)
            given_path(value, param.opts[-1] if is_option else param.human_readable_name)
        return super().convert(value, param, ctx)
