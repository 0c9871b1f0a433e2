"""Twenty images read aloud: a shell loop over two environments against `mm pipeline`.

Both sides use the same two environments, the same runners and one thread for each model, and take
turns on the same machine. Run it with Pillow installed: `python benchmarks/pipelines.py`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

import orchestrator

ROOT = Path(__file__).resolve().parent.parent
MM = [sys.executable, "-m", "orchestrator"]

SCRIPT = """\
import pathlib, runpy, sys, types, wave

def context():
    return types.SimpleNamespace(
        model_dir=None, device="cpu", dtype="float32", options={{}}, log=lambda *_: None)

job = types.SimpleNamespace(
    progress=lambda *_: None, emit=lambda *_: None, cancelled=False, reject=sys.exit, directory=".")
runner = runpy.run_path({runner!r})
model = runner["load"](context())
{body}
"""

READ = 'print(runner["run"](model, job, image=pathlib.Path(sys.argv[1]))["text"])'
SPEAK = """
samples, rate = runner["run"](
    model, job, text=sys.stdin.read(), speed=1.0, seed=0)["audio"]
import numpy
with wave.open(sys.argv[1], "wb") as writer:
    writer.setparams((1, 2, rate, 0, "NONE", ""))
    writer.writeframes((samples * 32767).astype("<i2").tobytes())
"""

NOTHING = """\
def load(context): ...
def run(model, job, *, text):
    return {"text": text}
"""
MANIFEST = """\
name: NAME
task: do-NAME
summary: Return the text
environment: {python: ">=3.10", dependencies: []}
inputs: {text: {type: text, required: true}}
outputs: {text: {type: text}}
"""
WAITING = """\
import time
def load(context): ...
def run(model, job, *, text):
    time.sleep({seconds})
    return {{"text": text}}
