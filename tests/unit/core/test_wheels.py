from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.lockfile import Pin
from orchestrator.core.wheels import (
    PackageFile,
    PackageFiles,
    best_wheel,
    describe_places,
    missing_wheels,
    narrowed,
    split_versions,
)

PLATFORMS = ("linux-x86_64", "linux-aarch64", "macos-arm64")
MINORS = ("3.10", "3.11", "3.12", "3.13")
PLACES = tuple(product(PLATFORMS, MINORS))


def wheel(tag, name="av", version="1.0"):
    return PackageFile(name, f"https://i.test/f/{name}-{version}-{tag}.whl", tag)


def files(*tags, source=False, version="1.0"):
    sdist = PackageFile("av", f"https://i.test/av-{version}.tar.gz", "s") if source else None
    return {("av", version): PackageFiles(tuple(map(wheel, tags)), sdist)}


@pytest.mark.parametrize(
    ("tag", "platform", "minor", "fits"),
    [
        ("py3-none-any", "macos-arm64", "3.9", True),
        ("cp311-cp311-manylinux_2_28_x86_64", "linux-x86_64", "3.11", True),
        ("cp311-cp311-manylinux_2_28_x86_64", "linux-x86_64", "3.12", False),
        ("cp311-cp311-manylinux_2_28_x86_64", "linux-aarch64", "3.11", False),
        ("cp311-cp311-manylinux_2_34_x86_64", "linux-x86_64", "3.11", False),
        ("cp311-abi3-manylinux2014_aarch64", "linux-aarch64", "3.13", True),
        ("cp311-abi3-manylinux2014_aarch64", "linux-aarch64", "3.10", False),
        ("cp313-cp313t-manylinux_2_28_x86_64", "linux-x86_64", "3.13", False),
        ("cp310-cp310-macosx_14_0_arm64", "macos-arm64", "3.10", True),
        ("cp310-cp310-macosx_15_0_arm64", "macos-arm64", "3.10", False),
        ("cp310-cp310-macosx_10_9_universal2", "macos-arm64", "3.10", True),
        ("cp310-cp310-macosx_12_0_x86_64", "macos-arm64", "3.10", False),
        ("cp310-cp310-musllinux_1_2_x86_64", "linux-x86_64", "3.10", False),
        ("py2.py3-none-macosx_11_0_arm64.manylinux_2_17_x86_64", "linux-x86_64", "3.12", True),
    ],
)
def test_a_wheel_fits_by_its_tags(tag, platform, minor, fits):
    assert (best_wheel([wheel(tag)], platform, minor) is not None) == fits


def test_the_most_specific_wheel_is_best():
    tags = (
        "py2.py3-none-any",
        "cp310-abi3-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64",
    )
    for at in range(1, 4):
        assert best_wheel(map(wheel, tags[:at]), "linux-x86_64", "3.11") == wheel(tags[at - 1])


def test_only_files_whose_hash_is_locked_count():
    (found,) = missing_wheels(
        [Pin("av", "1.0", hashes=("sha256:x",))], files("py3-none-any"), PLACES
    )
    assert found.places == set(PLACES)


def test_files_that_are_no_wheels_are_passed_over():
    odd = PackageFile("av", "https://i.test/av-1.0.whl", "x")
    assert best_wheel([odd, wheel("py3-none-any")], "linux-x86_64", "3.11") is not None


def test_what_lacks_a_wheel_is_named_with_its_places():
    pin = Pin("av", "1.0")
    tags = ("cp310-abi3-manylinux2014_x86_64", "cp311-abi3-macosx_11_0_arm64")
    (found,) = missing_wheels([pin], files(*tags), PLACES)
    absent = {("linux-aarch64", minor) for minor in MINORS} | {("macos-arm64", "3.10")}
    assert found == (pin, absent, False)


def test_a_pin_is_looked_for_where_its_marker_holds():
    old = Pin("av", "1.0", "python_full_version < '3.12'")
    new = Pin("av", "2.0", "python_full_version >= '3.12'")
    known = files("cp310-abi3-manylinux2014_x86_64") | files("py3-none-any", version="2.0")
    places = [("linux-x86_64", minor) for minor in MINORS]
    assert missing_wheels([old, new], known, places) == []


def test_a_package_without_any_wheel_comes_as_source_alone():
    pin = Pin("av", "1.0")
    assert missing_wheels([pin], files(source=True), PLACES)[0].source_only
    assert not missing_wheels([pin], {}, PLACES)[0].source_only
    one = files("cp310-cp310-manylinux2014_x86_64", source=True)
    assert not missing_wheels([pin], one, PLACES)[0].source_only
    assert missing_wheels([pin], {}, PLACES)[0].places == set(PLACES)


def test_a_version_that_gives_way_on_one_platform_is_found():
    pins = [
        Pin("av", "10.0", "sys_platform == 'linux'"),
        Pin("av", "9.0", "sys_platform == 'darwin'"),
        Pin("numpy", "1.0", "python_version < '3.12'"),
        Pin("numpy", "2.0", "python_version >= '3.12'"),
    ]
    held = frozenset(("macos-arm64", minor) for minor in MINORS)
    assert split_versions(pins, PLACES) == [(pins[0], held)]


@given(st.sets(st.sampled_from(PLACES)))
def test_narrowing_leaves_out_all_that_is_absent_and_no_more(absent):
    kept = narrowed(absent, PLATFORMS, MINORS)
    if kept is None:
        assert absent == set(PLACES)
        return
    platforms, minors = kept
    assert not absent & set(product(platforms, minors))
    assert "".join(minors) in "".join(MINORS)  # consecutive
    for platform in set(PLATFORMS) - set(platforms):
        assert any((platform, minor) in absent for minor in minors)
    first = MINORS.index(minors[0])
    for minor in (*MINORS[:first][-1:], *MINORS[first + len(minors) :][:1]):
        assert any((platform, minor) in absent for platform in platforms)


@pytest.mark.parametrize(
    ("absent", "kept", "words"),
    [
        (product(PLATFORMS, ["3.13"]), (PLATFORMS, MINORS[:3]), "Python 3.13"),
        (product(PLATFORMS, ["3.10"]), (PLATFORMS, MINORS[1:]), "Python 3.10"),
        (product(PLATFORMS[1:2], MINORS), (PLATFORMS[::2], MINORS), "linux-aarch64"),
        (
            product(PLATFORMS[:1], ["3.13"]),
            (PLATFORMS, MINORS[:3]),
            "linux-x86_64 with Python 3.13",
        ),
        (PLACES, None, "every platform"),
        (
            [*product(PLATFORMS[1:2], MINORS), ("macos-arm64", "3.13")],
            (PLATFORMS[::2], MINORS[:3]),
            "linux-aarch64; macos-arm64 with Python 3.13",
        ),
    ],
    ids=["newest", "oldest", "platform", "corner", "all", "both"],
)
def test_what_is_absent_in_words_and_what_is_left(absent, kept, words):
    absent = set(absent)
    assert narrowed(absent, PLATFORMS, MINORS) == kept
    assert describe_places(absent, PLATFORMS, MINORS) == words
