"""The examples of docs/pipelines.md and docs/python.md, word for word."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.integration.conftest import MM, ROOT
from tests.integration.test_reading_aloud import document, variant  # noqa: F401 - a fixture


def examples(language, page="pipelines"):
    """Return the blocks of code in a language."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def place(tmp_path, document):  # noqa: F811 - it is the fixture
    """A directory with the files that the examples name."""
    (tmp_path / "scans").mkdir()
    for number, name in enumerate(
        ["a.png", "b.png", "c.png", "page.png", "scans/1.png", "scans/2.png"]
    ):
        variant(tmp_path / name, number)
    shutil.copy(document, tmp_path / "book.pdf")
    return tmp_path


def run(command, place, workplace, **more):
    return subprocess.run(
        command,
        cwd=place,
        env={**os.environ, **workplace, "OMP_NUM_THREADS": "1", **more},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


def test_the_commands_run(place, workplace):
    (place / "bin").mkdir()
    command = place / "bin" / "mm"
    command.write_text(f'#!/bin/sh\nexec {" ".join(MM)} "$@"\n')
    command.chmod(0o755)
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    script = "set -e\n" + "\n".join(examples("sh"))
    ended = run(["/bin/bash", "-c", script], place, workplace, PATH=path)
    assert ended.returncode == 0, ended.stderr
    made = {entry.name for entry in place.iterdir()}
    assert {"page.wav", "all.wav", "pages", "results.jsonl"} <= made
    assert len(list((place / "pages").iterdir())) == 4
    assert (place / ended.stdout.splitlines()[-1]).read_text().startswith("<!DOCTYPE html>")


PROGRAMS = [
    ("pipelines", 0, 2),
    ("python", 0, 1),
    ("python", 1, 2),
    ("python", 2, 2),
    ("python", 3, 2),
    ("python", 4, 2),
]
"""Pages, the numbers of their programs, and how many texts each prints."""


@pytest.mark.parametrize(("page", "number", "texts"), PROGRAMS)
def test_the_programs_run(place, workplace, page, number, texts):
    ended = run([sys.executable, "-c", examples("python", page)[number]], place, workplace)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.lower().count("the quick brown fox jumps over the lazy dog.") == texts
    assert (place / "all.wav").exists() == (page == "pipelines")


def test_every_program_is_run():
    for page in ("pipelines", "python"):
        assert len(examples("python", page)) == sum(page == each for each, _, _ in PROGRAMS)


def test_the_pipeline_is_one(place, workplace):
    (pipeline,) = examples("yaml")
    (place / "read-pages-aloud.yaml").write_text(pipeline)
    ended = run([*MM, "pipeline", "check", "./read-pages-aloud.yaml"], place, workplace)
    assert ended.returncode == 0, ended.stdout
