"""Manifests that are kept between runs: what is read again, and what is not."""

import pytest
from msgspec.structs import replace

from orchestrator.catalog import builtin_directory
from orchestrator.catalog.manifest_cache import ManifestCache
from orchestrator.core.canonical import digest_bytes
from orchestrator.core.manifest_reader import read_manifest
from orchestrator.errors import ManifestError
from tests.unit.catalog.worlds import MANIFEST

TEXT = MANIFEST.format(name="m", task="copy", preference=0, dependencies="[]")


def read(file, text=TEXT, *, stem="m", **code):
    """Read one manifest as a run of `mm` does."""
    cache, data = ManifestCache(file, **code), text.encode()
    manifest = cache.read(data, digest_bytes(data), shown=f"{stem}.yaml", stem=stem)
    cache.save()
    return manifest


@pytest.fixture
def file(tmp_path):
    return tmp_path / "manifests.json"


def test_what_was_read_is_not_parsed_again(file):
    assert read(file) == read_manifest(TEXT.encode(), file="m.yaml", stem="m")
    file.write_bytes(file.read_bytes().replace(b"A model", b"As kept"))
    assert read(file).summary == "As kept"


def test_a_changed_file_is_read_anew(file):
    read(file)
    assert read(file, TEXT.replace("A model", "Another")).summary == "Another"
    assert read(file).summary == "A model"


def test_a_broken_file_is_an_error_each_time(file):
    for _ in range(2):
        with pytest.raises(ManifestError, match=r"m\.yaml:3: summary: is empty"):
            read(file, TEXT.replace("A model", '" "'))
    assert not file.exists()


def test_a_copy_under_another_name_is_an_error(file):
    read(file)
    with pytest.raises(ManifestError, match=r"x\.yaml:1: name"):
        read(file, stem="x")


def test_what_other_code_has_read_does_not_count(file, tmp_path):
    for name, text in (("first", "a = 1"), ("second", "a = 2222")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "reader.py").write_text(text)
    read(file, code=str(tmp_path / "first"))
    file.write_bytes(file.read_bytes().replace(b"A model", b"As kept"))
    assert read(file, code=str(tmp_path / "second")).summary == "A model"
    assert read(file, code=str(tmp_path / "first")).summary == "As kept"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"KEY": 1}', '{"KEY": {"name": "m"}}'])
def test_a_damaged_cache_is_forgotten(file, damage):
    read(file)
    key = file.read_text().split('"')[1]
    file.write_text(damage.replace("KEY", key))
    assert read(file).summary == "A model"
    assert "A model" in file.read_text()


BUILT_IN = sorted(builtin_directory().glob("*.yaml"))


@pytest.mark.parametrize("manifest", BUILT_IN, ids=lambda path: path.stem)
def test_what_is_kept_is_the_same_to_the_type(file, manifest):
    text = manifest.read_text()
    first = read(file, text, stem=manifest.stem)
    file.write_bytes(file.read_bytes().replace(b'"summary":"', b'"summary":"Kept: '))
    second = read(file, text, stem=manifest.stem)
    assert repr(second) == repr(replace(first, summary=f"Kept: {first.summary}"))


def test_no_home_is_made_for_it(tmp_path):
    assert read(tmp_path / "home" / "manifests.json").name == "m"
    assert not (tmp_path / "home").exists()
