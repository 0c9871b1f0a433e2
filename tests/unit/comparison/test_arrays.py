"""What two devices or two models compute, compared."""

import math
from array import array

import pytest

from orchestrator.comparison.arrays import LOGITS, Array, compare_arrays

CPU = [[0.5, 1.0, 2.0], [3.0, 1.0, 0.0]]


def moved(step, place, by):
    found = [list(vector) for vector in CPU]
    found[step][place] += by
    return found


def made(vectors):
    values = array("d", [each for vector in vectors for each in vector])
    return Array((len(vectors), 3), memoryview(values))


@pytest.mark.parametrize(
    ("ours", "passed", "said"),
    [
        (CPU, True, "largest difference 0 over 2 vectors, allowed 0.001"),
        (moved(0, 1, 0.0005), True, "0.0005"),
        (moved(0, 1, 0.002), False, "0.002"),
        (moved(1, 1, 5.0), False, "another most likely token at step 2 of 2"),
        (moved(1, 1, math.nan), False, "a number of step 2 is nan, and 1 in the other"),
        (CPU[:1], False, "the shapes [1, 3] and [2, 3] do not match"),
        ([], False, "the shapes [0, 3] and [2, 3]"),
    ],
)
def test_logits_are_equal_within_the_error_of_the_data_type(ours, passed, said):
    found = compare_arrays(LOGITS, made(ours), made(CPU), 1e-3)
    assert found.equal is passed
    assert said in found.finding


def test_other_arrays_may_differ_in_parts_of_their_largest_value():
    large = [[1000 * each for each in vector] for vector in CPU]
    near = [[each + 2 for each in vector] for vector in large]
    assert compare_arrays("vision", made(near), made(large), 1e-3).equal
    assert not compare_arrays(LOGITS, made(near), made(large), 1e-3).equal
