from itertools import product

import pytest

from orchestrator.core.lockfile import Pin
from orchestrator.core.manifest import Environment
from orchestrator.core.wheels import Missing
from orchestrator.locking.uncovered import lines_without, table

PLATFORMS = ("linux-x86_64", "linux-aarch64", "macos-arm64")


def environment(python=">=3.10,<3.14", **keys):
    return Environment(python=python, platforms=PLATFORMS, dependencies=("x",), **keys)


def lacking(name, platforms, minors, *, bare=False):
    return Missing(Pin(name, "1.0"), frozenset(product(platforms, minors)), bare)


MINORS = ("3.10", "3.11", "3.12", "3.13")


@pytest.mark.parametrize(
    ("asked", "missing", "lines"),
    [
        (environment(), [lacking("sk", PLATFORMS, ["3.13"])], 'python: ">=3.10,<3.13"'),
        (environment(), [lacking("sk", PLATFORMS, ["3.10"])], 'python: ">=3.11,<3.14"'),
        (
            environment(">=3.10.5,<3.14"),
            [lacking("sk", PLATFORMS, ["3.12", "3.13"])],
            'python: ">=3.10.5,<3.12"',
        ),
        (
            environment(),
            [lacking("paddle", ["linux-aarch64"], MINORS)],
            "platforms: [linux-x86_64, macos-arm64]",
        ),
        (
            environment(),
            [lacking("paddle", ["linux-aarch64"], MINORS), lacking("sk", PLATFORMS, ["3.13"])],
            'python: ">=3.10,<3.13" and platforms: [linux-x86_64, macos-arm64]',
        ),
        (
            environment(build=("sox",)),
            [lacking("jieba", PLATFORMS, MINORS, bare=True)],
            "build: [jieba, sox]",
        ),
        (environment(), [lacking("none", PLATFORMS, MINORS)], ""),
    ],
    ids=["newest", "oldest", "patch", "platform", "both", "source", "nowhere"],
)
def test_the_lines_leave_out_what_has_no_wheel(asked, missing, lines):
    assert lines_without(asked, missing) == lines


def test_everything_that_is_missing_is_in_one_table():
    missing = [
        lacking("sk", PLATFORMS, ["3.13"]),
        lacking("jieba", PLATFORMS, MINORS, bare=True),
    ]
    rows = [("sk", "1.0", "Python 3.13"), ("jieba", "1.0", "source only")]
    assert table(environment(), missing) == rows
