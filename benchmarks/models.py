"""What `mm` adds to DeepSeek-OCR-2: to a call of its `infer`, to the disk, to a load.

    python benchmarks/models.py CHECKPOINT [--rounds N] [--dtype float32|bfloat16]

CHECKPOINT is a directory with the model's own code and weights of any size, such as the one that
`tests/manual/shrink_deepseek_ocr2.py` makes with random weights: tiny, or with --full as large as
the real ones. It is used in a home of the benchmark's own (`MM_HOME` names another).

- A call: `Session.run` and `infer` in a plain process of the same interpreter, on the same patched
  files, with one thread each, in turn. Limit: 2 % more.
- An overlay: made anew from a directory with the model's code and sparse weights of 7 GB. Limits:
  1 s, and no bytes copied but those of code and configuration.
- A load: the worker's peak of memory against the weights in memory. Limit: 1.15 times.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageDraw

import orchestrator
from orchestrator.core.patching import Conditions
from orchestrator.jobs.job import Job
from orchestrator.sources.model_files import SourceRecord, describe
from orchestrator.sources.overlays import ensure_overlay
from orchestrator.sources.patchsets import load_patch_sets
from orchestrator.system.home import Home
from orchestrator.system.reporter import Silent
from orchestrator.workspace import Workspace

MODEL = "deepseek-ocr-2"
PROMPT = "<image>\n<|grounding|>Convert the document to markdown."
SHARD = 7 << 30
ITEM = {"float32": 4, "bfloat16": 2}
"""Bytes of a number in memory."""

DIRECT = """\
import json, sys, time
import torch
from transformers import AutoModel, AutoTokenizer

directory, dtype, image, out, size, crop = json.loads(sys.argv[1])
torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=True)
model = AutoModel.from_pretrained(
    directory, trust_remote_code=True, torch_dtype=getattr(torch, dtype),
    attn_implementation="eager",
).eval()
print("ready", file=sys.__stdout__, flush=True)
for _ in sys.stdin:
    text = model.infer(
        tokenizer, prompt=PROMPT, image_file=image, output_path=out, base_size=size,
        image_size=768 if crop else size, crop_mode=crop, eval_mode=True,
    )
    print(json.dumps(text), file=sys.__stdout__, flush=True)
