import errno
import json
import os

import pytest

from orchestrator.core.lockfile import Lock, Pin
from orchestrator.environments.disk import (
    MARGIN,
    cache_directory,
    check_room,
    first_time,
    links_refused,
)
from orchestrator.environments.targets import Target
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.home import Home
from tests.models import interpreter, model

GB = 1_000_000_000


@pytest.fixture
def target(tmp_path):
    """Returns a target whose packages take these bytes; 0 stands for an unknown size."""

    def target(name, **packages):
        declared = model(tmp_path, name)
        declared.env_directory.mkdir(parents=True, exist_ok=True)
        sizes = {package: [0, size] for package, size in packages.items() if size}
        document = {"version": 1, "lock": name, "platforms": {"linux-x86_64": sizes}}
        declared.lock.with_name("sizes.json").write_text(json.dumps(document))
        pins = tuple(Pin(package, "1.0") for package in packages)
        lock = Lock("", intact=True, pins=pins, digest=name)
        return Target(declared, lock, mine=False, interpreter=interpreter(), pins=pins, digest=name)

    return target


def check(tmp_path, targets, free, missing):
    check_room(targets, tmp_path, missing, free=lambda _: free)


def everything(target):
    return frozenset(target.packages)


def never(target):
    raise AssertionError("no one needs to know")


def test_where_all_fits_no_one_is_asked_what_is_there_already(tmp_path, target):
    check(tmp_path, [target("ocr", torch=5 * GB)], 5 * GB + MARGIN, never)


def test_a_disk_too_small_is_refused_with_the_figures(tmp_path, target):
    with pytest.raises(EnvironmentFailure) as refused:
        check(tmp_path, [target("ocr", torch=5 * GB)], 5 * GB, everything)
    assert "building ocr takes 5 GB, and the disk has 5 GB free" in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "mm env prune" in str(refused.value)


def test_what_two_environments_share_counts_once(tmp_path, target):
    both = [target("ocr", torch=3 * GB, a=GB), target("tts", torch=3 * GB, b=GB)]
    check(tmp_path, both, 5 * GB + MARGIN, everything)
    with pytest.raises(EnvironmentFailure, match="building ocr, tts takes 5 GB"):
        check(tmp_path, both, 4 * GB + MARGIN, everything)


def test_what_the_cache_has_unpacked_needs_no_room(tmp_path, target):
    one = target("ocr", torch=5 * GB, a=GB)
    check(tmp_path, [one], GB + MARGIN, lambda _: frozenset({"a"}))
    check(tmp_path, [one], 0, lambda _: frozenset())
    with pytest.raises(EnvironmentFailure, match="takes 1 GB"):
        check(tmp_path, [one], GB, lambda _: frozenset({"a"}))


def test_what_cannot_be_known_is_not_judged(tmp_path, target):
    check(tmp_path, [target("ocr", torch=0)], 1, never)
    check(tmp_path, [target("ocr", torch=5 * GB)], GB, lambda _: None)


# uv's cache, and what is noted once


def refusing(code):
    def link(source, target):
        raise OSError(code, os.strerror(code))

    return link


def test_a_cache_that_links_is_not_worth_a_line(tmp_path):
    assert links_refused(tmp_path / "cache", tmp_path / "home") is None
    assert list((tmp_path / "cache").iterdir()) == []
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EXDEV, "it is on another file system"),
        (errno.EPERM, "its file system refuses links"),
        (errno.ENOTSUP, "its file system refuses links"),
        (errno.EACCES, None),
    ],
)
def test_a_cache_that_cannot_link_says_why(tmp_path, code, reason):
    assert links_refused(tmp_path / "cache", tmp_path / "home", refusing(code)) == reason
    assert list((tmp_path / "cache").iterdir()) == []


def test_uvs_cache_is_where_uv_has_it():
    assert str(cache_directory({"HOME": "/h"})) == "/h/.cache/uv"
    assert str(cache_directory({"HOME": "/h", "XDG_CACHE_HOME": "/x"})) == "/x/uv"
    assert str(cache_directory({"HOME": "/h", "UV_CACHE_DIR": "/u"})) == "/u"


def test_a_thing_is_noted_once(tmp_path):
    home = Home(tmp_path)
    assert first_time(home, "cpu-build")
    assert not first_time(home, "cpu-build")
    assert first_time(home, "another")
    (tmp_path / "notices.json").write_text("{")
    assert first_time(home, "cpu-build")
