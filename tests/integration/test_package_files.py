"""Sizes of wheels, asked of a package index on loopback."""

import zipfile

import pytest

from orchestrator.environments.sizes_file import WheelSize
from orchestrator.locking.package_files import wheel_size
from tests.packages import Index, make_wheel, serving


@pytest.fixture
def wheel(tmp_path):
    # So many members that their directory is larger than what is asked for at once.
    files = {f"beta/{number:05}_{'x' * 60}.py": "" for number in range(800)}
    return make_wheel(tmp_path, "beta", "1.0", files=files, padding=300_000)


def unpacked(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return sum((len(archive.read(name)) + 4095) // 4096 * 4096 for name in archive.namelist())


def test_a_wheel_on_a_server_is_measured_by_its_end(tmp_path, wheel):
    with serving(Index(tmp_path)) as index:
        size = wheel_size(f"{index.url}/files/{wheel.name}", {})
        assert size == WheelSize(wheel.stat().st_size, unpacked(wheel))


def test_a_wheel_on_the_disk_is_measured_there(wheel):
    expected = WheelSize(wheel.stat().st_size, unpacked(wheel))
    assert wheel_size(wheel.as_uri(), {}) == expected


def test_what_is_no_archive_or_comes_whole_is_not_measured(tmp_path, wheel):
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(b"no archive" * 10_000)
    with serving(Index(tmp_path)) as index:
        with pytest.raises(zipfile.BadZipFile):
            wheel_size(f"{index.url}/files/broken-1.0-py3-none-any.whl", {})
        with pytest.raises(OSError, match="404"):
            wheel_size(f"{index.url}/files/absent-1.0-py3-none-any.whl", {})
        index.parts = False
        with pytest.raises(OSError, match="sends no parts of files"):
            wheel_size(f"{index.url}/files/{wheel.name}", {})
    with pytest.raises(ValueError, match="not a place to fetch from"):
        wheel_size("ftp://index/beta-1.0-py3-none-any.whl", {})
