"""Layer 4: a model's configuration against the device, the files beside it and the packages."""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.core.patching.json_edits import Node, scan
from orchestrator.core.patching.misfit import Misfit
from orchestrator.core.patching.source_text import SourceText, decode_text
from orchestrator.doctor.rules.drafts import draft_id, setting
from orchestrator.doctor.rules.records import (
    Effect,
    Evidence,
    Fact,
    Finding,
    Layer,
    Looked,
    shortened,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.core.patching import Conditions

DTYPE_KEYS = ("torch_dtype", "dtype")

COMPUTED = frozenset({"float32", "float16", "bfloat16", "float64"})
"""Dtypes that every device of ours computes in, some slowly."""

STORED = frozenset(
    {"float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"}
)
"""Dtypes that torch knows and in which only some GPUs compute."""

NEEDS_CUDA = frozenset({"fp8", "fbgemm_fp8", "eetq", "vptq", "higgs", "spqr", "fp_quant"})
"""Methods of quantisation that have kernels for CUDA alone."""

WANTS_CUDA = frozenset({"awq", "gptq", "bitsandbytes", "bitnet", "auto-round", "mxfp4"})
"""Methods whose usual kernels are for CUDA, and that some releases can run elsewhere."""

ATTENTION_KEYS = frozenset({"attn_implementation", "_attn_implementation"})
FLASH = re.compile(r"flash_attention_\d")
CONFIGS = (
    "config.json",
    "tokenizer_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
)
"""Files in which `auto_map` may stand."""


@dataclass(frozen=True)
class Config:
    """A parsed configuration file."""

    name: str
    data: bytes
    source: SourceText
    root: Node

    @property
    def value(self) -> Any:
        """What the file says."""
        return self.root.value

    def evidence(self, path: Sequence[str]) -> Evidence:
        """Return the place of the key at `path`, quoted."""
        node, start = self.root, 0
        for part in path:
            start = node.keys.get(part, node.members[part].start)
            node = node.members[part]
        line = self.source.line_at(start)
        return Evidence(self.name, line, shortened(self.source.line(line)))

    def walk(self) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield every member of every object with its path, from the outermost inwards."""
        waiting: deque[tuple[tuple[str, ...], Node]] = deque([((), self.root)])
        while waiting:
            path, node = waiting.popleft()
            for key, member in node.members.items():
                yield (*path, key), member.value
                waiting.append(((*path, key), member))


def read_config(name: str, data: bytes) -> Config:
    """Return the parsed file.

    Raises:
        Misfit: When it is not JSON.
    """
    source = decode_text(data)
    return Config(name, data, source, scan(source))


@dataclass(frozen=True)
class Setting:
    """What the configuration is looked at beside.

    Attributes:
        conditions: Device, dtype, versions.
        offered: Dtypes that the manifest lists for the device, which somebody tried; else empty.
        files: The names of the model's files.
        code: The text of the model's own code.
        offline: Whether the model runs with the hub offline.
    """

    conditions: Conditions
    offered: frozenset[str]
    files: frozenset[str]
    code: str
    offline: bool


def look(configs: Mapping[str, bytes], beside: Setting) -> Looked:
    """Look at every configuration file; `configs` has their contents by name."""
    looked = Looked()
    for name, data in configs.items():
        try:
            config = read_config(name, data)
        except Misfit as misfit:
            looked.findings.append(_not_json(name, misfit))
            continue
        if not isinstance(config.value, dict):
            looked.findings.append(_not_json(name, Misfit("no object")))
            continue
        if name.rpartition("/")[2] == "config.json":
            _dtypes(config, beside, looked)
            _quantisation(config, beside, looked)
            _attention(config, beside, looked)
        _auto_map(config, beside, looked)
    return looked


def dtype_named(config: Mapping[str, Any]) -> str:
    """Return the dtype that a configuration names, without `torch.`; empty where it names none."""
    for key in DTYPE_KEYS:
        if isinstance(config.get(key), str):
            return str(config[key]).removeprefix("torch.")
    return ""


def _not_json(name: str, misfit: Misfit) -> Finding:
    return Finding(
        Layer.CONFIGURATION,
        draft_id("json", name),
        Effect.STOPS,
        f"{name} is {misfit.found}",
        "the loader cannot read it",
        "fetch the file again",
        (Evidence(name, misfit.line),),
    )


def _dtypes(config: Config, beside: Setting, looked: Looked) -> None:
    conditions = beside.conditions
    top = dtype_named(config.value)
    for path, value in config.walk():
        if (
            path[-1] not in DTYPE_KEYS
            or not isinstance(value, str)
            or "quantization_config" in path
        ):
            continue
        dtype = value.removeprefix("torch.")
        if dtype == "auto":
            continue
        if dtype not in COMPUTED and (dtype not in STORED or conditions.device != "cuda"):
            why = (
                "and torch has no such dtype"
                if dtype not in STORED
                else (f"in which {conditions.device} does not compute")
            )
            _add_dtype(
                config, path, beside, looked, Effect.STOPS, f"names the dtype {dtype}, {why}",
                "a loader that takes the dtype from there fails",
            )  # fmt: skip
        elif len(path) == 1 and dtype == "float16" and conditions.device == "cpu":
            if conditions.dtype == "float16" and "float16" not in beside.offered:
                _add_dtype(
                    config, path, beside, looked, Effect.RISK,
                    "names the dtype float16, and the model is to run on cpu",
                    "on a CPU some operations have no float16, and the others are slow",
                )  # fmt: skip
        elif len(path) > 1 and top and dtype != top and _is_used(path[0], beside):
            _add_dtype(
                config, path, beside, looked, Effect.RISK,
                f"names {dtype} inside {path[0]}, and {top} for the whole",
                "that part is made in another dtype than the rest; torch raises where they meet",
                top,
            )  # fmt: skip
    if top:
        text = f"{config.name} names the dtype {top}; the job's is {conditions.dtype}"
        looked.facts.append(Fact(Layer.CONFIGURATION, text))


def _is_used(part: str, beside: Setting) -> bool:
    """Whether anybody reads that part: code of the model that names it, or transformers itself."""
    return part in beside.code if beside.code else True


def _add_dtype(
    config: Config,
    path: tuple[str, ...],
    beside: Setting,
    looked: Looked,
    effect: Effect,
    finding: str,
    consequence: str,
    to: str = "float32",
) -> None:
    name = draft_id("dtype", *path)
    when = {} if len(path) > 1 else {"device": beside.conditions.device}
    patch = setting(
        config.name,
        config.data,
        name,
        f"The configuration {finding}.",
        {".".join(path): to},
        beside.conditions,
        when,
    )
    looked.findings.append(
        Finding(
            Layer.CONFIGURATION,
            name,
            effect,
            f"{config.name} {finding}",
            consequence,
            f"a patch that sets {'.'.join(path)} to {to}",
            (config.evidence(path),),
            patch,
        )
    )


def _quantisation(config: Config, beside: Setting, looked: Looked) -> None:
    for path, value in config.walk():
        if path[-1] != "quantization_config" or not isinstance(value, dict):
            continue
        node = config.root
        for part in path:
            node = node.members[part]
        method = node.members.get("quant_method")
        name = str(method.value) if method is not None else "bitsandbytes"
        if beside.conditions.device == "cuda":
            looked.facts.append(Fact(Layer.CONFIGURATION, f"the weights are quantised by {name}"))
        elif name in NEEDS_CUDA | WANTS_CUDA:
            needs = "needs" if name in NEEDS_CUDA else "usually needs"
            looked.findings.append(
                Finding(
                    Layer.CONFIGURATION,
                    draft_id("quantised", name),
                    Effect.STOPS if name in NEEDS_CUDA else Effect.RISK,
                    f"{config.name} says that the weights are quantised by {name}, which {needs} "
                    f"CUDA, and the model is to run on {beside.conditions.device}",
                    "the loader refuses the model, or has no kernels for it",
                    "use weights that are not quantised, or a machine with such a GPU",
                    (config.evidence((*path, "quant_method") if method else path),),
                )
            )


def _attention(config: Config, beside: Setting, looked: Looked) -> None:
    conditions = beside.conditions
    has = "flash-attn" in conditions.versions and conditions.device == "cuda"
    for path, value in config.walk():
        if path[-1] not in ATTENTION_KEYS or not isinstance(value, str) or has:
            continue
        if not FLASH.fullmatch(value):
            continue
        lacks = (
            "flash-attn is not in the environment"
            if "flash-attn" not in conditions.versions
            else f"flash-attn does not run on {conditions.device}"
        )
        dotted = ".".join(path)
        name = draft_id("attention", *path)
        patch = setting(
            config.name,
            config.data,
            name,
            f"The configuration asks for {value}, and {lacks}.",
            {dotted: "eager"},
            conditions,
        )
        looked.findings.append(
            Finding(
                Layer.CONFIGURATION,
                name,
                Effect.STOPS,
                f"{config.name} asks for {value}, and {lacks}",
                "ImportError: FlashAttention2 has been toggled on, but it cannot be used",
                f"a patch that sets {dotted} to eager (or sdpa, where the class has it)",
                (config.evidence(path),),
                patch,
            )
        )


def auto_map_values(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the key and each reference, `[repository--]module.Class`, of a configuration."""
    mapping = value.get("auto_map") if isinstance(value, dict) else None
    if isinstance(mapping, str):
        yield "", mapping
    elif isinstance(mapping, list):
        yield from (("", each) for each in mapping if isinstance(each, str))
    elif isinstance(mapping, dict):
        for key, reference in mapping.items():
            for each in reference if isinstance(reference, list) else [reference]:
                if isinstance(each, str):
                    yield key, each


def modules_named(data: bytes) -> list[str]:
    """Return the files of this repository that a configuration's `auto_map` loads."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return []
    found = {}
    for _, reference in auto_map_values(value):
        if "--" not in reference:
            found["/".join(reference.split(".")[:-1]) + ".py"] = True
    return list(found)


def _auto_map(config: Config, beside: Setting, looked: Looked) -> None:
    folder = config.name.rpartition("/")[0]
    if folder:
        return  # transformers reads it of the model's own directory alone
    for key, reference in auto_map_values(config.value):
        path = ("auto_map", key) if key else ("auto_map",)
        repository, dashes, target = reference.partition("--")
        module = "/".join((target or repository).split(".")[:-1]) + ".py"
        if dashes:
            looked.findings.append(_elsewhere(config, path, repository, module, beside))
        elif module not in beside.files:
            looked.findings.append(
                Finding(
                    Layer.CONFIGURATION,
                    draft_id("auto-map", key or config.name),
                    Effect.STOPS,
                    f"{config.name} takes {key or 'a class'} from {module}, which is not there",
                    "the loader looks for the file and fails",
                    "fetch the file: it belongs to the model (source.include of the manifest)",
                    (config.evidence(path),),
                )
            )


def _elsewhere(
    config: Config, path: tuple[str, ...], repository: str, module: str, beside: Setting
) -> Finding:
    key = path[-1]
    reference = next(
        each for name, each in auto_map_values(config.value) if each.startswith(repository)
    )
    name = draft_id("auto-map", key)
    patch = None
    if module in beside.files and len(path) == 2:
        target = reference.partition("--")[2]
        patch = setting(
            config.name,
            config.data,
            name,
            f"The code of {repository} lies beside; nothing need be fetched while the model loads.",
            {".".join(path): target},
            beside.conditions,
        )
    return Finding(
        Layer.CONFIGURATION,
        name,
        Effect.STOPS if beside.offline else Effect.RISK,
        f"{config.name} takes {key} from another repository, {repository}",
        "its code is fetched when the model is loaded, in whatever state it is then; "
        "jobs run with the hub offline, and fail",
        f"put {module} of that repository beside config.json, and name it there without the "
        "repository",
        (config.evidence(path),),
        patch,
    )
