"""Which wheels count as the same; building them is in the integration tests."""

import zipfile

import pytest

from orchestrator.errors import UsageError
from orchestrator.locking.wheel_builder import WheelBuilder, wheel_content
from tests.models import Notes, model
from tests.packages import make_wheel


@pytest.fixture
def builder(tmp_path):
    return WheelBuilder(
        model(tmp_path, "m"), {}, None, Notes(), tmp_path / "logs" / "x.log", pytest.fail
    )


def test_a_wheel_is_copied_once(builder, tmp_path):
    wheel = make_wheel(tmp_path, "own", "1.0")
    kept = builder.add(wheel.name, tmp_path)
    assert kept == (tmp_path / "envs" / "m" / "wheels" / wheel.name, "written")
    assert kept.path.read_bytes() == wheel.read_bytes()
    assert builder.add(str(wheel), tmp_path).state == "unchanged"
    make_wheel(tmp_path, "own", "1.0", files={"own/more.py": ""})
    assert builder.add(str(wheel), tmp_path).state == "changed"
    assert kept.path.read_bytes() == wheel.read_bytes()
    assert list(kept.path.parent.iterdir()) == [kept.path]


def test_a_damaged_one_is_replaced(builder, tmp_path):
    wheel = make_wheel(tmp_path, "own", "1.0")
    path = builder.add(wheel.name, tmp_path).path
    path.write_bytes(b"half")
    assert builder.add(wheel.name, tmp_path).state == "changed"


def test_the_time_of_a_build_is_no_content(tmp_path):
    wheel = make_wheel(tmp_path, "own", "1.0")
    later = tmp_path / "later" / wheel.name
    later.parent.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(later, "w") as new:
        for one in reversed(old.filelist):
            new.writestr(zipfile.ZipInfo(one.filename, (2024, 1, 1, 0, 0, 0)), old.read(one))
    assert later.read_bytes() != wheel.read_bytes()
    assert wheel_content(later) == wheel_content(wheel)


def test_an_archive_that_is_not_named_like_a_wheel_is_none(tmp_path):
    path = make_wheel(tmp_path, "own", "1.0").rename(tmp_path / "own.whl")
    with pytest.raises(UsageError, match="not a wheel"):
        wheel_content(path)
