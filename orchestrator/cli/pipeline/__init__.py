"""`mm pipeline`: chains of models and small steps. One module for each few commands."""

from __future__ import annotations

import click

from orchestrator.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("List the pipelines", "show_command:list_command"),
    "show": ("Draw a pipeline and show its inputs and outputs", "show_command:show_command"),
    "check": ("Find every mistake of pipelines before anything runs", "show_command:check_command"),
    "run": ("Run a pipeline, or say what a run would do", "run_command:run_command"),
    "runs": ("List the runs that are recorded", "report_command:runs_command"),
    "report": ("Write one HTML page of a run", "report_command:report_command"),
    "clean": ("Remove the results that are kept", "clean_command:clean_command"),
}
"""Every command with its help and its place."""


@click.group("pipeline", cls=LazyGroup, package="orchestrator.cli.pipeline", table=COMMANDS)
def command() -> None:
    """Chain models and small steps: read a page, then speak it."""
