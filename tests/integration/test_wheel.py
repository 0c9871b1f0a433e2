"""The wheel, installed elsewhere, does what a checkout does."""

import os
import subprocess
import sys
import zipfile

import pytest
from uv import find_uv_bin

from orchestrator.catalog.runners import runner_files
from tests.integration.conftest import ROOT
from tests.machine import can_build, only_where

RECEIPT = ROOT / "examples" / "receipt.png"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    command = [find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", str(out), str(ROOT)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return next(out.glob("mm_orchestrator-*.whl"))


def test_the_wheel_ships_the_manifests_and_what_belongs_to_them(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for manifest in (ROOT / "manifests").rglob("*.yaml"):
        below = manifest.relative_to(ROOT / "manifests").as_posix()
        assert f"orchestrator/builtin/manifests/{below}" in names
    package = (path for path in (ROOT / "orchestrator").rglob("*") if path.suffix != ".pyc")
    resources = {path.relative_to(ROOT).as_posix() for path in package if path.is_file()}
    assert resources - names == set()
    for folder in (path for path in (ROOT / "envs").iterdir() if path.is_dir()):
        shipped = [*runner_files(folder), folder / "requirements.lock"]
        below = {path.relative_to(ROOT / "envs").as_posix() for path in shipped}
        assert {f"orchestrator/builtin/envs/{path}" for path in below} <= names


@pytest.fixture(scope="module")
def installed(wheel, workplace, tmp_path_factory):
    """Return a function that runs `mm` where the wheel is installed, without its extras."""
    uv = find_uv_bin()
    venv = tmp_path_factory.mktemp("installed") / "a venv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    python = venv / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", str(python), str(wheel)]
    subprocess.run(install, check=True)

    def mm(*arguments, cwd):
        return subprocess.run(
            [venv / "bin" / "mm", *arguments],
            cwd=cwd,
            env={**os.environ, **workplace},
            capture_output=True,
            text=True,
            check=False,
        )

    return mm


@only_where(can_build("rapidocr"))
def test_an_installed_wheel_reads_an_image(installed, tmp_path):
    ended = installed("run", "ocr", "--image", RECEIPT, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "TOTAL\t23.50" in ended.stdout
    assert os.listdir(tmp_path) == []


def test_without_ray_the_command_that_installs_it_is_named(installed, tmp_path):
    ended = installed("batch", "rapidocr", RECEIPT, "-o", "-", "--engine", "ray", cwd=tmp_path)
    assert ended.returncode == 2
    assert "run: pip install 'mm-orchestrator[ray]'" in ended.stderr.splitlines()[-1]


def test_pipelines_are_checked_without_the_extra_that_a_step_needs(installed, tmp_path):
    ended = installed("pipeline", "check", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    needed = "audiobook needs the package av, which is not installed; run: pip install "
    assert f"mm: book: {needed}'mm-orchestrator[audio]'" in ended.stderr
    (tmp_path / "a.md").write_text("Words.\n")
    ended = installed("book", "a.md", "-o", "a.m4b", cwd=tmp_path)
    assert ended.returncode == 2
    assert needed in ended.stderr.splitlines()[-1]
