"""How long environments take and what they cost on the disk, beside doing it by hand.

    python benchmarks/environments.py [--rounds N]

Everything is measured side by side in one run, round by round, and medians are printed. The first
round fills the caches of uv and pip and is not counted. The packages are real: two models with
transformers 4.46.3 and 4.57.3, both with torch 2.6.0, and the two embedded models.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from orchestrator.backends.uv import uv_binary
from orchestrator.environments.disk import cache_directory
from orchestrator.environments.inventory import Usage

ROOT = Path(__file__).resolve().parent.parent
CONFLICTING = ROOT / "benchmarks" / "conflicting"
MM = [sys.executable, "-m", "orchestrator"]


IN_PROCESS = """
import sys, time
from pathlib import Path
from orchestrator.environments import build, disk
from orchestrator.backends import uv
from orchestrator.system.userenv import snapshot
from orchestrator.workspace import Workspace
place = Workspace(variables=snapshot(), cwd=Path.cwd(), manifests=(Path(sys.argv[2]),))
model = place.catalog.model(sys.argv[1])
began = time.perf_counter()
place.environments.sync([model])
print(time.perf_counter() - began)
"""
"""The same work without the start of a Python and the reading of manifests."""


class Bench:
    """A home near uv's cache, so that files can be linked, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.variables = {
            **{
                name: value
                for name, value in os.environ.items()
                # Bytecode that is not kept would be compiled anew by every command.
                if not name.startswith("MM_") and name != "PYTHONDONTWRITEBYTECODE"
            },
            "PYTHONPYCACHEPREFIX": str(root / "bytecode"),
            "MM_HOME": str(root / "home"),
            "MM_RUNTIME_DIR": str(root / "run"),
            "MM_MANIFESTS": str(CONFLICTING / "manifests"),
        }

    def timed(self, *command: str) -> float:
        """Run a command and return the seconds that it took."""
        began = time.perf_counter()
        subprocess.run(command, env=self.variables, cwd=self.root, check=True, capture_output=True)
        return time.perf_counter() - began

    def mm(self, *arguments: str) -> float:
        """Run `mm` and return the seconds that it took."""
        return self.timed(*MM, *arguments)

    def in_process(self, model: str, manifests: Path) -> float:
        """Return the seconds of a sync in a Python that has started."""
        said = subprocess.run(
            [sys.executable, "-c", IN_PROCESS, model, str(manifests)],
            env=self.variables, cwd=self.root, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return float(said.stdout)

    def forget(self) -> None:
        """Remove every environment."""
        shutil.rmtree(self.root / "home" / "envs", ignore_errors=True)

    def environment(self, model: str) -> Path:
        """Return the environment that was built for `model`."""
        (path,) = (self.root / "home" / "envs").glob(f"{model}-*")
        return path


def nothing_to_do(bench: Bench, rounds: int) -> list[tuple[str, float]]:
    """Time a sync that finds everything built beside a bare import of click."""
    bench.mm("env", "sync", "rapidocr", "hibari")
    contenders = {
        'python -c "import click"': [sys.executable, "-c", "import click"],
        "mm env sync, nothing to do": [*MM, "env", "sync", "rapidocr", "hibari"],
    }
    return medians(bench, contenders, rounds * 5)


def medians(bench: Bench, contenders: dict[str, list[str]], rounds: int) -> list[tuple[str, float]]:
    """Run every command in turn, round by round, and return the medians."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(rounds + 1):
        for name, command in contenders.items():
            seconds = bench.timed(*command)
            if round_:
                times[name].append(seconds)
    return [(name, statistics.median(values)) for name, values in times.items()]


def create(bench: Bench, model: str, rounds: int, *, pip: bool) -> list[tuple[str, float]]:
    """Time one environment from a warm cache: with uv alone, with `mm`, and by hand."""
    bench.forget()
    bench.mm("env", "sync", model)
    built = bench.environment(model)
    requirements = bench.root / f"{model}.txt"
    shutil.copy(built / "requirements.txt", requirements)
    base = os.path.realpath(built / "bin" / "python")
    by_hand = bench.root / "by-hand"
    times: dict[str, list[float]] = {
        "uv venv + uv pip sync": [],
        "Environments.sync, without the probes": [],
        "mm env sync, without the probes": [],
        "mm env sync": [],
    }
    if pip:
        times["virtualenv + pip install"] = []
    bare = bare_manifests(bench, model)
    for round_ in range(rounds + 1):
        shutil.rmtree(by_hand, ignore_errors=True)
        seconds = [
            bench.timed(uv_binary(), "venv", "-q", "--python", base, str(by_hand))
            + bench.timed(
                uv_binary(), "pip", "sync", "-q", "--require-hashes", "--only-binary", ":all:",
                "--python", str(by_hand / "bin" / "python"), str(requirements),
            )
        ]  # fmt: skip
        bench.forget()
        seconds.append(bench.in_process(model, bare))
        bench.forget()
        seconds.append(bench.mm("env", "sync", model, "--manifests", str(bare)))
        bench.forget()
        seconds.append(bench.mm("env", "sync", model))
        shutil.rmtree(by_hand)
        if pip:
            seconds.append(
                bench.timed(sys.executable, "-m", "virtualenv", "-q", "-p", base, str(by_hand))
                + bench.timed(
                    str(by_hand / "bin" / "pip"), "install", "-q", "--no-deps",
                    "-r", str(requirements),
                )
            )  # fmt: skip
        if round_:
            for name, value in zip(times, seconds, strict=True):
                times[name].append(value)
    shutil.rmtree(by_hand, ignore_errors=True)
    return [(name, statistics.median(values)) for name, values in times.items()]


def bare_manifests(bench: Bench, model: str) -> Path:
    """Return a directory with the model's manifest and lock, its probes taken out."""
    source = next(
        root for root in (CONFLICTING, ROOT) if (root / "manifests" / f"{model}.yaml").is_file()
    )
    folder = bench.root / "bare" / "manifests"
    folder.mkdir(parents=True, exist_ok=True)
    text = (source / "manifests" / f"{model}.yaml").read_text()
    kept = [line for line in text.splitlines() if not line.strip().startswith("probe:")]
    (folder / f"{model}.yaml").write_text("\n".join(kept) + "\n")
    target = folder.parent / "envs" / model
    shutil.copytree(source / "envs" / model, target, dirs_exist_ok=True)
    return folder


def second(bench: Bench, rounds: int) -> tuple[float, float]:
    """Return the seconds of a second environment with the same torch: without and with probes."""
    bare = bare_manifests(bench, "qwen-like")
    without, whole = [], []
    bench.forget()
    bench.mm("env", "sync", "deepseek-like")
    for round_ in range(rounds + 1):
        for times, extra in ((without, ("--manifests", str(bare))), (whole, ())):
            for path in (bench.root / "home" / "envs").glob("qwen-like-*"):
                shutil.rmtree(path)
            seconds = bench.mm("env", "sync", "qwen-like", *extra)
            if round_:
                times.append(seconds)
    return statistics.median(without), statistics.median(whole)


VARIANTS = ("4.46.3", "4.57.3", "4.47.1", "4.48.3", "4.49.0")


def bytes_on_disk(bench: Bench) -> list[tuple[int, int, int, int]]:
    """Return (environments, bytes, bytecode, bytes if each were a full copy) for 1, 2 and 5."""
    bench.forget()
    root = bench.root / "five"
    manifests = root / "manifests"
    manifests.mkdir(parents=True)
    text = (CONFLICTING / "manifests" / "deepseek-like.yaml").read_text()
    usage, copies, bytecode = Usage(), 0, 0
    found = []
    for number, version in enumerate(VARIANTS, 1):
        name = f"variant-{number}"
        changed = text.replace("deepseek-like", name).replace("4.46.3", version)
        (manifests / f"{name}.yaml").write_text(changed)
        (root / "envs" / name).mkdir(parents=True)
        bench.mm("env", "lock", name, "--manifests", str(manifests))
        bench.mm("env", "sync", name, "--manifests", str(manifests))
        path = bench.environment(name)
        copies += usage.add(path).total
        bytecode += sum(file.stat().st_blocks * 512 for file in path.rglob("*.pyc"))
        if number in (1, 2, 5):
            found.append((number, usage.size.total, bytecode, copies))
    return found


def show(title: str, rows: list[tuple[str, float]]) -> None:
    """Print a table with the ratio of each row to the first."""
    print(f"\n{title}\n\n| what | seconds | ratio |\n| --- | --- | --- |")
    for name, seconds in rows:
        print(f"| {name} | {seconds:.2f} | {seconds / rows[0][1]:.2f} |")


def main() -> None:
    """Measure everything and print the tables of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pip-for-torch", action="store_true", help="5 GB by pip, each round")
    given = parser.parse_args()
    rounds = given.rounds
    near = cache_directory(os.environ).parent
    with tempfile.TemporaryDirectory(prefix="mm-bench-", dir=near) as folder:
        bench = Bench(Path(folder))
        show("Sync with nothing to do (two environments)", nothing_to_do(bench, rounds))
        show(
            "rapidocr, 24 packages, from a warm cache", create(bench, "rapidocr", rounds, pip=True)
        )
        torch = create(bench, "qwen-like", rounds, pip=given.pip_for_torch)
        show("torch 2.6.0 and transformers, from a warm cache", torch)
        without, whole = second(bench, rounds)
        print(
            f"\nSecond environment with the same torch: {without:.2f} s, with probes {whole:.2f} s"
        )
        print("\n| environments | on the disk | of which bytecode | as full copies |")
        print("| --- | --- | --- | --- |")
        for number, total, bytecode, copies in bytes_on_disk(bench):
            sizes = f"{total / 1e9:.2f} GB | {bytecode / 1e6:.0f} MB | {copies / 1e9:.1f} GB"
            print(f"| {number} | {sizes} |")


if __name__ == "__main__":
    main()
