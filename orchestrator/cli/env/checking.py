"""`mm env check`."""

from __future__ import annotations

import click

from orchestrator.cli.context import Context, pass_context


@click.command("check")
@click.argument("models", nargs=-1)
@click.option("--full", is_flag=True, help="Read every file and compare its hash.")
@pass_context
def check_command(context: Context, models: tuple[str, ...], *, full: bool) -> None:
    """Say what is wrong with the environments of MODELS, or with any.

    One that is found broken counts as not built from then on: the next sync, or the next run,
    builds it anew.
    """
    from orchestrator.backends.toolenv import tool_variables
    from orchestrator.cli.env.choosing import stored_named
    from orchestrator.environments.health import condemn, unhealthy
    from orchestrator.errors import EnvironmentFailure
    from orchestrator.waiting import Wait

    environments = context.environments
    chosen = (
        stored_named(context.catalog, environments, models)
        if models
        else list(environments.store.all())
    )
    variables = tool_variables(context.variables)
    broken: list[str] = []
    for stored in chosen:
        reason = unhealthy(stored.path, variables, full=full)
        context.out(f"{stored.path.name}: {reason or 'healthy'}")
        if reason is not None:
            broken.append(stored.path.name)
            what = "another mm, which builds it"
            with Wait(stored.path.name, what, context.reporter) as wait:
                condemn(environments.store, stored, wait.pause)
    if broken:
        # A file that was written in place is the cache's own as well.
        clean = (
            "clean the changed packages out of uv's cache (uv cache clean PACKAGE), "
            if full
            else ""
        )
        raise EnvironmentFailure(
            f"{len(broken)} of {len(chosen)} environments cannot be trusted",
            fix=f"{clean}build them anew with: mm env sync; or remove them with: mm env prune",
        )
