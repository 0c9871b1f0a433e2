import pytest

from orchestrator.core.identity import Interpreter
from orchestrator.core.lockfile import Pin
from orchestrator.environments.build import Order
from orchestrator.environments.disk import MARGIN, check_room
from orchestrator.environments.expected import WheelSize
from orchestrator.errors import EnvironmentFailure

GB = 1_000_000_000
PYTHON = Interpreter("/python", "cpython", "3.12.1", "cp312", "linux-x86_64", {})


def order(model, **packages):
    return Order(
        model=model,
        digest=model * 8,
        interpreter=PYTHON,
        pins=tuple(Pin(name, "1.0") for name in packages),
        probes=(),
        variables={},
        sizes={name: WheelSize(0, size) for name, size in packages.items() if size},
    )


def check(tmp_path, orders, free, missing):
    check_room(orders, tmp_path, missing, free=lambda _: free)


def everything(order):
    return frozenset(order.packages)


def never(order):
    raise AssertionError("nobody needs to know")


def test_where_all_fits_nobody_is_asked_what_is_there_already(tmp_path):
    check(tmp_path, [order("ocr", torch=5 * GB)], 5 * GB + MARGIN, never)


def test_a_disk_too_small_is_refused_with_the_figures(tmp_path):
    with pytest.raises(EnvironmentFailure) as refused:
        check(tmp_path, [order("ocr", torch=5 * GB)], 5 * GB, everything)
    assert "building ocr takes 5 GB, and the disk has 5 GB free" in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "mm env prune" in str(refused.value)


def test_what_two_environments_share_counts_once(tmp_path):
    both = [order("ocr", torch=3 * GB, a=GB), order("tts", torch=3 * GB, b=GB)]
    check(tmp_path, both, 5 * GB + MARGIN, everything)
    with pytest.raises(EnvironmentFailure, match="building ocr, tts takes 5 GB"):
        check(tmp_path, both, 4 * GB + MARGIN, everything)


def test_what_the_cache_has_unpacked_needs_no_room(tmp_path):
    one = order("ocr", torch=5 * GB, a=GB)
    check(tmp_path, [one], GB + MARGIN, lambda _: frozenset({"a"}))
    check(tmp_path, [one], 0, lambda _: frozenset())
    with pytest.raises(EnvironmentFailure, match="takes 1 GB"):
        check(tmp_path, [one], GB, lambda _: frozenset({"a"}))


def test_what_cannot_be_known_is_not_judged(tmp_path):
    check(tmp_path, [order("ocr", torch=0)], 1, never)
    check(tmp_path, [order("ocr", torch=5 * GB)], GB, lambda _: None)
