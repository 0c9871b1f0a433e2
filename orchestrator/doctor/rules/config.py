"""A model's configuration files: what they say and on which line, and the code that they name."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.json_edits import JsonNode, scan
from orchestrator.core.patching.source_text import SourceText, decode_text
from orchestrator.doctor.rules.findings import Evidence, shortened

DTYPE_KEYS = ("torch_dtype", "dtype")

COMPUTED = frozenset({"float32", "float16", "bfloat16", "float64"})
"""Dtypes that every device of ours computes in, some slowly."""

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
    root: JsonNode

    @property
    def value(self) -> dict[str, Any]:
        """What the file says."""
        value: dict[str, Any] = self.root.value
        return value

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
        pending: deque[tuple[tuple[str, ...], JsonNode]] = deque([((), self.root)])
        while pending:
            path, node = pending.popleft()
            for key, member in node.members.items():
                yield (*path, key), member.value
                pending.append(((*path, key), member))


def read_config(name: str, data: bytes) -> Config:
    """Return the parsed file.

    Raises:
        PatchConflict: When it is not JSON, or no object.
    """
    source = decode_text(data)
    root = scan(source)
    if not isinstance(root.value, dict):
        raise PatchConflict("no object")
    return Config(name, data, source, root)


def json_object(data: bytes | None) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one where there is none."""
    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def dtype_named(config: Mapping[str, Any]) -> str:
    """Return the dtype that a configuration names, without `torch.`; empty where it names none."""
    named = (config[key] for key in DTYPE_KEYS if isinstance(config.get(key), str))
    return next(named, "").removeprefix("torch.")


class ClassReference(NamedTuple):
    """A class that `auto_map` names, written as `[repository--]module.Class`.

    Attributes:
        path: Where in the configuration.
        repository: Another repository, or nothing for this one.
        target: The module and the class, dotted.
    """

    path: tuple[str, ...]
    repository: str
    target: str

    @property
    def file(self) -> str:
        """The file of the module."""
        return "/".join(self.target.split(".")[:-1]) + ".py"


def references(config: Mapping[str, Any]) -> Iterator[ClassReference]:
    """Yield the classes that the `auto_map` of a configuration names."""
    mapping = config.get("auto_map")
    entries = mapping.items() if isinstance(mapping, dict) else [("", mapping)]
    for key, entry in entries:
        path = ("auto_map", key) if key else ("auto_map",)
        for text in entry if isinstance(entry, list) else [entry]:
            if isinstance(text, str):
                repository, dashes, target = text.partition("--")
                yield ClassReference(path, repository if dashes else "", target if dashes else text)


def modules_named(data: bytes) -> list[str]:
    """Return the files of this repository that a configuration's `auto_map` loads."""
    named = references(json_object(data))
    return list(dict.fromkeys(each.file for each in named if not each.repository))
