import pytest

from orchestrator.core.wheels import PackageFile
from orchestrator.errors import EnvironmentFailure
from orchestrator.locking.package_files import (
    DEFAULT_REQUIREMENTS,
    build_requirements,
    named_requirements,
    read_pyproject,
)
from tests.packages import make_source, make_wheel, sha256

SOURCE = PackageFile("sox", "https://i.test/sox-1.5.0.tar.gz", "a" * 64)


def test_build_requirements_stand_in_the_source_itself(tmp_path):
    path = make_source(tmp_path, "old-one", "1.0", requires=("setuptools>=60", "wheel"))
    text = read_pyproject("old-one", path.read_bytes())
    assert 'requires = ["setuptools>=60", "wheel"]'.replace('"', "'") in text


def test_a_package_that_says_nothing_needs_setuptools():
    assert named_requirements("x", None) == DEFAULT_REQUIREMENTS
    assert named_requirements("x", "[project]\nname = 'x'\n") == DEFAULT_REQUIREMENTS


def test_a_source_with_another_hash_is_refused(tmp_path):
    path = make_source(tmp_path, "one", "1.0")
    source = SOURCE._replace(url=path.as_uri())
    with pytest.raises(EnvironmentFailure, match="does not have the hash"):
        build_requirements(source, {})


def test_a_source_that_is_no_archive_is_named(tmp_path):
    with pytest.raises(EnvironmentFailure, match="the source of one cannot be read"):
        read_pyproject("one", b"nothing")
    wheel = make_wheel(tmp_path, "one", "1.0")
    assert read_pyproject("one", wheel.read_bytes()) is None
    assert len(sha256(wheel)) == 64


def test_only_places_of_packages_are_fetched_from():
    source = SOURCE._replace(url="ftp://i.test/x")
    with pytest.raises(EnvironmentFailure, match="not a place"):
        build_requirements(source, {})
