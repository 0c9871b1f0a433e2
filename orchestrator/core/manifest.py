"""A model's manifest as frozen records: what a model declares, with the defaults filled in.

These records are made by `orchestrator.core.manifest_reader` alone, which checks what types cannot
say. Everything after it reads records and never YAML.

The text under each field is what the key means to a user: `mm manifest schema` shows it, with the
types and their bounds, in the JSON Schema (`orchestrator.core.manifest_schema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol, cast

import msgspec
from msgspec import Meta

from orchestrator.core.names import (
    IDENTIFIER_PATTERN,
    LANGUAGE_PATTERN,
    MAX_NAME_LENGTH,
    NAME_PATTERN,
    VARIABLE_PATTERN,
)
from orchestrator.core.platforms import GLIBC
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

Device = Literal["cuda", "cpu", "mps", "mlx"]
DType = Literal["float32", "bfloat16", "float16", "8bit", "4bit"]
QUANTIZED = frozenset({"8bit", "4bit"})
"""The data types that need weights of their own: nothing is quantized while it is loaded."""

Platform = Literal["linux-x86_64", "linux-aarch64", "macos-arm64", "macos-x86_64"]
PreferredOn = Literal["default", "linux-x86_64", "linux-aarch64", "macos-arm64", "macos-x86_64"]

# The bounds are for the JSON Schema; the reader makes these checks in sentences of its own.
Name = Annotated[str, Meta(pattern=f"^{NAME_PATTERN}$", max_length=MAX_NAME_LENGTH)]
Identifier = Annotated[str, Meta(pattern=f"^{IDENTIFIER_PATTERN}$")]
Variable = Annotated[str, Meta(pattern=f"^(?!PYTHON){VARIABLE_PATTERN}$")]
Size = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)? ?([kKMGT]i?)?B$")]
Language = Annotated[str, Meta(pattern=f"^({LANGUAGE_PATTERN})$")]
Seconds = Annotated[float, Meta(gt=0)]


VOICE_INPUTS = frozenset({"voice", "speaker"})
"""The inputs that choose a voice."""


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One keyword of the runner's `run`, and one option of `mm run`."""

    type: InputType
    """What is given. The runner gets image, file and audio as paths."""
    required: bool = False
    """Whether a job without it is refused."""
    default: Any = msgspec.UNSET
    """The value when it is not given. Without one, the runner's run() is called without the
    keyword."""
    help: str = ""
    """What it is for; shown by mm run MODEL --help."""
    choices: tuple[str, ...] = ()
    """What a choice may be."""
    minimum: float | None = None
    """The smallest integer or number."""
    maximum: float | None = None
    """The largest integer or number."""
    list: bool = False
    """Whether the option may be repeated; run() gets a list."""


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key of what the runner's `run` returns."""

    type: OutputType
    """What is returned. An image or a file as a path in job.directory, audio as (samples, rate) or
    such a path."""
    primary: bool = False
    """Whether mm run prints it, and -o names it. The only output is primary by itself."""
    help: str = ""
    """What it is."""


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the model's interpreter and packages must be."""

    python: str
    """The versions of Python that the model runs on, with a lower bound. A string:
    ">=3.10,<3.13"."""
    dependencies: tuple[str, ...]
    """What the model needs, as requirements: torch==2.6.0. No URLs."""
    platforms: tuple[Platform, ...] = ()
    """Where the lock must install. By default all of them."""
    glibc: Annotated[str, Meta(pattern=r"^2\.[0-9]{1,3}$")] = f"2.{GLIBC}"
    """The oldest glibc that the lock must install with, on Linux: "2.35"."""
    overrides: tuple[str, ...] = ()
    """Requirements that replace what packages ask of each other."""
    build: tuple[str, ...] = ()
    """The names of the only packages that may be built from source."""
    probe: tuple[str, ...] = ()
    """Modules that must import before the environment is used."""
    variables: dict[Variable, str] = {}
    """Environment variables for the worker. PYTHON* has no effect and is refused."""
    pass_: tuple[str, ...] = msgspec.field(default=(), name="pass")
    """Names of your own environment variables that the worker may see."""

    @property
    def oldest_glibc(self) -> int:
        """The second number of `glibc`."""
        return int(self.glibc.partition(".")[2])


