"""One job by two models, or by one in two data types or on two devices, and how the two differ.

`mm compare` and the self-test of a device stand on it. It prints nothing and keeps nothing.
"""

from orchestrator.comparison.arrays import ALLOWED, LOGITS, Array, ArrayDifference, compare_arrays
from orchestrator.comparison.compare import ModelComparison, Side, compare, inputs_for
from orchestrator.comparison.output_differences import OutputDifference
from orchestrator.comparison.smallest_inputs import smallest_inputs
from orchestrator.comparison.traced import (
    TracedJob,
    as_miniature,
    has_function,
    run_traced,
)

__all__ = [
    "ALLOWED",
    "LOGITS",
    "Array",
    "ArrayDifference",
    "ModelComparison",
    "OutputDifference",
    "Side",
    "TracedJob",
    "as_miniature",
    "compare",
    "compare_arrays",
    "has_function",
    "inputs_for",
    "run_traced",
    "smallest_inputs",
]
