"""A model's manifest as frozen records: what a model declares, with the defaults filled in.

These records are made by `orchestrator.core.manifest_reader` alone, which checks what types cannot
say. Everything after it reads records and never YAML. What each key means to a user is told in
docs/manifest.md and, for editors, in `orchestrator.core.manifest_schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Protocol

import msgspec

from orchestrator.core.units import parse_duration, parse_size

InputType = Literal[
    "text", "integer", "number", "boolean", "choice", "json", "image", "file", "audio", "array"
]
OutputType = Literal[
    "text", "integer", "number", "boolean", "json", "image", "file", "audio", "array"
]

FILE_TYPES = frozenset({"image", "file", "audio"})
"""The types whose input is a path for the runner."""

PATH_TYPES = FILE_TYPES | {"array"}
"""The types whose input is a path on the command line."""

Device = Literal["cuda", "cpu", "mps"]
DType = Literal["float32", "bfloat16", "float16"]
Platform = Literal["linux-x86_64", "linux-aarch64", "macos-arm64", "macos-x86_64"]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One keyword of the runner's `run`, and one option of `mm run`."""

    type: InputType
    required: bool = False
    default: Any = msgspec.UNSET
    """A value of the type, a list of them where `list` is true; UNSET where there is none."""
    help: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    list: bool = False
    """Whether the option may be repeated and `run` gets a list."""


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key of what the runner's `run` returns."""

    type: OutputType
    primary: bool = False
    help: str = ""


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the model's interpreter and packages must be."""

    python: str
    """A range of versions with a lower bound, as in PEP 440."""
    dependencies: tuple[str, ...]
    platforms: tuple[Platform, ...] = ()
    """Where the lock must install; empty means the machine that locks."""
    overrides: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    """The only packages that may be built from source."""
    probe: tuple[str, ...] = ()
    """Modules that must import before the environment is used."""
    variables: dict[str, str] = {}
    pass_: tuple[str, ...] = msgspec.field(default=(), name="pass")
    """Names of the user's variables that the worker may see."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the weights come from, when no package carries them."""

    repo: str
    revision: str
    include: tuple[str, ...] = ()
    """Patterns of the files that are wanted; empty means all."""
    size: str = ""

    @property
    def size_in_bytes(self) -> int | None:
        """The size of the download, as far as the manifest says."""
        return parse_size(self.size) if self.size else None


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds that a load and a run may take."""

    load: float = 900
    run: float = 1800


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
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
    """None where a package of the environment carries the weights."""
    patches: tuple[str, ...] = ()
    preference: int = 0
    """Among the ready models of a task, the highest wins."""
    devices: tuple[Device, ...] = ("cpu",)
    """In the order in which `--device auto` tries them."""
    memory: dict[Device, dict[DType, str]] = {}
    options: dict[str, Any] = {}
    """What the runner finds as `context.options`."""
    timeouts: Timeouts = Timeouts()
    keep_alive: str = "5m"

    @cached_property
    def primary_output(self) -> str:
        """The output that `mm run` prints or that `-o OUT` names."""
        for name, output in self.outputs.items():
            if output.primary:
                return name
        return next(iter(self.outputs))

    @cached_property
    def takes_paths(self) -> bool:
        """Whether any input is a path on the command line: a file or an array."""
        return any(declared.type in PATH_TYPES for declared in self.inputs.values())

    @property
    def keep_alive_seconds(self) -> float:
        """How long a worker stays after its last job; infinity for `forever`."""
        return parse_duration(self.keep_alive)

    def smallest_memory(self, device: str) -> int:
        """Return the bytes that the smallest dtype listed for `device` needs; 0 where none is."""
        sizes = [
            size for known, each in self.memory.items() if known == device for size in each.values()
        ]
        return min((parse_size(size) for size in sizes), default=0)


class Takes(Protocol):
    """Whatever takes inputs that are declared as a manifest declares them."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def inputs(self) -> Mapping[str, Input]:
        """Its inputs by name."""


def option_name(input_name: str) -> str:
    """Return the option of `mm run`, without its dashes, that sets the input of that name."""
    return input_name.replace("_", "-")
