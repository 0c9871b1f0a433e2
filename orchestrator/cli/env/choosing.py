"""Which models a command of `mm env` means when it is given names, and when it is given none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.catalog import Catalog, Declared, Origin, builtin_directory
from orchestrator.environments.store import Stored
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orchestrator.core.manifest import Manifest
    from orchestrator.environments import Environments


def named(catalog: Catalog, names: Sequence[str]) -> list[Declared]:
    """Return the models of these names, each once.

    Raises:
        UsageError: When there is no such model.
        ManifestError: When its manifest is broken.
    """
    return list({name: catalog.model(name) for name in names}.values())


def lockable(catalog: Catalog) -> list[Declared]:
    """Return the models whose locks `mm env lock` writes when it is given no names.

    Those that came inside an installed wheel are not among them: their locks belong to the wheel.
    """
    installed = builtin_directory().parent.name == "builtin"
    return [
        declared
        for declared in catalog.models.values()
        if not (installed and declared.origin is Origin.BUILT_IN)
    ]


def syncable(
    catalog: Catalog, environments: Environments, has_weights: Callable[[Manifest], bool]
) -> list[Declared]:
    """Return the models that `mm env sync` means when it is given no names.

    Those that need no weights beside their packages, from any directory but one found by walking
    up, those whose weights were pulled or added, and those whose environment is there.
    """
    return [
        declared
        for declared in catalog.models.values()
        if (declared.manifest.is_embedded and declared.origin is not Origin.FOUND)
        or (declared.manifest.source is not None and has_weights(declared.manifest))
        or _is_built(declared, environments)
    ]


def one_per_lock(models: Iterable[Declared]) -> list[Declared]:
    """Return the first model of each `env` folder: models that share one share its lock."""
    return list({model.env_directory: model for model in reversed(list(models))}.values())[::-1]


def _is_built(declared: Declared, environments: Environments) -> bool:
    try:
        return environments.ready(declared) is not None
    except EnvironmentFailure:
        return False


def stored_named(
    catalog: Catalog, environments: Environments, names: Sequence[str]
) -> list[Stored]:
    """Return the environments that `names` mean, each once: models, or directories' names.

    Raises:
        EnvironmentFailure: When a model has no environment.
        UsageError: When a name is neither.
    """
    directories = {stored.path.name: stored for stored in environments.store.all()}
    chosen: dict[str, Stored] = {}
    for name in names:
        if name in directories:
            chosen[name] = directories[name]
            continue
        target = environments.target(catalog.model(name))
        stored = environments.store.find(target.digest)
        unfinished = environments.store.directories_of(target.digest)
        if stored is None and unfinished:
            stored = Stored(unfinished[0], None)
        if stored is None:
            raise EnvironmentFailure(f"{name} has no environment", fix=f"run: mm env sync {name}")
        chosen[stored.path.name] = stored
    return list(chosen.values())
