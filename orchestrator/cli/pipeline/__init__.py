"""`mm pipeline`: chains of models and small steps. One module for each few commands."""

from __future__ import annotations

import click

from orchestrator.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("List the pipelines", "showing:list_command"),
    "show": ("Draw a pipeline and show its inputs and outputs", "showing:show_command"),
    "check": ("Find every mistake of pipelines before anything runs", "showing:check_command"),
    "run": ("Run a pipeline, or say what a run would do", "running:run_command"),
    "runs": ("List the runs that are recorded", "reporting:runs_command"),
    "report": ("Write one HTML page of a run", "reporting:report_command"),
    "clean": ("Remove the results that are kept", "cleaning:clean_command"),
}
"""Every command with its help and where it is."""


@click.group("pipeline", cls=LazyGroup, package="orchestrator.cli.pipeline", table=COMMANDS)
def command() -> None:
    """Chain models and small steps: read a page, then speak it."""
