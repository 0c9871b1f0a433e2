"""Whether two arrays of one name are equal within the error of a data type."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import msgspec

LOGITS = "logits"
"""The array with a vector for each step, of which the most likely token must be the same."""

ALLOWED = {"float32": 1e-3, "bfloat16": 2e-2, "float16": 2e-2}
"""How far two logits may differ, by data type; other arrays in parts of their largest value."""


class Array(NamedTuple):
    """Numbers in C order, and the shape that they have."""

    shape: tuple[int, ...]
    values: memoryview

    @classmethod
    def of(cls, value: Any) -> Array:
        """Return an array of NumPy, or a typed memoryview, with its own copy of the numbers."""
        view = memoryview(value if isinstance(value, memoryview) else value.astype("<f4"))
        flat = memoryview(view.tobytes())
        return cls(tuple(view.shape or ()), flat.cast(view.format) if view.nbytes else flat)  # type: ignore[call-overload]

    @property
    def steps(self) -> int:
        """How many vectors there are along the last axis."""
        return math.prod(self.shape[:-1])


class ArrayDifference(msgspec.Struct, frozen=True):
    """How two arrays of one name differ.

    Attributes:
        name: Their name.
        equal: Whether they are equal within the error that is allowed.
        finding: How they differ, in words.
        largest: The largest difference between two numbers; None where they cannot be compared.
    """

    name: str
    equal: bool
    finding: str
    largest: float | None


def compare_arrays(name: str, one: Array, other: Array, allowed: float) -> ArrayDifference:
    """Compare two arrays.

    Args:
        name: Their name; of `logits`, the most likely token of each step must be the same.
        one: The array that is in question.
        other: The array that it is compared with.
        allowed: How far numbers may differ: in parts of the largest value of `other` where that
            is above 1, except for `logits`.
    """
    if one.shape != other.shape or not one.values:
        finding = f"the shapes {list(one.shape)} and {list(other.shape)} do not match"
        return ArrayDifference(name, equal=False, finding=finding, largest=None)
    largest, scale = 0.0, 1.0
    width = one.shape[-1] if one.shape else 1
    for place, (a, b) in enumerate(zip(one.values, other.values, strict=True)):
        if not (math.isfinite(a) and math.isfinite(b)):
            finding = f"a number of step {place // width + 1} is {a:g}, and {b:g} in the other"
            return ArrayDifference(name, equal=False, finding=finding, largest=None)
        largest, scale = max(largest, abs(a - b)), max(scale, abs(b))
    if name == LOGITS:
        scale = 1.0
        for step in range(one.steps):
            part = slice(step * width, (step + 1) * width)
            if _likeliest(one.values[part]) != _likeliest(other.values[part]):
                finding = f"another most likely token at step {step + 1} of {one.steps}"
                return ArrayDifference(name, equal=False, finding=finding, largest=largest)
    limit = allowed * scale
    finding = f"largest difference {largest:.2g} over {one.steps} vectors, allowed {limit:.2g}"
    return ArrayDifference(name, equal=largest <= limit, finding=finding, largest=largest)


def _likeliest(vector: memoryview) -> int:
    values = vector.tolist()
    return values.index(max(values))
