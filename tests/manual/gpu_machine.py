"""Checks what mm believes of NVIDIA's GPUs against torch, on a machine that has one.

    python tests/manual/gpu_machine.py REPORT.md [--torch PYTHON] [--models MODEL...]

PYTHON is an interpreter with a torch built for CUDA, by default this one. For each of the MODELs,
whose weights must be there, `mm doctor MODEL --run --device cuda` runs in each of its data types as
well; tiny checkpoints of the real code do (`tests/checkpoints/`, `tests/manual/shrink_*.py`). Needs
no network. Writes a table of what was expected and found, and ends with 1 where they differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from msgspec.structs import replace  # noqa: E402

from orchestrator.client.launch import WorkerSpec  # noqa: E402
from orchestrator.client.runtime import RuntimeDirectory  # noqa: E402
from orchestrator.core.torch_builds import build_obstacle, torch_build  # noqa: E402
from orchestrator.core.worker_variables import worker_variables  # noqa: E402
from orchestrator.engines.interface import PreparedModel  # noqa: E402
from orchestrator.engines.local import LocalEngine  # noqa: E402
from orchestrator.engines.preparing import device_variables  # noqa: E402
from orchestrator.engines.resources import Resources  # noqa: E402
from orchestrator.jobs.job import Job  # noqa: E402
from orchestrator.system import gpus  # noqa: E402
from orchestrator.system.home import Home  # noqa: E402
from orchestrator.system.machine import MachineMemory  # noqa: E402
from orchestrator.system.scratch import Scratch  # noqa: E402
from orchestrator.workspace import Workspace  # noqa: E402
from tests.models import Notes, model  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30
SLACK = 64 * MIB
"""By how much two looks at a GPU's memory may differ, where others leave it alone."""

ASK = """
import importlib.metadata, json, torch
names = ("torch", *(d.name for d in importlib.metadata.distributions() if "cuda" in (d.name or "")))
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
found = [torch.cuda.get_device_properties(n) for n in range(count)]
print(json.dumps({
    "packages": {name: importlib.metadata.version(name) for name in names},
    "cuda": torch.version.cuda, "architectures": torch.cuda.get_arch_list(),
    "gpus": [{"name": p.name, "uuid": str(getattr(p, "uuid", "")), "total": p.total_memory,
              "capability": [p.major, p.minor]} for p in found],
    "bfloat16": bool(found) and torch.cuda.get_device_capability(0) >= (8, 0),
}))
"""
RUNNER = """
import torch

def load(context):
    assert torch.cuda.device_count() == 1, torch.cuda.device_count()
    kind = getattr(torch, context.dtype)
    torch.manual_seed(0)
    weights = torch.randn(1024, 1024) / 32
    held = torch.zeros(1 << 30, dtype=torch.uint8, device=context.device)  # 1 GiB
    return context.device, kind, weights, held

def run(model, job, *, text):
    device, kind, weights, held = model
    x = torch.randn(8, 1024, generator=torch.Generator().manual_seed(1))
    here = (x.to(device, kind) @ weights.to(device, kind)).float().cpu()
    return {"text": str((here - x @ weights).abs().max().item())}
"""


class Row(NamedTuple):
    """One comparison."""

    what: str
    expected: object
    found: object
    same: bool


def equal(what, expected, found):
    return Row(what, expected, found, expected == found)


def near(what, expected, found, slack):
    known = found is not None
    shown = [f"{each / MIB:,.0f} MiB" if each is not None else None for each in (expected, found)]
    return Row(what, *shown, known and abs(expected - found) <= slack)


