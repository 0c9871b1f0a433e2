"""How an error ends: a sentence on standard error, its form in JSON, and the exit code."""

from __future__ import annotations

import os
import re
import shlex
import sys
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.terminal import (
    OutputClosed,
    discard,
    output_refused,
    visible,
    write_if_possible,
)
from orchestrator.core.refusals import refusal
from orchestrator.errors import Cancelled, JobFailed, MMError, UsageError
from orchestrator.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.cli.context import Context

INTERRUPTED = 130

_COMMAND = re.compile(r"(?<![\w.:-])mm (?=(?:model|env|run|use) )")
"""The beginning of a command about models, in a sentence."""


def conclude(error: BaseException, context: Context, arguments: Sequence[str]) -> int:
    """Report `error` on standard error, and in JSON where that was asked for; return its exit code.

    Args:
        error: What ended the command.
        context: The command's.
        arguments: The command line.
    """
    context.close()
    error = _known(error)
    quiet = (OutputClosed, click.exceptions.Exit)  # no one reads it, or nothing is wrong
    if _asks_for_json(arguments) and not context.json_printed and not isinstance(error, quiet):
        _print_json(error, context)
    if isinstance(error, MMError):
        return _ours(error, context)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        _write(_usage_sentence(error))
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        _write("mm: interrupted")
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, OutputClosed):
        # The reader of the output has closed it, as `head` does.
        discard(sys.stdout)
        return 0
    return _unknown(error, context, arguments)


def _known(error: BaseException) -> BaseException:
    """Return the error for what the machine or the reader of the output refuses, or `error`."""
    if isinstance(error, BrokenPipeError):
        return OutputClosed()
    known = refusal(error)
    if isinstance(error, OSError) and not write_if_possible(sys.stdout):
        known = output_refused(error)  # of what click prints by itself, such as --help
    if known is None:
        return error
    known.__cause__ = error
    return known


def _print_json(error: BaseException, context: Context) -> None:
    outcome, described = outcome_of(error)
    if described:
        described["message"] = _with_manifests(described["message"], context)
    try:
        context.out_json({**context.failure, "outcome": outcome, "error": described})
    except BrokenPipeError:
        discard(sys.stdout)
    except UsageError as unwritable:
        _write(f"mm: {unwritable}")


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Return whether `--json` is for `mm`, whether or not the command line is right otherwise."""
    words = list(takewhile(lambda word: word != "--", arguments))
    program = [word for word in words if not word.startswith("-")][:2] == ["env", "exec"]
    return "--json" in words and not program


def outcome_of(error: BaseException | None) -> tuple[str, dict[str, Any] | None]:
    """Return the `outcome` and the `error` of a document of `--json`."""
    if error is None:
        return "done", None
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        known: MMError = Cancelled("interrupted")
    elif isinstance(error, click.ClickException):
        known = UsageError(error.format_message().rstrip("."))
    else:
        refused = error if isinstance(error, MMError) else refusal(error)
        known = refused or MMError(_fault(error))
    return known.outcome, {"message": str(known), "exit_code": known.exit_code}


def _ours(error: MMError, context: Context) -> int:
    # A runner's traceback is for its author; what a tool printed is for every user.
    if error.detail and (context.debug or not isinstance(error, JobFailed)):
        _write(error.detail.rstrip("\n"))
    if context.debug:
        _write(_traceback(error))
    _write(_with_manifests(f"mm: {error}", context))
    return error.exit_code


def _with_manifests(text: str, context: Context) -> str:
    """Return a message whose commands find the models that this command line has found."""
    options = shlex.join(f"--manifests={each}" for each in context.manifests)
    return _COMMAND.sub(lambda _: f"mm {options} ", text) if options else text


def _usage_sentence(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    ctx = getattr(error, "ctx", None)
    return f"mm: {message}; run: {ctx.command_path} --help" if ctx else f"mm: {message}"


def _unknown(error: BaseException, context: Context, arguments: Sequence[str]) -> int:
    import platform
    from datetime import datetime, timezone

    from orchestrator.system.home import home_directory, make_private, write_atomically
    from orchestrator.version import __version__

    text = _traceback(error)
    if context.debug:
        _write(text)
    now = datetime.now(tz=timezone.utc)
    head = (
        f"mm {__version__}, Python {platform.python_version()}, {' '.join(os.uname()[::2])}\n"
        f"{now.isoformat()}\narguments: {list(arguments)}\n\n"
    )
    summary = f"mm: {_fault(error)}"
    try:
        logs = home_directory(context.variables).logs
        make_private(logs)
        log = logs / f"fault-{now:%Y%m%d-%H%M%S}.log"
        write_atomically(log, redacted(head + text).encode("utf-8", "backslashreplace"), mode=0o600)
    except OSError as unwritable:
        _write(f"{head}{text}\n{summary} (and its log could not be written: {unwritable})")
    else:
        _write(f"{summary}; the traceback is in {log}: please report it")
    return 1


def _fault(error: BaseException) -> str:
    return f"a fault in mm itself: {type(error).__name__}: {error}"


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error)).rstrip("\n")


def _write(text: str) -> None:
    write_if_possible(sys.stderr, f"{redacted(visible(text))}\n")
