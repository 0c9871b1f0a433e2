"""`mm completion`: the completion script for a shell."""

from __future__ import annotations

import click

from orchestrator.cli.context import Context, pass_context

WHERE = {
    "bash": 'put  eval "$(mm completion bash)"  into ~/.bashrc',
    "zsh": 'put  eval "$(mm completion zsh)"  into ~/.zshrc',
    "fish": "save it as ~/.config/fish/completions/mm.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(WHERE)))
@pass_context
def command(context: Context, shell: str) -> None:
    """Print the script that makes SHELL complete mm's commands, models and inputs."""
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    assert kind is not None
    context.out(kind(root.command, {}, "mm", "_MM_COMPLETE").source())
    context.say(WHERE[shell])
