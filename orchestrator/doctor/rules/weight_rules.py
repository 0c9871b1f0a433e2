"""The rules about files of weights and their index, from headers and names alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from orchestrator.core.units import counted, format_size
from orchestrator.doctor.rules.config import json_object
from orchestrator.doctor.rules.download_rules import check_downloads
from orchestrator.doctor.rules.findings import Evidence, Fact, Layer, Results, listed, rule
from orchestrator.doctor.rules.safetensors import Header
from orchestrator.doctor.rules.subject import Subject, Weights

Match = tuple[str, str, Mapping[str, Any]]
"""A rule, the file that it matches, and what the rule's texts name."""

SUFFIX = ".safetensors"
INDEXES = (f"{SUFFIX}.index.json", ".bin.index.json")
MAX_INDEX = 64 << 20
"""Bytes of an index that is read: that of the largest published models has 9 MB."""

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
OTHERS = (".gguf", ".onnx", ".h5", ".msgpack", ".tflite", ".npz")
"""Weights that are neither, which are not looked into."""

POINTER = re.compile(rb"\Aversion \S*git-lfs\S*\noid sha256:")
"""How the file begins that git keeps in place of weights where Git LFS is not set up."""

_PICKLED_NAME = re.compile(r"(?:pytorch_model|model|weights|training_args|optimizer|scheduler)")
_NO_WEIGHTS = re.compile(r"(?:training_args|optimizer|scheduler|scaler|rng_state)")
"""How the pickled files begin that a training leaves beside the weights."""

_PART = re.compile(
    r"(?P<stem>.*)-(?P<number>\d{5,6})-of-(?P<total>\d{5,6})(?P<suffix>\.safetensors|\.bin)"
)


class Index(msgspec.Struct, frozen=True):
    """What an index says: in which file each tensor is."""

    weight_map: dict[str, str]


def check_weights(subject: Subject) -> Results:
    """Check the files of weights against their index and what else there is."""
    yield from check_downloads(subject)
    if subject.manifest is not None and subject.manifest.source is None:
        yield Fact(Layer.WEIGHTS, "its weights come with the packages of its environment")
        return
    yield from _contents(subject.weights)
    for folder in _folders_without(subject):
        yield rule("absent").matched(Evidence(folder), file=folder, fetch=subject.fetch)
    for name, file, values in _matches(subject.weights):
        yield rule(name).matched(Evidence(file), file=file, fetch=subject.fetch, **values)