"""
WAITING_PIPELINE = """\
name: waiting
inputs: {words: {type: text, list: true, required: true}}
steps:
  - {id: one, run: wait-long, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
  - {id: two, run: wait-short, foreach: "${{ steps.one.text }}", with: {text: "${{ item }}"}}
outputs: {words: "${{ steps.two.text }}"}
"""
NOTHING_PIPELINE = """\
name: nothings
inputs: {words: {type: text, list: true, required: true}}
steps: [{id: it, run: nothing, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}]
outputs: {words: "${{ steps.it.text }}"}
"""


def make_images(folder: Path, count: int, start: int) -> list[Path]:
    """Write images of one line of English that differ in a dot."""
    paths = []
    for number in range(start, start + count):
        with Image.open(ROOT / "examples" / "quick-fox.png") as opened:
            image = opened.convert("RGB")
        image.putpixel((number % image.width, number // image.width), (254, 254, 254))
        paths.append(folder / f"{number}.png")
        image.save(paths[-1])
    return paths


def shell_loop(folder: Path, images: list[Path], between: str) -> float:
    """Return the seconds of the loop that a user would write with two environments.

    Args:
        folder: Where its scripts go.
        images: What is read aloud.
        between: What takes the text from one script to the other: "| " or "> {text}; < {text} ".
    """
    scripts = {}
    for model, name, body in (("rapidocr", "read", READ), ("hibari", "speak", SPEAK)):
        python = subprocess.run(
            [*MM, "env", "path", model], capture_output=True, text=True, check=True
        ).stdout.strip()
        script = folder / f"{name}_aloud.py"
        runner = str(ROOT / "envs" / model / "runner.py")
        script.write_text(SCRIPT.format(runner=runner, body=body))
        scripts[name] = f"{python}/bin/python {script}"
    lines = [
        f"{scripts['read']} {image} {between.format(text=image.with_suffix('.txt'))}"
        f"{scripts['speak']} {image.with_suffix('.wav')}"
        for image in images
    ]
    began = time.perf_counter()
    subprocess.run(["/bin/sh", "-ec", "\n".join(lines)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def command(arguments: list[object]) -> float:
    """Return the seconds of a run of `mm`."""
    began = time.perf_counter()
    subprocess.run([*MM, *map(str, arguments)], check=True, capture_output=True)
    return time.perf_counter() - began


def stages(session: orchestrator.Session, images: list[Path]) -> tuple[float, float]:
    """Return the seconds that each stage takes alone, with its model loaded."""
    began = time.perf_counter()
    texts = [session.run("ocr", image=image)["text"] for image in images]
    reading = time.perf_counter() - began
    began = time.perf_counter()
    for text in texts:
        session.run("tts", text=text)
    return reading, time.perf_counter() - began


def overlap(folder: Path, count: int, rounds: int) -> None:
    """Print how near warm pipelines come to their slower stage."""
    pipeline = orchestrator.Pipeline.load("read-pages-aloud")
    with orchestrator.Session() as session:
        pipeline.run(session, files=make_images(folder, 2, 90_000))
        ratios, totals, slower = [], [], []
        for number in range(rounds):
            images = make_images(folder, count, 50_000 + number * count)
            alone = max(stages(session, images))
            began = time.perf_counter()
            pipeline.run(session, files=images)
            totals.append(time.perf_counter() - began)
            slower.append(alone)
            ratios.append(totals[-1] / alone)
    print(f"warm, models loaded: {statistics.median(totals):.2f} s for {count} images; the slower")
    print(f"  stage alone {statistics.median(slower):.2f} s; ratio {statistics.median(ratios):.2f}")


def declare(folder: Path, runners: dict[str, str], pipeline: str) -> Path:
    """Declare and lock models without dependencies and a pipeline; return their manifests."""
    manifests = folder / "manifests"
    (manifests / "pipelines").mkdir(parents=True)
    for model, runner in runners.items():
        text = MANIFEST.replace("NAME", model)
        (manifests / f"{model}.yaml").write_text(text)
        (folder / "envs" / model).mkdir(parents=True)
        (folder / "envs" / model / "runner.py").write_text(runner)
    name = pipeline.split()[1]
    (manifests / "pipelines" / f"{name}.yaml").write_text(pipeline)
    command(["env", "lock", *runners, "--manifests", manifests])
    return manifests


def waiting(folder: Path, count: int) -> None:
    """Print the overlap of two stages that wait and leave the processor alone."""
    long, short = 0.1, 0.04
    runners = {
        "wait-long": WAITING.format(seconds=long),
        "wait-short": WAITING.format(seconds=short),
    }
    manifests = declare(folder, runners, WAITING_PIPELINE)
    pipeline = orchestrator.Pipeline.load("waiting", manifests=[manifests])
    with orchestrator.Session(manifests=[manifests]) as session:
        pipeline.run(session, words=["warm"])
        began = time.perf_counter()
        pipeline.run(session, words=[f"word {number}" for number in range(count)])
        total = time.perf_counter() - began
    print(f"two stages that wait {long} s and {short} s, {count} items: {total:.2f} s,")
    print(f"  {total / (count * long):.3f} of the slower stage")


def nothing(folder: Path, count: int) -> None:
    """Print what an item costs beside its model, in a pipeline and in bare calls."""
    manifests = declare(folder, {"nothing": NOTHING}, NOTHING_PIPELINE)
    pipeline = orchestrator.Pipeline.load("nothings", manifests=[manifests])
    with orchestrator.Session(manifests=[manifests]) as session:
        session.run("nothing", text="warm")
        began = time.perf_counter()
        for number in range(count):
            session.run("nothing", text=f"call {number}")
        bare = (time.perf_counter() - began) / count
        words = [f"item {number}" for number in range(count)]
        seconds = {}
        for name in ("new", "kept"):
            began = time.perf_counter()
            outcome = pipeline.run(session, words=words)
            seconds[name] = (time.perf_counter() - began) / count
        assert len(outcome["words"]) == count
    print(f"do-nothing model, {count} items: {1e3 * bare:.2f} ms a bare call,")
    print(
        f"  {1e3 * seconds['new']:.2f} ms an item in a pipeline (kept on disk), "
        f"{1e3 * seconds['kept']:.2f} ms one that is kept already"
    )


def real_models(folder: Path, count: int, rounds: int) -> None:
    """Print the shell loop's time and the pipeline's, both from nothing."""
    command(["env", "sync", "rapidocr", "hibari"])
    loops, pipes, cold, again = [], [], [], []
    for number in range(rounds):
        images = make_images(folder, count, number * count)
        loops.append(shell_loop(folder, images, "> {text}; < {text} "))
        pipes.append(shell_loop(folder, images, "| "))
        arguments = ["pipeline", "run", "read-pages-aloud", *images, "-o", folder / "all.wav"]
        cold.append(command(arguments))
        again.append(command(arguments))
    first = statistics.median(cold)
    print(f"mm pipeline: {first:.2f} s for {count} images, loading and command included")
    for title, each in (("shell loop", loops), ("the same with a pipe", pipes)):
        loop = statistics.median(each)
        print(f"{title}: {loop:.2f} s, {loop / count:.2f} s each: {loop / first:.1f} times it")
    print(f"mm pipeline, all done before: {statistics.median(again):.2f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="leave the real models out")
    parser.add_argument("--items", type=int, default=2000)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="mm-bench-") as name:
        folder = Path(name)
        os.environ["MM_HOME"] = str(folder / "home")
        os.environ["MM_RUNTIME_DIR"] = str(folder / "run")
        if not options.quick:
            real_models(folder, options.images, options.rounds)
            overlap(folder, options.images, options.rounds)
        waiting(folder / "waiting", 50)
        nothing(folder / "nothing", options.items)


if __name__ == "__main__":
    main()
