import base64
import hashlib
import shutil
import zipfile

import pytest

from orchestrator.backends import backend_named
from orchestrator.backends.installed import difference, installed, record_digest, recorded_files
from orchestrator.errors import UsageError
from tests.packages import make_wheel


@pytest.fixture
def environment(tmp_path):
    """A directory that looks like an environment with two packages."""
    site = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    for name, version in (("alpha", "1.0"), ("Beta_Two", "2.0")):
        with zipfile.ZipFile(make_wheel(tmp_path, name, version)) as archive:
            archive.extractall(site)
    return tmp_path / "env"


def test_installed_packages_have_normal_names(environment):
    found = installed(environment)
    assert {name: one.version for name, one in found.items()} == {"alpha": "1.0", "beta-two": "2.0"}


def test_equal_is_no_difference(environment):
    assert difference(environment, {"alpha": "1.0", "beta-two": "2.0"}) is None


def test_every_kind_of_difference_is_named(environment):
    words = difference(environment, {"alpha": "1.1", "gamma": "3"})
    assert words == "gamma is missing; beta-two was not asked for; alpha is 1.0 and not 1.1"


def test_no_environment_is_a_difference(tmp_path):
    assert difference(tmp_path, {"alpha": "1.0"}) == "alpha is missing"


def test_a_package_without_metadata_is_missing(environment):
    (metadata,) = environment.rglob("alpha-1.0.dist-info")
    shutil.rmtree(metadata)
    assert difference(environment, {"alpha": "1.0", "beta-two": "2.0"}) == "alpha is missing"


def test_records_name_every_file_with_its_hash(environment):
    package = installed(environment)["alpha"]
    files = list(recorded_files(package))
    assert {file.path.name for file in files} == {"__init__.py", "METADATA", "WHEEL", "RECORD"}
    for file in files:
        data = file.path.read_bytes()
        if file.path.name != "RECORD":
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (file.sha256, file.size) == (digest, len(data))
    assert record_digest(package) == hashlib.sha256(package.record.read_bytes()).hexdigest()


def test_a_backend_that_does_not_exist_names_those_that_do():
    with pytest.raises(UsageError, match="'conda'") as caught:
        backend_named("conda")
    assert "uv, virtualenv" in caught.value.fix
