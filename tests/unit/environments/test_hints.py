import errno
import os

import pytest

from orchestrator.environments.hints import cache_directory, links_refused, once
from orchestrator.home import Home


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


def test_a_thing_is_told_once(tmp_path):
    home = Home(tmp_path)
    assert once(home, "cpu-build")
    assert not once(home, "cpu-build")
    assert once(home, "another")
    (tmp_path / "told.json").write_text("{")
    assert once(home, "cpu-build")
