"""Lines around text: what is left of one in which others are known."""

import numpy as np
import pytest

from tests.unit.envs.runners import load_runner

polygons = load_runner("rapidocr").polygons


def box(x0, y0, x1, y1):
    return np.float32([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.parametrize(
    ("known", "left"),
    [
        ([], [(0, 600)]),
        ([(-2, 290)], [(290, 600)]),
        ([(310, 600)], [(0, 310)]),
        ([(200, 400)], [(0, 200), (400, 600)]),
        ([(300, 590), (15, 300)], []),
    ],
    ids=["nothing", "begin", "end", "middle", "all"],
)
def test_of_a_line_that_holds_others_the_rest_is_left(tall, known, left):
    def line(start, end):
        return box(0, start, 20, end) if tall else box(start, 0, end, 20)

    found = polygons.rest_of(line(0, 600), [line(*span) for span in known])
    assert [part.tolist() for part in found] == [line(*span).tolist() for span in left]
