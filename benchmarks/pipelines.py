"""Images read aloud: the shell loop that a user would write, against `mm pipeline`; and more.

One command prints all of it: the loop over two environments and the pipeline, cold, warm and with
everything done before; how near the pipeline comes to its slower stage; the same where loading
dominates; and what an item costs beside its model. Both sides use the same environments, the same
runners and one thread for each model, and take turns on the same machine.

Run it with Pillow installed, on a machine that has nothing else to do:
`python benchmarks/pipelines.py`.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import orchestrator

ROOT = Path(__file__).resolve().parent.parent
MM = [sys.executable, "-m", "orchestrator"]
CORES = os.cpu_count() or 1
TICKS = os.sysconf("SC_CLK_TCK")
WORDS = [
    "river", "stone", "window", "garden", "silver", "morning", "quiet", "letter", "market",
    "winter", "candle", "forest", "harbour", "yellow", "bridge", "summer", "village", "kitchen",
    "music", "paper", "simple", "northern", "travel", "common", "distant",
]  # fmt: skip

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

SAY = 'print(runner["run"](model, job, text=sys.stdin.read())["text"])'
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
LOADING = """\
import time
def load(context):
    time.sleep({seconds})
def run(model, job, *, text):
    return {{"text": text + "!"}}
"""
LOADING_PIPELINE = """\
name: loading
inputs: {words: {type: text, list: true, required: true}}
steps:
  - {id: one, run: load-one, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
  - {id: two, run: load-two, foreach: "${{ steps.one.text }}", with: {text: "${{ item }}"}}
outputs: {words: "${{ steps.two.text }}"}
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


def make_images(folder: Path, count: int) -> list[Path]:
    """Write images of two lines of English, no two alike: what is alike is spoken once only."""
    font = ImageFont.load_default(size=36)
    paths = []
    for _ in range(count):
        words = random.sample(WORDS, 12)
        text = f"The {' '.join(words[:6])}\n{' '.join(words[6:])}."
        image = Image.new("RGB", (960, 160), "white")
        ImageDraw.Draw(image).text((24, 30), text, fill="black", font=font)
        paths.append(folder / f"{random.getrandbits(64):016x}.png")
        image.save(paths[-1])
    return paths


def median(values: list[float]) -> float:
    return statistics.median(values)


def spread(values: list[float]) -> str:
    """Return the median with the least and the most."""
    return f"{median(values):.2f} (of {len(values)}: {min(values):.2f} to {max(values):.2f})"


# -- processor time, where the system tells it -----------------------------------------------------


def worker_seconds(session: orchestrator.Session) -> dict[str, float]:
    """Return the processor time that each model's worker has taken so far (Linux)."""
    runtime = session.workspace.runtime
    found = {}
    for record in runtime.records():
        try:
            stat = Path(f"/proc/{runtime.status(record.id).pid}/stat").read_text()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        found[record.model] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


def machine_seconds() -> float:
    """Return the processor time that the whole machine has spent so far (Linux)."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, soft, steal = map(int, fields[:8])
    return (user + nice + system + irq + soft + steal) / TICKS


@dataclass
class Spent:
    """What one stretch of work took: seconds by the clock, and of processors."""

    wall: float = 0.0
    workers: dict[str, float] = field(default_factory=dict)
    ours: float = 0.0
    others: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        models = {*self.workers, *other.workers}
        workers = {m: self.workers.get(m, 0) + other.workers.get(m, 0) for m in models}
        return Spent(
            self.wall + other.wall, workers, self.ours + other.ours, self.others + other.others
        )

    @property
    def busy_with_others(self) -> float:
        """The part of the machine that others had."""
        return self.others / (self.wall * CORES)


def spend(session: orchestrator.Session, work: Callable[[], object]) -> Spent:
    """Do some work and return what it took."""
    before, machine, own = worker_seconds(session), machine_seconds(), time.process_time()
    began = time.perf_counter()
    work()
    wall = time.perf_counter() - began
    own = time.process_time() - own
    workers = {
        model: seconds - before.get(model, 0) for model, seconds in worker_seconds(session).items()
    }
    others = max(0.0, machine_seconds() - machine - sum(workers.values()) - own)
    return Spent(wall, workers, own, others)


# -- the two sides ---------------------------------------------------------------------------------


def shell_loop(folder: Path, lines: Callable[[dict[str, str]], list[str]], **models: str) -> float:
    """Return the seconds of the loop that a user would write, one script for each environment.

    Args:
        folder: Where its scripts go.
        lines: Returns the loop's lines, given the command of each model's script.
        **models: By model (`_` for `-`), what its script does after the load.
    """
    scripts = {}
    for name, body in models.items():
        model = name.replace("_", "-")
        python = subprocess.run(
            [*MM, "env", "path", model], capture_output=True, text=True, check=True
        ).stdout.strip()
        root = ROOT if (ROOT / "envs" / model).exists() else folder
        script = folder / f"{name}_alone.py"
        runner = str(root / "envs" / model / "runner.py")
        script.write_text(SCRIPT.format(runner=runner, body=body))
        scripts[name] = f"{python}/bin/python {script}"
    words = "\n".join(lines(scripts))
    began = time.perf_counter()
    subprocess.run(["/bin/sh", "-ec", words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def aloud(images: list[Path], *, pipe: bool) -> Callable[[dict[str, str]], list[str]]:
    """Return what makes the lines of the loop over images; text goes by a file, or by a pipe."""

    def lines(scripts: dict[str, str]) -> list[str]:
        return [
            f"{scripts['rapidocr']} {image} "
            + ("| " if pipe else f"> {image.with_suffix('.txt')}; < {image.with_suffix('.txt')} ")
            + f"{scripts['hibari']} {image.with_suffix('.wav')}"
            for image in images
        ]

    return lines


def command(arguments: list[object]) -> float:
    """Return the seconds of a run of `mm`."""
    began = time.perf_counter()
    subprocess.run([*MM, *map(str, arguments)], check=True, capture_output=True)
    return time.perf_counter() - began


def real_models(folder: Path, count: int, rounds: int) -> None:
    """Print the shell loop's time and the command's, from nothing and with all done before."""
    command(["env", "sync", "rapidocr", "hibari"])
    loops, pipes, cold, again = [], [], [], []
    for _ in range(rounds):
        images = make_images(folder, count)
        loops.append(shell_loop(folder, aloud(images, pipe=False), rapidocr=READ, hibari=SPEAK))
        arguments = ["pipeline", "run", "read-pages-aloud", *images, "-o", folder / "all.wav"]
        cold.append(command(arguments))
        pipes.append(shell_loop(folder, aloud(images, pipe=True), rapidocr=READ, hibari=SPEAK))
        again.append(command(arguments))
    print(f"\n{count} images read aloud, from nothing (seconds)")
    print(f"  shell loop, two environments and two scripts: {spread(loops)}")
    print(f"  the same with a pipe between the scripts:     {spread(pipes)}")
    print(f"  mm pipeline run, loads and command included:  {spread(cold)}")
    for name, each in (("the loop", loops), ("the loop with a pipe", pipes)):
        ratios = [loop / pipeline for loop, pipeline in zip(each, cold, strict=True)]
        print(f"  {name} takes {spread(ratios)} times as long as mm")
    print(f"  the same command again, everything done before: {spread(again)}")


def overlap(folder: Path, count: int, rounds: int, images_loop: int) -> None:
    """Print how near warm pipelines come to their slower stage, and what the processors did."""
    pipeline = orchestrator.Pipeline.load("read-pages-aloud")
    with orchestrator.Session() as session:
        pipeline.run(session, files=make_images(folder, 2))

        def alone(images: list[Path]) -> tuple[Spent, Spent]:
            texts: list[str] = []

            def read() -> None:
                texts.extend(session.run("ocr", image=image)["text"] for image in images)

            def speak() -> None:
                for text in texts:
                    session.run("tts", text=text)

            return spend(session, read), spend(session, speak)

        found: list[tuple[Spent, Spent, Spent]] = []
        loops = []
        for _ in range(rounds):
            # Half of the stages' images before and half after, so that a change of the machine's
            # load in between meets both sides.
            images = make_images(folder, count)
            before = alone(images[: count // 2])
            many = make_images(folder, count)
            whole = spend(session, partial(pipeline.run, session, files=many))
            after = alone(images[count // 2 :])
            found.append((before[0] + after[0], before[1] + after[1], whole))
            few = make_images(folder, images_loop)
            loop = shell_loop(folder, aloud(few, pipe=False), rapidocr=READ, hibari=SPEAK)
            loops.append(loop * count / images_loop)
    _tell_overlap(found, loops, count, images_loop)


def _tell_overlap(
    found: list[tuple[Spent, Spent, Spent]], loops: list[float], count: int, images_loop: int
) -> None:
    slower = [max(read.wall, speak.wall) for read, speak, _ in found]
    wholes = [whole.wall for _, _, whole in found]
    print(f"\n{count} images read aloud, models loaded (seconds)")
    print(f"  reading alone:  {spread([read.wall for read, _, _ in found])}")
    print(f"  speaking alone: {spread([speak.wall for _, speak, _ in found])}")
    print(f"  the pipeline:   {spread(wholes)}")
    ratios = [whole / one for whole, one in zip(wholes, slower, strict=True)]
    print(f"  the pipeline by its slower stage: {spread(ratios)}   (limit 1.1)")
    faster = [loop / whole for loop, whole in zip(loops, wholes, strict=True)]
    print(f"  the shell loop by the pipeline: {spread(faster)}   (limit 3.5)")
    print(f"    (the loop over {images_loop} images a round, scaled to {count})")
    if not found[0][2].workers:
        return
    stages = [sum((read + speak).workers.values()) for read, speak, _ in found]
    both = [sum(whole.workers.values()) for _, _, whole in found]
    ours = [whole.ours for _, _, whole in found]
    others = [whole.busy_with_others for _, _, whole in found]
    quiet = [(read + speak).busy_with_others for read, speak, _ in found]
    print(f"  processor time of the models: stages alone {median(stages):.2f}, in the pipeline")
    print(f"    {median(both):.2f}; of mm itself {median(ours):.2f}")
    # No schedule can be faster than the slower stage, nor than all the work on the cores left.
    ideal = [
        max(
            one, (sum(whole.workers.values()) + whole.ours) / (CORES * (1 - whole.busy_with_others))
        )
        for one, (_, _, whole) in zip(slower, found, strict=True)
    ]
    near = [whole / one for whole, one in zip(wholes, ideal, strict=True)]
    print(
        f"  others had {median(quiet):.0%} of {CORES} cores while the stages ran alone and "
        f"{median(others):.0%} while the pipeline ran"
    )
    print(f"  the pipeline by the best that these cores allowed: {spread(near)}")


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


def loading(folder: Path, seconds: float, count: int) -> None:
    """Print the two sides where loading dominates: models that sleep while they load."""
    runner = LOADING.format(seconds=seconds)
    manifests = declare(folder, {"load-one": runner, "load-two": runner}, LOADING_PIPELINE)
    os.environ["MM_MANIFESTS"] = str(manifests)
    try:
        command(["env", "sync", "load-one", "load-two"])
        loop = shell_loop(
            folder,
            lambda scripts: [
                f"echo word {number} | {scripts['load_one']} | {scripts['load_two']}"
                for number in range(count)
            ],
            load_one=SAY,
            load_two=SAY,
        )
        words = [part for n in range(count) for part in ("--words", f"word {n}")]
        ours = command(["pipeline", "run", "loading", *words])
    finally:
        del os.environ["MM_MANIFESTS"]
    print(f"\n{count} items through two models that sleep for {seconds:g} s while they load")
    print("  (the sleep stands for the load of a large model; the two scripts load side by side)")
    print(f"  shell loop {loop:.2f} s, mm pipeline run {ours:.2f} s: {loop / ours:.1f} times")
    print("  (limit 10)")


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
    print(f"\ntwo stages that sleep {long} s and {short} s, {count} items")
    print(f"  {total:.2f} s, {total / (count * long):.3f} of the slower stage   (limit 1.1)")


def nothing(folder: Path, count: int) -> None:
    """Print what an item costs beside its model: in bare calls, a pipeline, a batch; and memory."""
    manifests = declare(folder, {"nothing": NOTHING}, NOTHING_PIPELINE)
    pipeline = orchestrator.Pipeline.load("nothings", manifests=[manifests])
    seconds = {}
    with orchestrator.Session(manifests=[manifests]) as session:
        session.run("nothing", text="warm")
        began = time.perf_counter()
        for number in range(count):
            session.run("nothing", text=f"call {number}")
        seconds["a bare call"] = (time.perf_counter() - began) / count
        words = [f"item {number}" for number in range(count)]
        for name in ("in a pipeline, its result kept on disk", "that is kept already"):
            began = time.perf_counter()
            outcome = pipeline.run(session, words=words)
            seconds[name] = (time.perf_counter() - began) / count
        assert len(outcome["words"]) == count
    given = folder / "given.jsonl"
    given.write_text("".join(f'{{"text": "item {number}"}}\n' for number in range(count)))
    for name in ("in mm batch, the command included", "that the batch has done already"):
        arguments = ["batch", "nothing", "-", "-o", folder / "out.jsonl", "--resume"]
        began = time.perf_counter()
        with given.open() as stream:
            subprocess.run(
                [*MM, *map(str, arguments), "--manifests", manifests],
                stdin=stream, check=True, capture_output=True,
            )  # fmt: skip
        seconds[name] = (time.perf_counter() - began) / count
    print(f"\nan item of a do-nothing model, over {count} (milliseconds)")
    for name, each in seconds.items():
        print(f"  {name}: {1e3 * each:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="leave the real models out")
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--load", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--loads", type=int, default=20, metavar="ITEMS")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    load = os.getloadavg()[0]
    print(f"{CORES} cores, one thread for each model, load average {load:.1f} at the start")
    with tempfile.TemporaryDirectory(prefix="mm-bench-") as name:
        folder = Path(name)
        os.environ["MM_HOME"] = str(folder / "home")
        os.environ["MM_RUNTIME_DIR"] = str(folder / "run")
        if not options.quick:
            real_models(folder, options.images, options.rounds)
            overlap(folder, options.images, options.rounds, min(5, options.images))
        loading(folder / "loading", options.load, options.loads)
        waiting(folder / "waiting", 50)
        nothing(folder / "nothing", options.items)


if __name__ == "__main__":
    main()
