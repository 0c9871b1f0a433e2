"""A model's manifest as frozen records: what a model declares, with the defaults filled in.

These records are made by `orchestrator.core.manifest_reader` alone, which checks what types cannot
say. Everything after it reads records and never YAML.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

InputType = Literal[
    "text", "integer", "number", "boolean", "choice", "json", "image", "file", "audio", "array"
]
"""The types of section 3 of the design; outputs use the same without `choice`'s restriction."""

FILE_TYPES = frozenset({"image", "file", "audio"})
"""The types whose input is a path."""

Device = Literal["cuda", "cpu", "mps"]
DType = Literal["float32", "bfloat16", "float16"]
Platform = Literal["linux-x86_64", "linux-aarch64", "macos-arm64", "macos-x86_64"]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One keyword of the runner's `run`, and one option of `mm run`."""

    type: InputType
    required: bool = False
    default: Any = msgspec.UNSET
    help: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    list: bool = False


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key of what the runner's `run` returns."""

    type: InputType
    primary: bool = False
    help: str = ""


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the model's interpreter and packages must be."""

    python: str
    dependencies: tuple[str, ...]
    platforms: tuple[Platform, ...] = ()
    overrides: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    pass_: tuple[str, ...] = msgspec.field(default=(), name="pass")


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the weights come from, when no package carries them."""

    repo: str
    revision: str
    include: tuple[str, ...] = ()
    size: str = ""


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds that a load and a run may take."""

    load: float = 900
    run: float = 1800


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model, as its YAML file declares it."""

    name: str
    task: str
    summary: str
    environment: Environment
    inputs: dict[str, Input]
    outputs: dict[str, Output]
    env: str = ""
    """The folder under `envs/`; the reader fills in the model's own name."""
    license: str = ""
    homepage: str = ""
    source: Source | None = None
    patches: tuple[str, ...] = ()
    preference: int = 0
    devices: tuple[Device, ...] = ("cpu",)
    memory: dict[Device, dict[DType, str]] = {}
    options: dict[str, Any] = {}
    timeouts: Timeouts = Timeouts()
    keep_alive: str = "5m"

    @property
    def primary_output(self) -> str:
        """The output that `mm run` prints or that `-o OUT` names."""
        for name, output in self.outputs.items():
            if output.primary:
                return name
        return next(iter(self.outputs))
