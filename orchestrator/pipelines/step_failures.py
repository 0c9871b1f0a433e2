"""A summary of items that failed, and for each the command that repeats it alone."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.core.manifest import option_name
from orchestrator.errors import MMError, UsageError
from orchestrator.pipelines.run_events import StepFailure

LONGEST_WORD = 200
"""Characters of a text that still go on a command line."""


def failure_summary(failures: Sequence[StepFailure], *, reason: bool = True) -> str:
    """Return what failed, as one clause; `reason` says why as well, where it is one item."""
    if len(failures) == 1:
        one = failures[0]
        at = f" on {one.label}" if one.label else ""
        return f"{one.step} failed{at}" + (f": {one.error.what}" if reason else "")
    steps = ", ".join(dict.fromkeys(one.step for one in failures))
    return f"{len(failures)} items failed ({steps})"


def is_rejection(failure: StepFailure) -> bool:
    """Return whether the input was at fault, so that another attempt would end in the same way."""
    return failure.error.outcome == UsageError.outcome


def repeat_command(
    model: str,
    arguments: Mapping[str, Any],
    spill: Callable[[str, str], Path],
    options: Sequence[str] = (),
) -> str:
    """Return the command line that runs `model` once on `arguments`.

    Args:
        model: The model.
        arguments: What it was given, by input.
        spill: Writes a text that is too long for a command line, by the input's name.
        options: More words, such as `--device cpu`.

    Raises:
        MMError: For arguments that no command line can hold.
    """
    words = ["mm", "run", model, *options]
    redirect = ""
    for name, value in arguments.items():
        option = f"--{option_name(name)}"
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool):
                words.append(option if one else f"--no-{option_name(name)}")
            elif isinstance(one, str) and (len(one) > LONGEST_WORD or "\n" in one):
                if redirect:
                    raise MMError("two texts are too long for a command line")
                redirect = f" < {shlex.quote(str(spill(name, one)))}"
                words += [option, "-"]
            elif isinstance(one, (str, int, float, Path)):
                words += [option, str(one)]
            else:
                raise MMError(f"{name} fits into no command line")
    return shlex.join(words) + redirect
