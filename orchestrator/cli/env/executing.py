"""`mm env exec`."""

from __future__ import annotations

import click

from orchestrator.cli.context import Context, pass_context


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("model")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_context
def exec_command(context: Context, model: str, command: tuple[str, ...]) -> int:
    """Run COMMAND inside the environment of MODEL and pass its exit code on.

    The command comes after `--`. It sees your own variables, with the environment activated.
    """
    from orchestrator.environments.activation import activated
    from orchestrator.errors import UsageError
    from orchestrator.processes import replace

    environment = context.environments.ensure(context.catalog.model(model))
    variables = activated(context.variables, environment.path)
    program = find_program(command[0], variables["PATH"])
    if program is None:
        raise UsageError(
            f"there is no program {command[0]!r} in the environment of {model} or on PATH",
            fix=f"see what there is: ls {environment.path / 'bin'}",
        )
    with environment.hold():
        context.close()
        return replace([program, *command[1:]], variables=variables, cwd=context.cwd)


def find_program(name: str, path: str) -> str | None:
    """Return the program that `name` means on `path`."""
    from shutil import which

    return which(name, path=path)
