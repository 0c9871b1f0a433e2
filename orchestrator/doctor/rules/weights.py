"""Layer 5: the files of weights, their index, and what they hold, from headers and names alone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.units import format_size
from orchestrator.doctor.rules.drafts import draft_id
from orchestrator.doctor.rules.records import (
    Effect,
    Evidence,
    Fact,
    Finding,
    Layer,
    Looked,
    listed,
)
from orchestrator.doctor.rules.safetensors import Header

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SUFFIX = ".safetensors"
INDEX = f"{SUFFIX}.index.json"
MAX_INDEX = 64 << 20
"""Bytes of an index that is read: that of the largest published models has 9 MB."""

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
OTHERS = (".gguf", ".onnx", ".h5", ".msgpack", ".tflite", ".npz")
"""Weights that are neither, and that nobody looks into."""

_PICKLED_NAME = re.compile(r"(?:pytorch_model|model|weights|training_args|optimizer|scheduler)")
_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5,6})-of-(?P<total>\d{5,6})\.safetensors")
POINTER = re.compile(rb"\Aversion \S*git-lfs\S*\noid sha256:")
"""How the file begins that git keeps in place of weights where Git LFS is not set up."""


class Index(msgspec.Struct, frozen=True):
    """What an index says: in which file each tensor is."""

    weight_map: dict[str, str]


@dataclass
class Files:
    """What was read of a model's files of weights.

    Attributes:
        names: Every file of the model.
        headers: The header of each safetensors file that could be read.
        damaged: What is wrong with the others.
        pointers: Files that are pointers of Git LFS.
        indexes: The content of each index.
    """

    names: frozenset[str]
    headers: dict[str, Header] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    pointers: list[str] = field(default_factory=list)
    indexes: dict[str, bytes] = field(default_factory=dict)


def look(files: Files, mend: str) -> Looked:
    """Look at the weights; `mend` is the command that fetches them again."""
    looked = Looked()
    _facts(files, looked)
    for name in files.pointers:
        _add(
            looked, Effect.STOPS, "pointer", name, "is a pointer of Git LFS and not the weights",
            "the loader cannot read it", f"fetch the file itself: {mend}",
        )  # fmt: skip
    for name, problem in files.damaged.items():
        _add(looked, Effect.STOPS, "damaged", name, problem, "the loader cannot read it", mend)
    indexed: set[str] = set()
    for name, data in files.indexes.items():
        indexed |= _index(name, data, files, mend, looked)
    _parts(files, indexed, mend, looked)
    _pickled(files, looked)
    if "config.json" in files.names and not _any_weights(files.names):
        _add(
            looked, Effect.STOPS, "absent", "config.json", "is here, and no weights are",
            "the loader finds nothing to load", mend,
        )  # fmt: skip
    return looked


def _facts(files: Files, looked: Looked) -> None:
    groups: dict[str, list[Header]] = {}
    for name, header in files.headers.items():
        groups.setdefault(name.rpartition("/")[0], []).append(header)
    for folder, headers in sorted(groups.items()):
        values: Counter[str] = Counter()
        for header in headers:
            for tensor in header.tensors.values():
                values[tensor.dtype] += tensor.parameters
        total = sum(values.values())
        dtypes = ", ".join(f"{dtype} {_count(count)}" for dtype, count in values.most_common())
        size = format_size(sum(header.size for header in headers))
        many = len(headers)
        where = f"{folder}: " if folder else ""
        tensors = sum(len(header.tensors) for header in headers)
        looked.facts.append(
            Fact(
                Layer.WEIGHTS,
                f"{where}{_count(total)} parameters in {tensors} tensors ({dtypes}), {size} in "
                f"{many} file{'s' if many > 1 else ''}",
            )
        )


def _count(number: int) -> str:
    for unit, power in (("billion", 10**9), ("million", 10**6)):
        if number >= power:
            return f"{number / power:.2f} {unit}"
    return str(number)


def _index(name: str, data: bytes, files: Files, mend: str, looked: Looked) -> set[str]:
    """Compare an index with the files it names; return those."""
    try:
        mapping = msgspec.json.decode(data, type=Index).weight_map
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _add(
            looked, Effect.STOPS, "index", name, f"is no index of weights: {error}",
            "the loader does not know where the tensors are", mend,
        )  # fmt: skip
        return set()
    folder = name.rpartition("/")[0]
    held: dict[str, set[str]] = {}
    for tensor, shard in mapping.items():
        held.setdefault(f"{folder}/{shard}" if folder else shard, set()).add(tensor)
    missing = sorted(shard for shard in held if shard not in files.names)
    if missing:
        _add(
            looked, Effect.STOPS, "shards", name, f"names {listed(missing, 3)}, which "
            f"{'are' if len(missing) > 1 else 'is'} not there", "part of the weights is missing",
            mend,
        )  # fmt: skip
    for shard, tensors in held.items():
        header = files.headers.get(shard)
        if header is None:
            continue
        lacking = sorted(tensors - header.tensors.keys())
        if lacking:
            _add(
                looked, Effect.STOPS, "disagree", name,
                f"looks for {listed(lacking, 2)} in {shard}, which does not hold "
                f"{'them' if len(lacking) > 1 else 'it'}",
                "the loader does not find these tensors, or makes them at random", mend,
            )  # fmt: skip
        unknown = sorted(header.tensors.keys() - mapping.keys())
        if unknown:
            _add(
                looked, Effect.RISK, "unlisted", name,
                f"does not know {listed(unknown, 2)}, which {shard} holds",
                "the loader leaves these tensors out", mend,
            )  # fmt: skip
    return set(held)


def _parts(files: Files, indexed: Iterable[str], mend: str, looked: Looked) -> None:
    """Find files numbered 1 to N of which some are missing, where no index says so."""
    known = set(indexed)
    series: dict[tuple[str, str], set[int]] = {}
    for name in files.names - known:
        match = _PART.fullmatch(name)
        if match is not None:
            series.setdefault((match["stem"], match["total"]), set()).add(int(match["number"]))
    for (stem, total), numbers in sorted(series.items()):
        count = int(total)
        absent = count - len(numbers & set(range(1, min(count, 10**6) + 1)))
        if absent and not any(name.startswith(f"{stem}-") for name in known):
            _add(
                looked, Effect.STOPS, "shards", f"{stem}-…-of-{total}{SUFFIX}",
                f"has {len(numbers)} of its {count} parts", "part of the weights is missing", mend,
            )  # fmt: skip


def _pickled(files: Files, looked: Looked) -> None:
    safe = {name.rpartition("/")[0] for name in files.names if name.endswith(SUFFIX)}
    pickled = [
        name
        for name in sorted(files.names)
        if name.endswith(PICKLED) and _PICKLED_NAME.match(name.rpartition("/")[2])
    ]
    alone = [name for name in pickled if name.rpartition("/")[0] not in safe]
    if alone:
        _add(
            looked, Effect.RISK, "pickled", alone[0],
            f"{'and others are' if len(alone) > 1 else 'is'} pickled",
            "loading it runs whatever its author put in; newer releases of transformers refuse it",
            "use weights as .safetensors, from the same author where there are any",
        )  # fmt: skip
    beside = len(pickled) - len(alone)
    if beside:
        text = f"{beside} pickled file{'s' if beside > 1 else ''} beside .safetensors, not loaded"
        looked.facts.append(Fact(Layer.WEIGHTS, text))


def _any_weights(names: Iterable[str]) -> bool:
    return any(name.endswith((SUFFIX, INDEX, *PICKLED, *OTHERS)) for name in names)


def _add(
    looked: Looked,
    effect: Effect,
    kind: str,
    name: str,
    finding: str,
    consequence: str,
    remedy: str,
) -> None:
    looked.findings.append(
        Finding(
            Layer.WEIGHTS,
            draft_id("weights", kind, name),
            effect,
            f"{name} {finding}",
            consequence,
            remedy,
            (Evidence(name),),
        )
    )


def majority(headers: Mapping[str, Header]) -> str:
    """Return the dtype, as torch calls it, that most parameters have; empty where there is none."""
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    values: Counter[str] = Counter()
    for header in headers.values():
        for tensor in header.tensors.values():
            if tensor.dtype in names:
                values[names[tensor.dtype]] += tensor.parameters
    return values.most_common(1)[0][0] if values else ""