def _matches(weights: Weights) -> Iterator[Match]:
    for name in weights.pointers:
        yield "lfs-pointer", name, {}
    for name, problem in weights.damaged.items():
        yield "damaged", name, {"problem": problem}
    indexed: set[str] = set()
    for name, data in weights.indexes.items():
        try:
            held = _tensors_by_file(name, data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield "no-index", name, {"error": error}
            continue
        indexed |= held.keys()
        yield from _index_matches(name, held, weights)
    yield from _part_matches(indexed, weights)
    pickled, _ = _pickled(weights)
    if pickled:
        yield "pickled", pickled[0], {"are": "and others are" if len(pickled) > 1 else "is"}


def _folders_without(subject: Subject) -> Iterator[str]:
    """Yield the configuration of each folder that should have weights and has none.

    Those of the model itself may lie anywhere below it; those of a part that names its class lie
    beside its configuration, or with the model's own.
    """
    weights = {
        name.rpartition("/")[0]
        for name in subject.weights.names
        if name.endswith((SUFFIX, *INDEXES, *PICKLED, *OTHERS))
        and not _NO_WEIGHTS.match(name.rpartition("/")[2])
    }
    for name, data in subject.configs.items():
        folder = name.rpartition("/")[0]
        if not folder:
            absent = not weights and name == "config.json"
        else:
            absent = not weights & {"", folder} and bool(json_object(data).get("architectures"))
        if absent:
            yield name


def _tensors_by_file(name: str, data: bytes) -> dict[str, set[str]]:
    """Return the tensors that an index looks for in each file."""
    folder = name.rpartition("/")[0]
    held: dict[str, set[str]] = {}
    for tensor, shard in msgspec.json.decode(data, type=Index).weight_map.items():
        held.setdefault(f"{folder}/{shard}" if folder else shard, set()).add(tensor)
    return held


def _index_matches(name: str, held: dict[str, set[str]], weights: Weights) -> Iterator[Match]:
    """Compare an index with the files that it names."""
    missing = sorted(held.keys() - weights.names)
    if missing:
        are = "are" if len(missing) > 1 else "is"
        yield "no-shards", name, {"shards": listed(missing, 3), "are": are}
    for shard, tensors in held.items():
        if shard not in weights.headers:
            continue
        there = weights.headers[shard].tensors.keys()
        lacking = sorted(tensors - there)
        if lacking:
            them = "them" if len(lacking) > 1 else "it"
            yield "not-held", name, {"tensors": listed(lacking, 2), "shard": shard, "them": them}
        # What another file of the index holds is not listed for this one.
        unlisted = sorted(there - set().union(*held.values()))
        if unlisted:
            yield "not-listed", name, {"tensors": listed(unlisted, 2), "shard": shard}


def _part_matches(indexed: set[str], weights: Weights) -> Iterator[Match]:
    """Find files numbered 1 to N of which some are missing, where no index says so."""
    series: dict[tuple[str, str], set[int]] = {}
    for match in map(_PART.fullmatch, weights.names - indexed):
        if match is not None:
            key = match["stem"], f"{match['total']}{match['suffix']}"
            series.setdefault(key, set()).add(int(match["number"]))
    for (stem, ending), numbers in sorted(series.items()):
        total = ending.partition(".")[0]
        absent = int(total) - len(numbers & set(range(1, min(int(total), 10**6) + 1)))
        if absent and not any(name.startswith(f"{stem}-") for name in indexed):
            file = f"{stem}-…-of-{ending}"
            yield "no-parts", file, {"number": len(numbers), "total": int(total)}


def _pickled(weights: Weights) -> tuple[list[str], int]:
    """Return the pickled files without safetensors beside them, and the number of the others."""
    safe = {name.rpartition("/")[0] for name in weights.names if name.endswith(SUFFIX)}
    pickled = [
        name
        for name in sorted(weights.names)
        if name.endswith(PICKLED) and _PICKLED_NAME.match(name.rpartition("/")[2])
    ]
    alone = [name for name in pickled if name.rpartition("/")[0] not in safe]
    return alone, len(pickled) - len(alone)


def _contents(weights: Weights) -> Iterator[Fact]:
    """Say what the headers of each folder list."""
    folders: dict[str, list[Header]] = {}
    for name, header in weights.headers.items():
        folders.setdefault(name.rpartition("/")[0], []).append(header)
    for folder, headers in sorted(folders.items()):
        dtypes = parameters_by_dtype(headers)
        named = ", ".join(f"{dtype} {_count(count)}" for dtype, count in dtypes.most_common())
        size = format_size(sum(header.size for header in headers))
        tensors = sum(len(header.tensors) for header in headers)
        where = f"{folder}: " if folder else ""
        yield Fact(
            Layer.WEIGHTS,
            f"{where}{_count(dtypes.total())} parameters in {tensors} tensors ({named}), {size} in "
            f"{counted(len(headers), 'file')}",
        )
    _, beside = _pickled(weights)
    if beside:
        text = f"{counted(beside, 'pickled file')} beside .safetensors, not loaded"
        yield Fact(Layer.WEIGHTS, text)


def parameters_by_dtype(headers: Iterable[Header]) -> Counter[str]:
    """Return how many parameters there are of each dtype, as safetensors calls it."""
    counts: Counter[str] = Counter()
    for header in headers:
        for tensor in header.tensors.values():
            counts[tensor.dtype] += tensor.parameters
    return counts


def main_dtype(headers: Iterable[Header]) -> str:
    """Return the dtype, as torch calls it, that most parameters have; empty where there is none."""
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    dtypes = (dtype for dtype, _ in parameters_by_dtype(headers).most_common() if dtype in names)
    return names.get(next(dtypes, ""), "")


def _count(number: int) -> str:
    for unit, power in (("billion", 10**9), ("million", 10**6)):
        if number >= power:
            return f"{number / power:.2f} {unit}"
    return str(number)
