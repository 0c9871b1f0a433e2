"""A runner is a file or a folder; what of it is sent, and what of it counts."""

import pytest

from orchestrator.catalog.runners import read_runner, runner_digest, runner_path
from orchestrator.core.canonical import digest_bytes
from orchestrator.errors import ManifestError


@pytest.fixture
def folder(tmp_path):
    runner = tmp_path / "runner"
    (runner / "deep").mkdir(parents=True)
    for name in ("zero.py", "__init__.py", "deep/__init__.py", "deep/a.py"):
        (runner / name).write_text(f"# {name}\n")
    return runner


def test_a_file_keeps_the_digest_of_its_text(tmp_path):
    (tmp_path / "runner.py").write_text("x = 1\n")
    files = read_runner(tmp_path)
    assert files == {str(tmp_path / "runner.py"): "x = 1\n"}
    assert runner_digest(files) == digest_bytes(b"x = 1\n")


def test_a_folder_is_read_with_its_init_first(folder):
    files = read_runner(folder.parent)
    assert [path[len(str(folder)) + 1 :] for path in files] == [
        "__init__.py", "deep/__init__.py", "deep/a.py", "zero.py",
    ]  # fmt: skip
    assert files[str(folder / "deep/a.py")] == "# deep/a.py\n"
    assert runner_path(folder.parent) == folder


def test_every_file_counts_and_its_place_does_not(folder, tmp_path):
    before = runner_digest(read_runner(tmp_path))
    elsewhere = {
        path.replace(str(tmp_path), "/else"): text for path, text in read_runner(tmp_path).items()
    }
    assert runner_digest(elsewhere) == before
    for name in ("__pycache__/a.pyc", ".DS_Store", ".git/config.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    assert runner_digest(read_runner(tmp_path)) == before
    (folder / "deep/a.py").rename(folder / "deep/b.py")
    assert runner_digest(read_runner(tmp_path)) != before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("runner/table.json", "no Python file"),
        ("runner/deep/lines.so", "no Python file"),
        ("runner.py", "beside the folder"),
    ],
)
def test_what_would_not_reach_the_worker_is_refused(folder, tmp_path, name, said):
    (tmp_path / name).write_text("x")
    with pytest.raises(ManifestError, match=said) as caught:
        read_runner(tmp_path)
    assert caught.value.where == str(tmp_path / name)


def test_a_folder_without_an_init_and_one_that_is_too_large_are_refused(folder, tmp_path):
    (folder / "zero.py").write_text("#" * (5 << 20))
    with pytest.raises(ManifestError, match="more than 4 MiB"):
        read_runner(tmp_path)
    (folder / "__init__.py").unlink()
    with pytest.raises(ManifestError, match=r"__init__\.py: the runner cannot be read"):
        read_runner(tmp_path)


def test_a_folder_without_its_first_file_is_said_to_lack_it(folder, tmp_path):
    (folder / "__init__.py").unlink()
    with pytest.raises(ManifestError, match=r"add it, with load and run") as caught:
        read_runner(tmp_path)
    assert caught.value.where == str(folder / "__init__.py")
