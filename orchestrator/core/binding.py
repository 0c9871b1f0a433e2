"""A YAML document to a typed, frozen record, with the file, line and key of every misfit.

`msgspec.convert` would do the same and name neither the key under a mapping nor the line; the types
it would check against are read from the same records, so that they are written once.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import msgspec
from msgspec import inspect as kinds

from orchestrator.core.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.core.yaml_document import Document, Path

Record = TypeVar("Record", bound=msgspec.Struct)

MISFIT: Any = object()
"""Stands for a value that did not fit; the problem has been reported."""


class ReportProblem(Protocol):
    """Takes one problem: the path of the value, what is wrong, and how to fix it."""

    def __call__(self, path: Path, what: str, fix: str = "") -> None:
        """Take the problem."""


def bind(document: Document, record: type[Record], report: ReportProblem) -> Record | None:
    """Return the `record` that `document` declares, or None when any problem was reported."""
    bound = _Binder(document, report).value(_kind_of(record), document.data, ())
    return None if bound is MISFIT else cast("Record", bound)


@lru_cache(maxsize=16)
def _kind_of(record: type[msgspec.Struct]) -> kinds.Type:
    return kinds.type_info(record)


_SCALARS: dict[type, tuple[type, str]] = {
    kinds.BoolType: (bool, "true or false"),
    kinds.IntType: (int, "a whole number"),
}


class _Binder:
    """Walks the data and the type side by side; goes on after a problem, to report them all."""

    def __init__(self, document: Document, report: ReportProblem) -> None:
        self._document = document
        self._report = report
        self._by_kind: dict[type, Callable[[Any, Any, Path], Any]] = {
            kinds.StrType: self._text,
            kinds.BoolType: self._scalar,
            kinds.IntType: self._scalar,
            kinds.FloatType: self._number,
            kinds.LiteralType: self._literal,
            kinds.VarTupleType: self._list,
            kinds.DictType: self._mapping,
            kinds.StructType: self._record,
            kinds.UnionType: self._union,
            kinds.AnyType: self._anything,
        }

    def value(self, kind: kinds.Type, data: Any, path: Path) -> Any:
        """Return `data` as the type `kind` wants it, or MISFIT."""
        if data is None and not isinstance(kind, kinds.AnyType):
            fix = "give it one" if not path else "give it one, or remove the key"
            return self._misfit(path, "has no value" if path else "the file is empty", fix)
        return self._by_kind[type(kind)](kind, data, path)

    def _misfit(self, path: Path, what: str, fix: str = "") -> Any:
        self._report(path, what, fix)
        return MISFIT

    def _text(self, _: kinds.StrType, data: Any, path: Path) -> Any:
        if isinstance(data, str):
            return data
        written = self._document.sources.get(path)
        if written is None:
            return self._misfit(path, f"must be text, not {name_of(data)}")
        noun = "version" if path[-1] == "python" else "value"
        return self._misfit(path, f'write the {noun} as a string ("{written}")')

    def _scalar(self, kind: kinds.BoolType | kinds.IntType, data: Any, path: Path) -> Any:
        wanted, words = _SCALARS[type(kind)]
        if type(data) is wanted:  # a truth value is no whole number
            return data
        return self._misfit(path, f"must be {words}, not {name_of(data)}")

    def _number(self, _: kinds.FloatType, data: Any, path: Path) -> Any:
        if not isinstance(data, (int, float)) or isinstance(data, bool):
            return self._misfit(path, f"must be a number, not {name_of(data)}")
        return self._anything(_, data, path)

    def _literal(self, kind: kinds.LiteralType, data: Any, path: Path) -> Any:
        if data in kind.values and isinstance(data, str):
            return data
        allowed = [str(value) for value in kind.values]
        return self._misfit(path, f"must be one of {', '.join(allowed)}, not {name_of(data)}")

    def _list(self, kind: kinds.VarTupleType, data: Any, path: Path) -> Any:
        if not isinstance(data, list):
            fix = f"write [{data}]" if isinstance(data, str) and data.isprintable() else ""
            return self._misfit(path, f"must be a list, not {name_of(data)}", fix)
        items = [self.value(kind.item_type, item, (*path, i)) for i, item in enumerate(data)]
        return MISFIT if any(item is MISFIT for item in items) else tuple(items)

    def _mapping(self, kind: kinds.DictType, data: Any, path: Path) -> Any:
        if not isinstance(data, dict):
            return self._misfit(path, f"must be a mapping, not {name_of(data)}")
        bound = {}
        for key, item in data.items():
            here = (*path, key)
            bound[self.value(kind.key_type, key, here)] = self.value(kind.value_type, item, here)
        whole = all(k is not MISFIT and v is not MISFIT for k, v in bound.items())
        return bound if whole else MISFIT

    def _record(self, kind: kinds.StructType, data: Any, path: Path) -> Any:
        if not isinstance(data, dict):
            return self._misfit(path, f"must be a mapping, not {name_of(data)}")
        fields = {field.encode_name: field for field in kind.fields}
        whole = True
        for key in data:
            if key not in fields:
                fix = did_you_mean(key, fields) or f"the keys here are {', '.join(fields)}"
                self._misfit((*path, key), "unknown key", fix)
                whole = False
        bound = {}
        for key, field in fields.items():
            if key in data:
                bound[field.name] = self.value(field.type, data[key], (*path, key))
                whole = whole and bound[field.name] is not MISFIT
            elif field.required:
                self._misfit((*path, key), "this key is missing")
                whole = False
        return kind.cls(**bound) if whole else MISFIT

    def _union(self, kind: kinds.UnionType, data: Any, path: Path) -> Any:
        """Bind the mapping of a union to a mapping, and else the one type beside it and None."""
        mappings = [each for each in kind.types if isinstance(each, kinds.DictType)]
        others = [e for e in kind.types if not isinstance(e, (kinds.DictType, kinds.NoneType))]
        (wanted,) = (mappings if isinstance(data, dict) else others) or others
        return self.value(wanted, data, path)

    def _anything(self, _: kinds.Type, data: Any, path: Path) -> Any:
        """Let pass what JSON can hold: no infinity and no NaN, at any depth."""
        if isinstance(data, float) and not math.isfinite(data):
            return self._misfit(path, "must be a finite number")
        if isinstance(data, list):
            parts = [self._anything(_, item, (*path, i)) for i, item in enumerate(data)]
            return MISFIT if any(part is MISFIT for part in parts) else data
        if isinstance(data, dict):
            parts = [self._anything(_, item, (*path, key)) for key, item in data.items()]
            return MISFIT if any(part is MISFIT for part in parts) else data
        return data


def name_of(data: Any) -> str:
    """Return what kind of value `data` is, in the words of people who write YAML."""
    if isinstance(data, bool):
        return f"{str(data).lower()}"
    if isinstance(data, (int, float)):
        return f"the number {data}"
    if isinstance(data, str):
        shown = data if len(data) <= 40 else f"{data[:40]}…"
        return f"the text {shown!r}"
    return "a list" if isinstance(data, list) else "a mapping"
