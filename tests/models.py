"""Models that tests of environments declare, without a catalogue or YAML."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.catalog import Declared, Origin
from orchestrator.core.identity import Interpreter
from orchestrator.core.lockfile import render_lock, shape_digest
from orchestrator.core.manifest import Environment, Input, Manifest, Output, Platform
from orchestrator.environments.store import Marker, Store

DIGEST = "abcdef012345" + "0" * 52


class Model(Declared, frozen=True):
    """A declared model that writes its own lock."""

    def locked(self, body: str) -> "Model":
        """Write a lock with this body that fits the manifest, and return the model."""
        self.env_directory.mkdir(parents=True, exist_ok=True)
        shape = shape_digest(self.manifest.environment)
        command = f"mm env lock {self.name}"
        self.lock.write_text(render_lock(body, shape=shape, command=command), encoding="utf-8")
        return self


def model(
    root: str | Path,
    name: str,
    dependencies: Sequence[str] = (),
    *,
    python: str = ">=3.10",
    platforms: Sequence[Platform] = ("linux-x86_64",),
    **keys: Any,
) -> Model:
    """Return a model whose `envs/` lies under `root`."""
    environment = Environment(
        python=python, dependencies=tuple(dependencies), platforms=tuple(platforms), **keys
    )
    manifest = Manifest(
        name=name,
        env=name,
        task="try",
        summary="A model of a test",
        environment=environment,
        inputs={"text": Input(type="text")},
        outputs={"text": Output(type="text")},
    )
    file = Path(root) / "manifests" / f"{name}.yaml"
    folder = Path(root) / "envs" / name
    return Model(manifest, Origin.OPTION, file, folder, "digest", str(file))


@dataclass
class Notes:
    """A reporter that remembers."""

    notes: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, key: str, text: str, done: float = 0, total: float = 0) -> None:
        self.steps.append((key, text))

    def finish(self, key: str, text: str = "") -> None:
        self.steps.append((key, "finished"))


def interpreter(
    version: str = "3.12.1", platform: str = "linux-x86_64", path: str = "/usr/bin/python3.12"
) -> Interpreter:
    """Return the record of an interpreter that need not exist."""
    minor = ".".join(version.split(".")[:2])
    short = "cp" + minor.replace(".", "")
    linux = platform.startswith("linux")
    return Interpreter(
        path=path,
        implementation="cpython",
        version=version,
        tag=f"{short}-{short}-manylinux_2_36_x86_64",
        platform=platform,
        markers={
            "implementation_name": "cpython",
            "implementation_version": version,
            "os_name": "posix",
            "platform_machine": platform.partition("-")[2],
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux" if linux else "Darwin",
            "platform_version": "",
            "python_full_version": version,
            "python_version": minor,
            "sys_platform": "linux" if linux else "darwin",
        },
        origin="PATH",
    )


def facts(
    version: str = "3.12.1", executable: str = "/usr/bin/python3.12", **changes: Any
) -> dict[str, Any]:
    """Return what such an interpreter says of itself."""
    one = interpreter(version, path=executable)
    return {
        "executable": executable,
        "virtual": False,
        "conda": False,
        "implementation": one.implementation,
        "version": version,
        "tag": one.tag,
        "system": "linux",
        "machine": "x86_64",
        "markers": dict(one.markers),
        **changes,
    }


def built(store: Store, digest: str = DIGEST, model: str = "ocr") -> Path:
    """Make what looks like a whole environment and return its directory."""
    path = store.directory(model, digest)
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").write_text("")
    store.publish(path, marker(path, digest, model))
    return path


def marker(
    path: Path, digest: str = DIGEST, model: str = "ocr", probes: Sequence[str] = ("six",)
) -> Marker:
    return Marker(
        digest=digest,
        model=model,
        directory=str(path),
        interpreter="/usr/bin/python3",
        implementation="cpython",
        python_version="3.12.1",
        packages={"six": "1.17.0"},
        records={"six": "0" * 64},
        probes=list(probes),
        backend="uv",
        built="2025-01-01T00:00:00+00:00",
    )
