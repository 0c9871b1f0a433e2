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
        (CPU, True, "largest difference 0 over 2 vectors, allowed 0.003"),
        (moved(0, 1, 0.0005), True, "0.0005"),
        (moved(0, 1, 0.004), False, "0.004"),
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


@pytest.mark.parametrize("name", [LOGITS, "vision"])
def test_numbers_may_differ_in_parts_of_the_largest(name):
    large = [[10 * each for each in vector] for vector in CPU]
    near, far = ([[each + by for each in vector] for vector in large] for by in (0.5, 0.7))
    assert compare_arrays(name, made(near), made(large), 2e-2).equal  # 30 in bfloat16
    assert not compare_arrays(name, made(far), made(large), 2e-2).equal
    small = [[0.01 * each for each in vector] for vector in CPU]
    assert compare_arrays(name, made(small), made([[0.0] * 3] * 2), 3e-2).equal


def test_two_tokens_that_are_as_likely_may_change_places():
    tied = made([[1.0, 2.0, 1.99], [3.0, 1.0, 0.0]])
    ours = made([[1.0, 1.99, 2.0], [0.0, 0.0, 9.0], [0.0, 0.0, 9.0]])
    found = compare_arrays(LOGITS, ours, tied, 2e-2)  # and what follows is another text
    assert found.equal
    assert "0.01 over 1 vectors, where two tokens are as likely, allowed 0.06" in found.finding
    apart = made([[1.0, 2.0, 1.9], [3.0, 1.0, 0.0]])
    assert "at step 1 of 3" in compare_arrays(LOGITS, ours, apart, 2e-2).finding


def test_one_text_must_have_as_many_steps_as_the_other():
    longer = made([*CPU, CPU[0]])
    found = compare_arrays(LOGITS, longer, made(CPU), 1e-3)
    assert (found.equal, found.finding) == (False, "the shapes [3, 3] and [2, 3] do not match")
