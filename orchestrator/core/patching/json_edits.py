"""The edits of JSON files: one value is set or one member removed, and the rest stays as it is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined] # in C where there is C
from typing import Any

from orchestrator.core.canonical import canonical_bytes
from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.source_text import EditResult, SourceText, Splice

MAX_DEPTH = 100

_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null|NaN|-?Infinity")


@dataclass
class JsonNode:
    """A value and where it stands: from `start` to `end`, both offsets.

    Attributes:
        start: Where it begins.
        value: What it is.
        end: Where it ends.
        members: The values inside an object or a list, by key or position.
        keys: Where each member of an object begins, that is, its key.
        twice: A key that stands in it more than once.
    """

    start: int
    value: Any = None
    end: int = 0
    members: dict[str, JsonNode] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    twice: str | None = None


def set_value(source: SourceText, path: str, value: Any) -> EditResult:
    """Set the value at the dotted `path`; a missing key is added to the object that lacks it.

    Raises:
        PatchConflict: When the file is not JSON, or there is nothing that could have the key.
    """
    root = scan(source)
    parent, key = _parent(root, path)
    found = parent.members.get(key)
    if found is not None:
        if _same(found.value, value):
            return EditResult(0, 1, source, path)
        splice = Splice(found.start, found.end, _written(value))
    elif isinstance(parent.value, dict):
        splice = _added(source, parent, key, value)
    else:
        raise PatchConflict(f"no element {key}", path)
    return _proved(source, splice, root, path, value, remove=False)


def delete(source: SourceText, path: str) -> EditResult:
    """Remove the member of an object at the dotted `path`.

    Raises:
        PatchConflict: When the file is not JSON, or the path leads into a list.
    """
    root = scan(source)
    try:
        parent, key = _parent(root, path)
    except PatchConflict as conflict:
        if conflict.looked_for != path:
            raise
        return EditResult(0, 1, source, path)  # with the object, its member is gone
    if isinstance(parent.value, list):
        raise PatchConflict("a list, whose elements are not removed", path)
    if key not in parent.members:
        return EditResult(0, 1, source, path)
    return _proved(source, _removed(parent, key), root, path, None, remove=True)


def scan(source: SourceText) -> JsonNode:
    """Return the value in `source`, and where each part of it stands.

    Raises:
        PatchConflict: When it is not JSON.
    """
    scanner = _Scanner(source.text)
    try:
        node = scanner.value(scanner.skip(0), 0)
    except (ValueError, IndexError) as error:
        raise PatchConflict(f"not JSON: {error}") from error
    if scanner.skip(node.end) != len(source.text):
        raise PatchConflict("not JSON: text after its end", line=source.line_at(node.end))
    return node


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text

    def skip(self, position: int) -> int:
        """Return where the white space from `position` on ends."""
        match = _SPACE.match(self._text, position)
        assert match is not None
        return match.end()

    def value(self, position: int, depth: int) -> JsonNode:
        """Return the value that begins at `position`."""
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        if self._text[position] in "{[":
            return self._container(position, depth)
        if self._text[position] == '"':
            value, end = scanstring(self._text, position + 1, True)  # noqa: FBT003 - its form
            return JsonNode(position, value, end)
        match = _SCALAR.match(self._text, position)
        if match is None:
            raise ValueError(f"no value at character {position}")
        return JsonNode(position, json.loads(match[0]), match.end())

    def _container(self, position: int, depth: int) -> JsonNode:
        is_object = self._text[position] == "{"
        closing = "}" if is_object else "]"
        node = JsonNode(position, {} if is_object else [])
        position = self.skip(position + 1)
        while self._text[position] != closing:
            if node.members:
                if self._text[position] != ",":
                    raise ValueError(f"no comma at character {position}")
                position = self.skip(position + 1)
            position = self._member(node, position, depth)
        node.end = position + 1
        return node

    def _member(self, node: JsonNode, position: int, depth: int) -> int:
        key = str(len(node.members))
        start = position
        if isinstance(node.value, dict):
            if self._text[position] != '"':
                raise ValueError(f"no key at character {position}")
            key, position = scanstring(self._text, position + 1, True)  # noqa: FBT003
            position = self.skip(position)
            if self._text[position] != ":":
                raise ValueError(f"no colon at character {position}")
            position = self.skip(position + 1)
        member = self.value(position, depth + 1)
        if isinstance(node.value, dict):
            node.twice = key if key in node.members else node.twice
            node.value[key] = member.value
        else:
            node.value.append(member.value)
        node.members[key] = member
        node.keys[key] = start
        return self.skip(member.end)


def _parent(root: JsonNode, path: str) -> tuple[JsonNode, str]:
    *parts, last = path.split(".")
    node = root
    for part in parts:
        if part not in node.members:
            raise PatchConflict(f"no {part!r} that is an object", path)
        node = node.members[part]
        if node.twice is not None:
            raise PatchConflict(f"the key {node.twice!r} twice in one object", path)
    if root.twice is not None:
        raise PatchConflict(f"the key {root.twice!r} twice in one object", "")
    if not isinstance(node.value, dict | list):
        raise PatchConflict(f"{_written(node.value)} where an object should be", path)
    return node, last


def _added(source: SourceText, parent: JsonNode, key: str, value: Any) -> Splice:
    member = f"{_written(key)}: {_written(value)}"
    if not parent.members:
        return Splice(parent.start + 1, parent.end - 1, member)
    last = list(parent.members)[-1]
    begin = parent.keys[last]
    space = source.text[_space_before(source.text, begin) : begin]
    end = parent.members[last].end
    return Splice(end, end, f",{space}{member}")


def _space_before(text: str, position: int) -> int:
    while text[position - 1] in " \t\r\n":
        position -= 1
    return position


def _removed(parent: JsonNode, key: str) -> Splice:
    """Return the splice that takes a member away with the comma between it and its neighbour."""
    names = list(parent.members)
    position = names.index(key)
    if position + 1 < len(names):
        return Splice(parent.keys[key], parent.keys[names[position + 1]], "")
    if position:
        return Splice(parent.members[names[position - 1]].end, parent.members[key].end, "")
    return Splice(parent.keys[key], parent.members[key].end, "")


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _same(one: Any, other: Any) -> bool:
    # 1, 1.0 and true are three things in JSON and equal in Python.
    return _written(one) == _written(other) or (
        isinstance(one, dict)
        and isinstance(other, dict)
        and canonical_bytes(one) == canonical_bytes(other)
    )


def _proved(
    source: SourceText, splice: Splice, root: JsonNode, path: str, value: Any, *, remove: bool
) -> EditResult:
    result = source.spliced([splice])
    *parts, last = path.split(".")
    expected = json.loads(json.dumps(root.value))
    holder = expected
    for part in parts:
        holder = holder[int(part)] if isinstance(holder, list) else holder[part]
    if remove:
        del holder[last]
    elif isinstance(holder, list):
        holder[int(last)] = value
    else:
        holder[last] = value
    if _written(scan(result).value) != _written(expected):
        raise PatchConflict("a place where the edit would change something else as well", path)
    return EditResult(1, 0, result, path)