"""


class Direct:
    """The model without `mm`: a process of its interpreter that calls `infer` when told to."""

    def __init__(self, python, overlay, dtype, image, scratch, size, crop):
        given = json.dumps([str(overlay.path), dtype, str(image), str(scratch), size, crop])
        variables = {**os.environ, **overlay.variables, "OMP_NUM_THREADS": "1"}
        variables["HF_MODULES_CACHE"] = str(scratch / "modules")
        code = DIRECT.replace("PROMPT", repr(PROMPT))
        self._process = subprocess.Popen(
            [str(python), "-I", "-c", code, given],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read("ready")

    @property
    def pid(self):
        return self._process.pid

    def _read(self, start):
        for line in self._process.stdout:
            if line.startswith(start):
                return line
        raise SystemExit("the direct side has ended")

    def call(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._read('"'))

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def page(path):
    """Write a page of 1,200 by 900 pixels with something on it."""
    picture = Image.new("RGB", (1200, 900), "white")
    pen = ImageDraw.Draw(picture)
    for line in range(30):
        pen.text((40, 30 * line), f"Line {line} of a page that nobody has to read.", fill="black")
    picture.save(path)
    return path


def timed(function):
    began = time.perf_counter()
    value = function()
    return time.perf_counter() - began, value


def processor_seconds(*pids):
    """Return the processor time of processes so far; a busy machine does not change it much."""
    ticks = 0
    for pid in pids:
        words = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def calls(session, workspace, options, root):
    declared = workspace.catalog.model(MODEL)
    environment = workspace.environments.ensure(declared)
    dtype = options.dtype
    conditions = Conditions("cpu", dtype, versions=environment.versions)
    overlay = workspace.sources.overlay(declared, conditions, environment.python)
    image = page(root / "page.png")
    inputs = {"image": image, "image_size": str(options.size), "crop": options.crop}
    job = Job(MODEL, inputs, dtype=dtype, force=True)
    print(f"\nA call, {options.rounds} rounds in turn, {dtype}, one thread:\n")
    raw = session.execute(job)["raw"]
    given = (environment.python, overlay, dtype, image, root, options.size, options.crop)
    direct, other = Direct(*given), Direct(*given)
    if not direct.call() == other.call() == raw:
        raise SystemExit("the sides read different texts")
    # The second process of the same says what differences mean nothing.
    sides = {
        "`infer` itself": (direct.call, (direct.pid,)),
        "the same once more": (other.call, (other.pid,)),
        "`Session.run`": (
            lambda: session.execute(job),
            (os.getpid(), worker_of(workspace)),
        ),
    }
    seconds = {name: [] for name in sides}
    busy = {name: [] for name in sides}
    for number in range(options.rounds):
        order = list(sides.items())
        for name, (call, pids) in order if number % 2 else reversed(order):
            before = processor_seconds(*pids)
            seconds[name].append(timed(call)[0])
            busy[name].append(processor_seconds(*pids) - before)
    direct.close()
    other.close()
    print("| what | median | ratio | least processor time | ratio |")
    print("| --- | --- | --- | --- | --- |")
    found = {name: (statistics.median(seconds[name]), min(busy[name])) for name in sides}
    bases = found["`infer` itself"]
    for name, each in found.items():
        pairs = zip(each, bases, strict=True)
        cells = [f"{value:.2f} s | {value / base:.3f}" for value, base in pairs]
        print(f"| {name} | {' | '.join(cells)} |")


def worker_of(workspace):
    (record,) = workspace.runtime.records()
    return workspace.runtime.status(record.id).pid


def loads(workspace, options, weights):
    status = Path("/proc", str(worker_of(workspace)), "status").read_text()
    peak = next(int(line.split()[1]) << 10 for line in status.splitlines() if "VmHWM" in line)
    print(f"\nA load, {options.dtype}: the weights have {weights / 1e9:.2f} GB in memory, the "
          f"worker had {peak / 1e9:.2f} GB at its peak: {peak / weights:.3f}.")  # fmt: skip


def overlays(workspace, checkpoint, root, rounds):
    declared = workspace.catalog.model(MODEL)
    environment = workspace.environments.ensure(declared)
    source = root / "large"
    shutil.copytree(checkpoint, source, ignore=shutil.ignore_patterns("*.safetensors"))
    with (source / "model-00001-of-000001.safetensors").open("wb") as stream:
        stream.truncate(SHARD)
    # The hashes would only be compared by `mm model verify`.
    files = {
        path.relative_to(source).as_posix(): describe(path, "0" * 64)
        for path in source.rglob("*")
        if path.is_file()
    }
    record = SourceRecord(path=str(source), files=files)
    conditions = Conditions("cpu", "float32", versions=environment.versions)
    sets = load_patch_sets(declared)
    seconds = []
    for number in range(rounds):
        home = Home(root / f"home-{number}")
        took, overlay = timed(
            lambda home=home: ensure_overlay(
                home, MODEL, record, sets, conditions, environment.python
            )
        )
        seconds.append(took)
        overlay.held.release()
    real = [each for each in overlay.path.rglob("*") if not each.is_symlink() and each.is_file()]
    print(f"\nAn overlay of {record.size / 1e9:.1f} GB, {rounds} times: "
          f"{statistics.median(seconds):.2f} s; {sum(each.stat().st_size for each in real):,} "
          f"bytes in {len(real)} files copied, {len(files) - len(real)} linked.")  # fmt: skip


def numbers_of(checkpoint):
    """Return how many numbers the weights of a checkpoint have."""
    count = 0
    for path in checkpoint.glob("*.safetensors"):
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        header.pop("__metadata__", None)
        for each in header.values():
            product = 1
            for side in each["shape"]:
                product *= side
            count += product
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtype", choices=list(ITEM), default="float32")
    parser.add_argument("--size", type=int, choices=(1024, 768), default=1024)
    parser.add_argument("--crop", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    checkpoint = options.checkpoint.resolve()
    with tempfile.TemporaryDirectory(prefix="mm-models-") as name:
        root = Path(name)
        os.environ.setdefault("MM_HOME", str(root / "home"))
        os.environ["MM_RUNTIME_DIR"] = str(root / "run")
        os.environ["OMP_NUM_THREADS"] = "1"
        workspace = Workspace(dict(os.environ), Path.cwd(), reporter=Silent())
        declared = workspace.catalog.model(MODEL)
        before = workspace.sources.record(MODEL)
        if before is None or before.path != str(checkpoint):
            workspace.sources.add(declared, checkpoint)
        with orchestrator.Session(workspace=workspace) as session:
            session.load(Job(MODEL, dtype=options.dtype, force=True))
            loads(workspace, options, numbers_of(checkpoint) * ITEM[options.dtype])
            calls(session, workspace, options, root)
        overlays(workspace, checkpoint, root, 9)


if __name__ == "__main__":
    sys.exit(main())
