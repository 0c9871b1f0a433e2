"""What the tests can use of this machine, and what they go without.

Each is looked for while tests are collected. Where it is missing there are fewer tests, or fewer
variants of them, and the last lines of the run say so; with MM_TEST_COMPLETE set the run fails.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from orchestrator.environments.interpreters import Interpreters

T = TypeVar("T")

WORKER_PYTHONS = [f"3.{minor}" for minor in range(9, 14)]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS_BROWSERS = "/Applications/{0}.app/Contents/MacOS/{0}"
PRIVATE_MOUNTS = ("unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "-m")
"""Runs the command that follows with mounts of its own, which end with it."""

PATIENCE = 120
"""Seconds until a program that says nothing counts as stuck."""

not_exercised: dict[str, str] = {}
"""What the tests go without, and what to do about it."""


def has(what: str, found: T, fix: str) -> T:
    """Return `found`; where that is nothing, note that `what` is not exercised."""
    if not found:
        not_exercised[what] = fix
    return found


def only_where(found: object) -> Callable[[Callable[..., Any]], Callable[..., Any] | None]:
    """Leave a test out where what it needs is not found."""
    return lambda test: test if found else None


@cache
def _interpreters() -> Interpreters:
    with tempfile.TemporaryDirectory() as directory:
        interpreters = Interpreters(os.environ, Path(directory) / "facts.json")
        assert interpreters.found
        return interpreters


@cache
def pythons() -> dict[str, Path]:
    """Return interpreters by minor version, as in `{"3.11": Path(...)}`; never none."""
    own = "{}.{}".format(*sys.version_info)
    found = {
        version: Path(fitting[0].path)
        for version in dict.fromkeys([*WORKER_PYTHONS, own])
        if (fitting := _interpreters().fitting(f"=={version}.*"))
        and fitting[0].implementation == "cpython"
    }
    missing = " ".join(version for version in WORKER_PYTHONS if version not in found)
    has(f"workers under Python {missing}", not missing, f"run: uv python install {missing}")
    return found


@cache
def can_build(model: str) -> object:
    """Return whether there is an interpreter for the environment of a built-in model."""
    manifest = Path(__file__).parent.parent / "manifests" / f"{model}.yaml"
    wanted = yaml.safe_load(manifest.read_text(encoding="utf-8"))["environment"]["python"]
    fix = f"run: uv python install '{wanted}'"
    return has(f"models under Python {wanted}", _interpreters().fitting(wanted), fix)


@cache
def browser() -> str:
    """Return the path of a Chromium that shows a page of this disk; none is an empty text."""
    programs = [shutil.which(name) for name in BROWSERS]
    programs += [MACOS_BROWSERS.format(name) for name in ("Google Chrome", "Chromium")]
    found = next((each for each in programs if each and os.path.exists(each) and _shows(each)), "")
    macos = sys.platform == "darwin"
    package = "brew install --cask google-chrome" if macos else "apt-get install chromium"
    return has("pages in a browser", found, f"run: {package}")


def _shows(program: str) -> bool:
    """Return whether a browser works; one from a snap, for example, sees no temporary files."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        page = Path(directory, "page.html")
        page.write_text("<p>shown</p>")
        options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={directory}")
        return "<p>shown</p>" in _output(program, *options, "--dump-dom", page.as_uri())


@cache
def can_mount() -> object:
    """Return whether a test may have a disk of its own."""
    script = 'mount -t tmpfs tmpfs "$0" && echo mounted'
    with tempfile.TemporaryDirectory() as directory:
        mounted = _output(*PRIVATE_MOUNTS, "sh", "-c", script, directory)
    return has("an environment on a full disk", mounted, "run the tests as root on Linux")


@cache
def has_full_device() -> bool:
    """Return whether there is a device that is always full."""
    found = os.path.exists("/dev/full")
    return has("standard output on a full disk", found, "run the tests on Linux")


def _output(*command: str) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
