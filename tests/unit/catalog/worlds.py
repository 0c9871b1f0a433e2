"""Directories of manifests, made as users make them."""

import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.catalog import Catalog, ManifestDirectory, Origin, inspect_tree, load_catalog
from orchestrator.system.settings import Settings

MANIFEST = """\
name: {name}
task: {task}
summary: A model
preference: {preference}
environment:
  python: ">=3.10"
  dependencies: {dependencies}
inputs:
  text: {{type: text}}
outputs:
  text: {{type: text}}
"""


def write_model(
    root: Path,
    name: str,
    *,
    task: str = "copy",
    preference: int = 0,
    dependencies: str = "[]",
    more: str = "",
) -> Path:
    """Write `root/manifests/name.yaml` and its runner; return the directory of manifests."""
    manifests = root / "manifests"
    manifests.mkdir(parents=True, exist_ok=True)
    text = MANIFEST.format(name=name, task=task, preference=preference, dependencies=dependencies)
    (manifests / f"{name}.yaml").write_text(text + more)
    runner = root / "envs" / name / "runner.py"
    runner.parent.mkdir(parents=True, exist_ok=True)
    runner.write_text(
        "def load(context): pass\n"
        "def run(model, job, *, text='', **others): return {'text': text}\n"
    )
    return manifests


@dataclass
class World:
    """A machine with an installation of `mm`, a user, and a project with a directory in it."""

    root: Path

    @property
    def builtin(self) -> Path:
        return self.root / "installation" / "manifests"

    @property
    def user(self) -> Path:
        return self.root / "home" / ".config" / "mm" / "manifests"

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def cwd(self) -> Path:
        return self.project / "deep" / "inside"

    def trusting_the_project(self) -> Settings:
        found = ManifestDirectory(self.project / "manifests", Origin.FOUND)
        contents = inspect_tree(found)
        return Settings().trusting(str(found.path), contents.digest, contents.files)

    def load(
        self,
        *options: Path,
        variable: list[Path] | None = None,
        settings: Settings | None = None,
        cwd: Path | None = None,
        user: int | None = None,
    ) -> Catalog:
        variables = {"HOME": str(self.root / "home")}
        if variable:
            variables["MM_MANIFESTS"] = os.pathsep.join(str(each) for each in variable)
        return load_catalog(
            options=options,
            variables=variables,
            cwd=cwd or self.cwd,
            settings=settings or Settings(),
            kept=self.root / "mm" / "manifests.json",
            builtin=self.builtin,
            user=user,
        )
