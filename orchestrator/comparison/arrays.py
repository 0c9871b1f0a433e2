"""Whether two arrays of one name are equal within the error of a data type."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import msgspec

LOGITS = "logits"
"""The array with a vector for each step, of which the most likely token must be the same."""

ALLOWED = {"float32": 1e-3, "bfloat16": 2e-2, "float16": 2e-2, "8bit": 5e-2, "4bit": 0.2}
"""How far two numbers may differ, by data type, in parts of the largest where that is above 1.

A bound on the number itself fits logits of size 1 alone. bfloat16 has 8 significant bits, so that
between 16 and 32 its neighbours lie 0.125 apart: logits of 30 that are rounded as well as can be
differ from float32 by 0.06, and no sum of products can be nearer than the numbers that it is made
of. Errors of rounding are errors in parts of the largest number of a sum, and so is the bound: in
16 bits it is five roundings of bfloat16, in float32 some 8,000, which are the order of the sums.
"""


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

    Of `logits` the most likely token of each step must be the same as well, unless in `other` the
    two are as likely as each other within the error. What is written from there on is another
    text, so that the steps that follow are not compared.

    Args:
        name: Their name.
        one: The array that is in question.
        other: The array that it is compared with.
        allowed: How far numbers may differ, in parts of the largest of `other` where it is above 1.
    """
    if not (one.values and other.values) or one.shape[-1:] != other.shape[-1:]:
        return _unlike(name, one, other)
    width = one.shape[-1] if one.shape else 1
    limit = allowed * max(1.0, *map(abs, other.values))
    largest, tied = 0.0, 0
    for step in range(min(one.steps, other.steps)):
        ours, theirs = (each.values[step * width : (step + 1) * width] for each in (one, other))
        for a, b in zip(ours, theirs, strict=True):
            if not (math.isfinite(a) and math.isfinite(b)):
                finding = f"a number of step {step + 1} is {a:g}, and {b:g} in the other"
                return ArrayDifference(name, equal=False, finding=finding, largest=None)
            largest = max(largest, abs(a - b))
        token, usual = _likeliest(ours), _likeliest(theirs)
        if name == LOGITS and token != usual:
            if theirs[usual] - theirs[token] > limit:
                finding = f"another most likely token at step {step + 1} of {one.steps}"
                return ArrayDifference(name, equal=False, finding=finding, largest=largest)
            tied = step + 1
            break
    if one.shape != other.shape and not tied:
        return _unlike(name, one, other)
    finding = f"largest difference {largest:.2g} over {tied or one.steps} vectors"
    finding += ", where two tokens are as likely," if tied else ","
    finding += f" allowed {limit:.2g}"
    return ArrayDifference(name, equal=largest <= limit, finding=finding, largest=largest)


def _unlike(name: str, one: Array, other: Array) -> ArrayDifference:
    finding = f"the shapes {list(one.shape)} and {list(other.shape)} do not match"
    return ArrayDifference(name, equal=False, finding=finding, largest=None)


def _likeliest(vector: memoryview) -> int:
    values = vector.tolist()
    return values.index(max(values))
