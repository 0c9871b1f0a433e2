"""`mm mcp`: the models as tools of an agent, over standard streams."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.context import Context, pass_context


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@pass_context
def command(context: Context, models: tuple[str, ...]) -> None:
    """Give every model that is ready, or MODEL..., to an agent as a tool.

    It speaks the Model Context Protocol on standard input and output; agents start it themselves.
    Files are named by their paths.
    """
    from orchestrator.cli.serve_command import needing_extra

    with needing_extra("mm mcp"):
        from orchestrator.serve.mcp_stdio import serve_streams
    for name in models:
        context.catalog.model(name)

    def write(line: bytes) -> None:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

    serve_streams(context, models, sys.stdin.fileno(), write)