class Machine:
    """This machine, as torch sees it and as mm does."""

    def __init__(self, python):
        self.python = python

    def torch(self, **variables):
        """Return what torch says with these variables."""
        given = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", **variables}
        command = [self.python, "-c", ASK]
        done = subprocess.run(command, env=given, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)

    def figures(self):
        """Yield what is known of each GPU."""
        theirs, ours = self.torch(), gpus.find_gpus(os.environ)
        yield equal("number of GPUs", len(theirs["gpus"]), len(ours.gpus))
        for number, (one, other) in enumerate(zip(theirs["gpus"], ours.gpus, strict=False)):
            yield equal(f"cuda:{number}: name", one["name"], other.name)
            yield equal(f"cuda:{number}: UUID", one["uuid"], other.uuid.removeprefix("GPU-"))
            yield equal(f"cuda:{number}: capability", one["capability"], list(other.capability))
            # torch leaves out what the driver keeps for itself.
            yield near(f"cuda:{number}: memory", one["total"], other.memory, one["total"] * 0.03)
        build = torch_build(theirs["packages"])
        yield equal("CUDA of the build", theirs["cuda"], ".".join(map(str, build.cuda or ())))
        for number, gpu in enumerate(ours.gpus):
            has = any(
                word.startswith("sm_") and word[3:-1] == str(gpu.capability[0])
                for word in theirs["architectures"]
            )
            why = build_obstacle(build, gpu.capability, ours.cuda)
            yield equal(f"cuda:{number}: torch is built for it", has, why is None)

    def visible(self):
        """Yield how many GPUs each value of CUDA_VISIBLE_DEVICES leaves."""
        first = next(iter(gpus.find_gpus({}).gpus), None)
        uuid = first.uuid if first else "GPU-none"
        for value in ("", "-1", "0", "0,99", "99", "0,0", uuid, uuid[:12], "nonsense"):
            theirs = self.torch(CUDA_VISIBLE_DEVICES=value)["gpus"]
            ours = gpus.find_gpus({"CUDA_VISIBLE_DEVICES": value}).gpus
            yield equal(f"CUDA_VISIBLE_DEVICES={value!r}", len(theirs), len(ours))

    def worker(self):
        """Yield what a worker takes of the first GPU, what it computes, and what it gives back."""
        workspace = Workspace(os.environ, Path("/"))
        for device in workspace.machine.of("cuda"):
            if device.problem:
                yield equal(f"{device.name}: problem", "", device.problem)
                continue
            for dtype in [each for each in ("float32", "float16", "bfloat16")
                          if each in device.native]:  # fmt: skip
                yield from self._in_worker(workspace, device, dtype)

    def _in_worker(self, workspace, device, dtype):
        what = f"{device.name} in {dtype}"
        free = MachineMemory().free("cuda", device.pool)
        with ExitStack() as stack:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mm-")))
            runtime = RuntimeDirectory(root / "run")
            runtime.path.mkdir(mode=0o700)
            resources = Resources(runtime, MachineMemory(), Notes())
            scratch = Scratch(Home(root / "home"))
            engine = LocalEngine(runtime, root / "logs", scratch, resources)
            stack.callback(scratch.close)
            stack.callback(engine.close)
            spec = WorkerSpec(
                model="gpu",
                python=Path(self.python),
                environment="e" * 64,
                variables={
                    **worker_variables(os.environ, {}, (), str(root)),
                    **device_variables(device, workspace),
                },
                runner={"/runner.py": RUNNER},
                device=device.kind,
                dtype=dtype,
                pool=device.pool,
                need=GIB,
            )
            manifest = replace(model(root, "gpu").manifest)
            done = engine.run(Job("gpu", {"text": "x"}), PreparedModel(manifest, spec, dict))
            difference = float(done.outputs["text"])
            allowed = 1e-3 if dtype == "float32" else 5e-2
            yield Row(f"{what}: differs from the CPU", allowed, difference, difference <= allowed)
            taken = free - MachineMemory().free("cuda", device.pool)
            yield Row(f"{what}: taken", ">= 1,024 MiB", f"{taken / MIB:,.0f} MiB", taken >= GIB)
            pid = next(runtime.status(record.id).pid for record in runtime.records())
            used = gpus.used_memory(device.gpu).get(pid)
            # Where the driver names processes by other numbers, as in a container, it is unknown.
            shown = used and f"{used / MIB:,.0f} MiB"
            yield Row(f"{what}: of its process", "as taken, or unknown", shown,
                      used is None or abs(used - taken) <= SLACK)  # fmt: skip
        until = time.monotonic() + 10
        while time.monotonic() < until and MachineMemory().free("cuda", device.pool) < free - SLACK:
            time.sleep(0.1)
        yield near(f"{what}: free again", free, MachineMemory().free("cuda", device.pool), SLACK)

    def models(self, names):
        """Yield how the smallest job of real models ends, and how it differs from the CPU's."""
        workspace = Workspace(os.environ, Path.cwd())
        for name in names:
            for dtype in workspace.catalog.model(name).manifest.memory.get("cuda", ()):
                options = ["--run", "--device", "cuda", "--dtype", dtype, "--offline", "--json"]
                command = [sys.executable, "-m", "orchestrator", "doctor", name, *options]
                ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
                run = json.loads(ended.stdout or "{}").get("run") or {}
                said = run.get("error") or f"done in {run.get('seconds', 0):.1f} s"
                yield Row(f"{name} in {dtype}", "done", said, run.get("seconds") is not None)
                for test in filter(None, (run.get("miniature"), run.get("self_test"))):
                    yield Row(f"{name} in {dtype}: logits", "as on the CPU", test["finding"],
                              test["passed"])  # fmt: skip


def main():
    """Run all comparisons and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--torch", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--models", nargs="*", default=())
    given = parser.parse_args()
    machine = Machine(given.torch)
    parts = (machine.figures, machine.visible, machine.worker, lambda: machine.models(given.models))
    lines = ["| what | expected | found | |", "| --- | --- | --- | --- |"]
    wrong = 0
    for part in parts:
        try:
            for row in part():
                wrong += not row.same
                mark = "" if row.same else "**differs**"
                lines.append(f"| {row.what} | {row.expected} | {row.found} | {mark} |")
        except Exception as error:  # noqa: BLE001 - the other parts are worth their minutes
            wrong += 1
            lines.append(f"| {part} | | {type(error).__name__}: {error} | **failed** |")
        given.report.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
