"""An idle worker gives back the memory that torch keeps on a GPU for jobs to come."""

import time

SOURCE = """
import pathlib, sys, types

TORCH = types.ModuleType("torch")


def load(context):
    log = pathlib.Path(context.options["log"])

    def empty_cache():
        with log.open("a") as stream:
            stream.write(context.device)
        if log.stat().st_size > 4:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    for name in ("cuda", "mps"):
        setattr(TORCH, name, types.SimpleNamespace(empty_cache=empty_cache))
    sys.modules["torch"] = TORCH
    return log


def run(model, job, *, what, array=None, path=None):
    return {"text": model.read_text() if model.exists() else "nothing"}
"""


def wait_for(log, text):
    while not log.exists() or log.read_text() != text:
        time.sleep(0.05)


def test_an_idle_worker_frees_what_is_cached_on_its_gpu(workers, tmp_path):
    log = tmp_path / "freed"
    keys = {"runner": {"/runner.py": SOURCE}, "options": {"log": str(log)}}
    worker = workers.start(device="cuda", **keys)
    assert workers.run(worker, "x") == "nothing"
    wait_for(log, "cuda")
    assert workers.run(worker, "x") == "cuda"
    wait_for(log, "cudacuda")  # fails this time, and the worker lives
    assert workers.run(worker, "x") == "cudacuda"
