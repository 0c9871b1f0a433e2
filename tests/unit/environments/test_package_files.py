from pathlib import Path

import pytest

from orchestrator.environments.package_files import (
    DEFAULT_REQUIREMENTS,
    PackageFile,
    build_requirements,
    named_requirements,
    read_pylock,
    read_pyproject,
)
from orchestrator.errors import EnvironmentFailure
from tests.packages import make_source, make_wheel, sha256

PYLOCK = f"""\
lock-version = "1.0"

[[packages]]
name = "sox"
version = "1.5.0"
sdist = {{ url = "https://i.test/sox-1.5.0.tar.gz", hashes = {{ sha256 = "{"a" * 64}" }} }}

[[packages]]
name = "wheel-only"
version = "1"
wheels = [{{ url = "https://i.test/w.whl", hashes = {{ sha256 = "{"b" * 64}" }} }}]
"""


def test_sources_are_read_from_uvs_pylock():
    assert read_pylock(PYLOCK, Path("/"), "sdist") == [
        ("sox", "https://i.test/sox-1.5.0.tar.gz", "a" * 64)
    ]


def test_build_requirements_stand_in_the_source_itself(tmp_path):
    path = make_source(tmp_path, "old-one", "1.0", requires=("setuptools>=60", "wheel"))
    text = read_pyproject("old-one", path.read_bytes())
    assert 'requires = ["setuptools>=60", "wheel"]'.replace('"', "'") in text


def test_a_package_that_says_nothing_needs_setuptools():
    assert named_requirements("x", None) == DEFAULT_REQUIREMENTS
    assert named_requirements("x", "[project]\nname = 'x'\n") == DEFAULT_REQUIREMENTS


def test_a_source_with_another_hash_is_refused(tmp_path):
    path = make_source(tmp_path, "one", "1.0")
    source = read_pylock(PYLOCK, Path("/"), "sdist")[0]._replace(url=path.as_uri())
    with pytest.raises(EnvironmentFailure, match="does not have the hash"):
        build_requirements(source, {})


def test_a_source_that_is_no_archive_is_named(tmp_path):
    with pytest.raises(EnvironmentFailure, match="the source of one cannot be read"):
        read_pyproject("one", b"nothing")
    wheel = make_wheel(tmp_path, "one", "1.0")
    assert read_pyproject("one", wheel.read_bytes()) is None
    assert len(sha256(wheel)) == 64


def test_only_places_of_packages_are_fetched_from():
    source = read_pylock(PYLOCK, Path("/"), "sdist")[0]._replace(url="ftp://i.test/x")
    with pytest.raises(EnvironmentFailure, match="not a place"):
        build_requirements(source, {})


WHEELS = """\
lock-version = "1.0"

[[packages]]
name = "alpha"
version = "1.0"
sdist = { url = "http://index/alpha-1.0.tar.gz", hashes = { sha256 = "00" } }
wheels = [{ url = "http://index/alpha-1.0-py3-none-any.whl", hashes = { sha256 = "00" } }]

[[packages]]
name = "beta"
version = "1.0"
wheels = [
    { url = "http://index/beta-1.0-cp312-cp312-linux_x86_64.whl", hashes = { sha256 = "00" } },
    { url = "http://index/beta-1.0-py3-none-any.whl", hashes = { sha256 = "00" } },
]

[[packages]]
name = "gamma"
version = "1.0"
sdist = { url = "http://index/gamma-1.0.tar.gz", hashes = { sha256 = "00" } }

[[packages]]
name = "delta"
version = "1.0"
wheels = [{ path = "../wheels/delta-1.0-py3-none-any.whl", hashes = { sha256 = "00" } }]
"""


def test_the_first_wheel_of_each_package_is_read_from_uvs_pylock(tmp_path):
    assert read_pylock(WHEELS, tmp_path / "here", "wheels") == [
        PackageFile("alpha", "http://index/alpha-1.0-py3-none-any.whl", "00"),
        PackageFile("beta", "http://index/beta-1.0-cp312-cp312-linux_x86_64.whl", "00"),
        PackageFile("delta", (tmp_path / "wheels" / "delta-1.0-py3-none-any.whl").as_uri(), "00"),
    ]