class Archive(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Files from an archive elsewhere, pinned by its hash."""

    files: Annotated[dict[str, str], Meta(min_length=1)]
    """What is taken: the name in the archive, and the name that the runner finds. "." is the whole
    of a file that is no archive."""
    npm: str = ""
    """A package of npm, from the registry that your npm settings name: name@version."""
    url: Annotated[str, Meta(pattern="^https?://")] = ""
    """Where a zip or tar archive, or a single file, lies."""
    integrity: Annotated[str, Meta(pattern="^sha(256|384|512)-")] = ""
    """The hash of a package, as npm has it: sha512-..."""
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] = ""
    """The hash of what lies at the URL."""

    @property
    def where(self) -> str:
        """What messages call it."""
        return self.npm or self.url


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the weights come from, when no package carries them."""

    repo: str = ""
    """The repository of the weights: owner/name."""
    modelscope: str = ""
    """The same repository at ModelScope, where it has another name there: owner/name."""
    revision: str = ""
    """The commit to use. A branch is resolved at the first download and recorded."""
    archives: tuple[Archive, ...] = ()
    """Files from elsewhere, beside those of the repository or instead of one."""
    include: tuple[str, ...] = ()
    """Patterns of the files to download. By default all of them."""
    size: Size = ""
    """The size of the download, which is said before it begins: 6.8 GB."""


EMBEDDED_LIMIT = 100_000_000
"""Bytes of archives up to which a model counts as embedded: fetched like its packages."""


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds that a load and a run may take."""

    load: Seconds = 900
    """Seconds to load the model."""
    run: Seconds = 1800
    """Seconds to run one job."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """One model, as its YAML file declares it."""

    name: Name
    """The model's name, which is the file's name without .yaml."""
    task: Name
    """What the model does. Every ocr model takes image and returns text; every tts model takes text
    and returns audio."""
    summary: Annotated[str, Meta(min_length=1)]
    """What the model does, in one line."""
    environment: Environment
    """The interpreter and the packages that the model runs with."""
    inputs: dict[Identifier, Input]
    """The keywords of the runner's run(), each an option of mm run: image_size is --image-size."""
    outputs: Annotated[dict[Identifier, Output], Meta(min_length=1)]
    """The keys of what the runner's run() returns."""
    env: Name = ""
    """The folder under envs/ with the runner and the lock. By default the model's own name; several
    models may share one."""
    license: str = ""
    """The licence of the model, as an SPDX expression."""
    homepage: str = ""
    """Where the model is described."""
    source: Source | None = None
    """Where the weights come from. Absent where a package carries them."""
    weights: dict[DType, Source] = {}
    """Checkpoints that were converted for the model, by the data type that each is for; mm model
    convert makes them of the source's. They take the source's include where they have none."""
    languages: tuple[Language, ...] = ()
    """The languages that the model reads, speaks or recognises: en, zh, pt-BR, or any for all. A
    job whose input text is in another language goes to another model of the task."""
    voices: dict[Identifier, Language] = {}
    """The voices that are ready, with their languages. They are the choices of the input voice or
    speaker."""
    patches: tuple[str, ...] = ()
    """Patch sets for the model's own code, applied in this order."""
    family: Name = ""
    """What models are named for that run the same weights in other ways: deepseek-ocr-2. By default
    the model stands alone."""
    preference: int | dict[PreferredOn, int] = 0
    """Among the ready models of a task that speak a job's text, the highest wins. A mapping has one
    for each platform, and a default for the others: {default: 15, macos-arm64: 30}."""
    devices: Annotated[tuple[Device, ...], Meta(min_length=1)] = ("cpu",)
    """Where the model runs, in the order in which --device auto tries."""
    memory: dict[Device, dict[DType, Size]] = {}
    """The memory that the model needs, by device and data type. --dtype takes what is listed for
    the device, and the first by default."""
    options: dict[str, Any] = {}
    """What the runner finds as context.options."""
    timeouts: Timeouts = Timeouts()
    """How long a load and a run may take, in seconds."""
    keep_alive: str = "5m"
    """How long a worker stays after its last job: "90s", "5m", "1h30m", "0" or "forever"."""

    def __post_init__(self) -> None:
        """Name the environment for the model where the manifest names none; fill in voices."""
        if not self.env:
            msgspec.structs.force_setattr(self, "env", self.name)
        for name in VOICE_INPUTS & set(self.inputs) if self.voices else ():
            given = self.inputs[name]
            if given.type == "choice" and not given.choices:
                self.inputs[name] = msgspec.structs.replace(given, choices=tuple(self.voices))

    @cached_property
    def primary_output(self) -> str:
        """The output that `mm run` prints or that `-o OUT` names."""
        for name, output in self.outputs.items():
            if output.primary:
                return name
        return next(iter(self.outputs))

    def preference_on(self, platform: str) -> int:
        """Return the preference on a platform, such as linux-x86_64."""
        if isinstance(self.preference, int):
            return self.preference
        by_platform = cast("Mapping[str, int]", self.preference)
        return by_platform.get(platform, by_platform.get("default", 0))

    @cached_property
    def is_embedded(self) -> bool:
        """Whether the model needs no pull: its packages carry it, or small archives do."""
        source = self.source
        return source is None or (not source.repo and parse_size(source.size) <= EMBEDDED_LIMIT)

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
