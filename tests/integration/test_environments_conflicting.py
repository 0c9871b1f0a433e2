"""Two models that cannot live together, on one machine: real transformers, real torch."""

import os
import tempfile
from pathlib import Path

import pytest

from orchestrator import Session
from orchestrator.backends.installed import installed, recorded_files
from orchestrator.environments.disk import cache_directory, links_refused
from orchestrator.environments.inventory import Usage
from tests.integration.environment_world import World

MANIFESTS = Path(__file__).parent / "conflicting" / "manifests"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def world():
    """A home on the file system of uv's cache, which is the user's own: torch is 3 GB."""
    cache = cache_directory(os.environ)
    with tempfile.TemporaryDirectory(prefix="mm-test-") as near:
        if links_refused(cache, Path(near)) is None:
            yield _world(near)
            return
    with tempfile.TemporaryDirectory(prefix="mm-test-", dir=cache.parent) as near:
        yield _world(near)


def _world(root):
    world = World(root)
    world.variables["MM_MANIFESTS"] = str(MANIFESTS)
    return world


@pytest.fixture(scope="module")
def built(world):
    """Both environments, one after the other, and what each one took on the disk."""
    usage, took = Usage(), []
    for name in ("deepseek-like", "qwen-like"):
        ended = world.mm("env", "sync", name)
        assert ended.code == 0, ended
        (path,) = (world.home / "envs").glob(f"{name}-*")
        before = usage.size.total
        usage.add(path)
        took.append((path, usage.size.total - before))
    return took


def test_the_second_costs_what_differs(built):
    (first, _), (second, added) = built
    ours, theirs = installed(first), installed(second)
    differing = [one for name, one in theirs.items() if ours[name].version != one.version]
    assert {one.name for one in differing} == {"transformers", "tokenizers"}
    differs = sum(file.size or 0 for one in differing for file in recorded_files(one))
    bytecode = sum(path.stat().st_blocks * 512 for path in second.rglob("*.pyc"))
    # The rounding of 5,000 small files up to whole blocks is part of the 20 MB.
    assert added - bytecode < differs + 20 * MEGABYTE
    assert differs < 90 * MEGABYTE


def test_a_job_in_each_in_one_session(world, built, monkeypatch):
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    with Session() as mm:
        first = mm.submit("versions", text="a", model="deepseek-like")
        second = mm.submit("versions", text="b", model="qwen-like")
        assert first.result()["text"].startswith("a: transformers 4.46.3, torch 2.6.0")
        assert second.result()["text"].startswith("b: transformers 4.57.3, torch 2.6.0")
        # What a live worker uses cannot be removed, and the worker is named.
        path, _ = built[1]
        refused = world.mm("env", "remove", "qwen-like")
        assert refused.code == 3
        assert "in use by the worker of qwen-like (supervisor " in refused.sentence
        pruned = world.mm("env", "prune", variables={"MM_MANIFESTS": ""})
        assert pruned.code == 3
        assert "in use by the worker of deepseek-like" in pruned.err
        assert path.exists()
    listed = world.mm("env", "list")
    assert listed.code == 0
    assert "qwen-like" in listed.out


def test_why_names_the_pins_and_the_chains(world, built):
    ended = world.mm("env", "why", "deepseek-like", "qwen-like")
    assert ended.code == 0
    assert "no environment can hold both deepseek-like and qwen-like" in ended.out
    assert "you require transformers==4.46.3 and transformers==4.57.3" in ended.out
    assert "deepseek-like: transformers 4.46.3 -> tokenizers 0.20.3" in ended.out


def test_both_locks_install_everywhere(world):
    assert world.mm("env", "lock", "--check", "deepseek-like", "qwen-like").code == 0
