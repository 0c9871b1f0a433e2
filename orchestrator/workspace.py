"""What one user's `mm` works with: variables, home, manifests, settings, environments.

The command line and the Python API both stand on this; each part is made when it is first asked
for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.home import Home, home_directory
from orchestrator.reporting import Reporter, Silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.catalog import Catalog
    from orchestrator.client.runtime import RuntimeDirectory
    from orchestrator.environments import Environments
    from orchestrator.settings import Settings


@dataclass
class Workspace:
    """The user's world.

    Attributes:
        variables: The user's environment variables.
        cwd: The working directory, where the search for `manifests/` begins.
        manifests: Directories of manifests that were named, which come first.
        root: A home that was named instead of `MM_HOME`.
        reporter: Who hears notes and progress.
    """

    variables: Mapping[str, str]
    cwd: Path
    manifests: tuple[Path, ...] = ()
    root: Path | None = None
    reporter: Reporter = field(default_factory=Silent)

    @cached_property
    def home(self) -> Home:
        """`MM_HOME`, its format checked.

        Raises:
            EnvironmentFailure: When a newer `mm` made it.
        """
        home = Home(self.root.absolute()) if self.root else home_directory(self.variables)
        home.check()
        return home

    @cached_property
    def runtime(self) -> RuntimeDirectory:
        """`MM_RUNTIME_DIR`, checked."""
        from orchestrator.client.runtime import runtime_directory

        return runtime_directory(self.variables)

    @property
    def worker_logs(self) -> Path:
        """The directory of workers' logs."""
        return self.home.logs / "workers"

    @cached_property
    def settings(self) -> Settings:
        """What `mm use` and `mm manifest trust` have kept."""
        from orchestrator.settings import load_settings

        settings = load_settings(self.home)
        for note in settings.notes:
            self.reporter.note(note)
        return settings

    @cached_property
    def catalog(self) -> Catalog:
        """The merged manifests; what was ignored on the way is noted."""
        from orchestrator.catalog import load_catalog

        catalog = load_catalog(
            options=self.manifests,
            variables=self.variables,
            cwd=self.cwd,
            settings=self.settings,
        )
        for note in catalog.notes:
            self.reporter.note(note)
        return catalog

    @cached_property
    def environments(self) -> Environments:
        """The environments under `MM_HOME`, with the default backend."""
        from orchestrator.environments import Environments

        return Environments(self.home, self.variables, self.reporter)
