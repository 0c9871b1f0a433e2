"""Directories patched in place and put back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.patching import Conditions, apply, read_patch_set
from orchestrator.errors import SourceError
from orchestrator.sources import inplace

SET = read_patch_set(
    b"""\
name: s
patches:
  - id: device
    why: x
    file: sub/m.py
    python: {replace: {".cuda()": ".to(d)"}}
  - id: config
    why: x
    file: config.json
    json: {set: {a: 1}}
""",
    file="s.yaml",
    stem="s",
)
CODE = b"x = y.cuda()\r\n"
CONFIG = b'{"a": 0}'


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "m.py").write_bytes(CODE)
    (tmp_path / "config.json").write_bytes(CONFIG)
    (tmp_path / "other.py").write_bytes(b"z = 1\n")
    return tmp_path


def patch(directory, patch_set=SET):
    patched = apply(
        [patch_set], lambda name: inplace.read_inside(directory, name), Conditions("cpu", "float32")
    )
    inplace.write_patched(directory, "tiny", patched)


def tree(directory):
    return {
        path.relative_to(directory).as_posix(): (path.read_bytes(), path.stat().st_mode)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and inplace.STATE not in path.parts
    }


def test_apply_then_revert_is_the_identity(directory):
    (directory / "sub" / "m.py").chmod(0o640)
    before = tree(directory)
    patch(directory)
    after = tree(directory)
    assert after["sub/m.py"] == (CODE.replace(b".cuda()", b".to(d)"), 0o100640)
    patch(directory)
    assert tree(directory) == after
    assert sorted(inplace.revert(directory)) == ["config.json", "sub/m.py"]
    assert tree(directory) == before
    assert not (directory / inplace.STATE).exists()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["apply", "revert", "edit"]), max_size=6), st.binary(max_size=9))
def test_revert_undoes_the_last_state_before_patching(directory, steps, noise):
    (directory / "sub" / "m.py").write_bytes(CODE)
    (directory / "config.json").write_bytes(CONFIG)
    original = tree(directory)
    patched = False
    for step in steps:
        if step == "apply":
            patch(directory)
            patched = True
        elif step == "revert" and patched:
            inplace.revert(directory)
            patched = False
            assert tree(directory) == original
        elif step == "edit" and not patched:
            (directory / "other.py").write_bytes(noise)
            original = tree(directory)
    if patched:
        inplace.revert(directory)
    assert tree(directory) == original


@pytest.mark.parametrize("link", ["config.json", "sub"])
def test_links_are_never_written_through(directory, tmp_path_factory, link):
    elsewhere = tmp_path_factory.mktemp("blobs") / "blob"
    (directory / link).rename(elsewhere)
    (directory / link).symlink_to(elsewhere)
    before = tree(directory)
    with pytest.raises(SourceError, match="is a link to"):
        patch(directory)
    assert tree(directory) == before
    assert not (directory / inplace.STATE).exists()


def test_files_shared_by_hard_links_keep_their_content(directory, tmp_path_factory):
    shared = tmp_path_factory.mktemp("cache") / "m.py"
    os.link(directory / "sub" / "m.py", shared)
    patch(directory)
    assert shared.read_bytes() == CODE
    assert b".to(d)" in (directory / "sub" / "m.py").read_bytes()


def test_a_file_changed_since_is_not_reverted(directory):
    patch(directory)
    (directory / "config.json").write_bytes(b'{"a": 2}')
    after = tree(directory)
    with pytest.raises(SourceError, match="was changed after it was patched") as caught:
        inplace.revert(directory)
    assert caught.value.fix.endswith("originals/config.json")
    assert tree(directory) == after


def test_a_crash_between_two_files_is_mended_by_either_command(directory):
    before = tree(directory)
    patch(directory)
    (directory / "config.json").write_bytes(CONFIG)  # as if it had never been written
    patch(directory)
    assert b'"a": 1' in (directory / "config.json").read_bytes()
    (directory / "sub" / "m.py").write_bytes(CODE)
    assert inplace.revert(directory) == ["config.json"]
    assert tree(directory) == before


def test_what_was_not_patched_is_not_reverted(directory):
    with pytest.raises(SourceError, match="was not patched by mm"):
        inplace.revert(directory)
    (directory / inplace.STATE).mkdir()
    (directory / inplace.STATE / "record.json").write_text("{")
    with pytest.raises(SourceError, match="cannot be read"):
        patch(directory)


def test_stale_copies_are_found_under_every_name_the_library_gives(tmp_path):
    modules = tmp_path / "transformers_modules"
    directory = tmp_path / "my-model.v2"
    places = [modules, modules / "my-model.v2", modules / "my_hyphen_model_dot_v2" / "abc"]
    for place in places:
        (place / "__pycache__").mkdir(parents=True)
        (place / "m.py").write_bytes(b"old")
        (place / "__pycache__" / "m.cpython-311.pyc").write_bytes(b"old")
    (modules / "other").mkdir()
    (modules / "other" / "m.py").write_bytes(b"old")
    stale = inplace.stale_copies(modules, directory, {"sub/m.py": b"new"})
    assert stale == sorted(place / "m.py" for place in places)
    inplace.clear(stale)
    assert not list(modules.glob("**/*.pyc"))
    assert (modules / "other" / "m.py").exists()
    assert inplace.stale_copies(modules, directory, {"sub/m.py": b"new"}) == []


def test_a_directory_where_nothing_can_be_written(directory):
    if os.geteuid() == 0:
        (directory / inplace.STATE).write_bytes(b"")  # root may write anywhere
    else:
        Path(directory).chmod(0o500)
    before = tree(directory)
    with pytest.raises(SourceError):
        patch(directory)
    assert tree(directory) == before
