"""`mm env sync`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath

if TYPE_CHECKING:
    from orchestrator.environments.plan import BuildStep


@click.command("sync")
@click.argument("models", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every model of the catalogue.")
@click.option("--offline", is_flag=True, help="Download nothing.")
@click.option("--dry-run", is_flag=True, help="Print the plan and do nothing.")
@click.option("--jobs", "-j", type=click.IntRange(1, 64), help="How many to build at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--backend", type=click.Choice(["uv", "virtualenv"]), default="uv", show_default=True)
@click.option(
    "--python", type=GivenPath(), metavar="PYTHON", help="A path, a command or a version."
)
@click.option("--install-python", is_flag=True, help="Let uv fetch a Python where none fits.")
@pass_context
def sync(
    context: Context,
    models: tuple[str, ...],
    *,
    everything: bool,
    offline: bool,
    dry_run: bool,
    jobs: int | None,
    as_json: bool,
    backend: str,
    python: str | None,
    install_python: bool,
) -> None:
    """Make what is built equal what is declared.

    Without names: the models that need no weights beside their packages, and those that are built.
    """
    from orchestrator.cli.env.choosing import named, syncable
    from orchestrator.environments import Environments
    from orchestrator.environments.service import DEFAULT_JOBS

    environments = Environments(
        context.home,
        context.variables,
        context.reporter,
        backend,
        python,
        offline=offline,
        store=context.environments.store,
    )
    if models:
        chosen = named(context.catalog, models)
    elif everything:
        chosen = list(context.catalog.models.values())
    else:
        chosen = syncable(context.catalog, environments, context.sources.has_weights)
    if install_python and not dry_run:
        for declared in chosen:
            environments.targets.install_python(declared, context.reporter)
    if as_json:
        steps = [_plain(step) for step in environments.plan(chosen)]
        context.out(json.dumps({"version": 1, "steps": steps}, indent=2))
    elif dry_run:
        for step in environments.plan(chosen):
            context.out(_line(step))
    if not dry_run:
        context.sources.fetch_embedded(chosen)
        environments.sync(chosen, jobs or DEFAULT_JOBS)


def _line(step: BuildStep) -> str:
    from orchestrator.core.units import format_size

    words = {"ready": "is ready", "probe": "would be probed", "build": "would be built"}
    target, size = step.target, step.size()
    facts = [f"Python {target.interpreter.version}", f"{len(target.pins)} packages"]
    facts.append(target.digest[:12])
    if size.disk:
        facts.append(f"up to {format_size(size.download)} to download")
        facts.append(f"{format_size(size.disk)} on disk")
    return f"{', '.join(step.models)}: {words[step.action.value]} ({', '.join(facts)})"


def _plain(step: BuildStep) -> dict[str, object]:
    target, size = step.target, step.size()
    return {
        "action": step.action.value,
        "models": list(step.models),
        "digest": target.digest,
        "python": target.interpreter.version,
        "packages": len(target.pins),
        "probes": list(step.probes),
        "download": size.download,
        "disk": size.disk,
    }
