"""How near `mm book` comes to its slower stage, on a book of pages that are set and drawn for it.

    python benchmarks/book.py [--pages N] [--read SECONDS] [--speak SECONDS] [--kills N]
    python benchmarks/book.py --models rapidocr hibari --pages N

By default both models sleep, so that a busy machine disturbs little: for so many seconds a page,
and as much for the letters of a page; and the file is left out, which takes longer to encode than
such sounds to make. Printed are the seconds of the book in one command, of reading alone (`-o
book.md`) and of speaking alone (of that text), and their ratio; the memory of the command (Linux);
and with `--kills`, which jobs a command that was killed as often did twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from orchestrator.book.text_layer import lines_of_layer, page_of_layer  # noqa: E402 - of this checkout
from tests.books.layouts import BOOKS  # noqa: E402
from tests.books.texts import english  # noqa: E402
from tests.books.typeset import Layout, Sheet, draw, lines, typeset  # noqa: E402

MM = [sys.executable, "-m", "orchestrator"]
MODELS = ("slow-reader", "slow-voice")
MANIFEST = """\
name: {name}
task: do-{name}
summary: A model that sleeps
environment: {{python: ">=3.10", dependencies: []}}
inputs: {{{input}, required: true}}}}
outputs: {{{outputs}}}
"""
READER = """\
import json, time
def load(context): ...
def run(model, job, *, image):
    with open({log!r}, "a") as log:
        log.write("page %s\\n" % image.stem)
    time.sleep({seconds})
    return {{"text": "", "boxes": json.loads(image.with_suffix(".json").read_text())}}
"""
VOICE = """\
import array, time
def load(context): ...
def run(model, job, *, text):
    with open({log!r}, "a") as log:
        log.write("passage %s\\n" % text[-40:])
    time.sleep({seconds} * len(text))
    return {{"audio": (array.array("h", [3000, -3000] * 2 * len(text)), 24000)}}
"""
SPOKEN = "spoken"
"""The pipeline `book` without its file."""


def make_pages(folder: Path, count: int) -> int:
    """Draw the pages of a book, with what a reader makes of each; return the number of letters."""
    layout = BOOKS["pocket"][1]
    book = english(count // 4 + 1, 16, notes=False)
    elements = [
        replace(each, text=f"{each.text} That was day {number}.")  # no two alike
        if each.kind == "paragraph"
        else each
        for number, each in enumerate(book.elements)
    ]
    folder.mkdir()
    letters = 0
    sheets = typeset(replace(book, elements=tuple(elements)), layout)[:count]
    for number, sheet in enumerate(sheets, start=1):
        draw(sheet, layout).save(folder / f"{number:04}.png")
        boxes = list(boxes_of(number, sheet, layout))
        letters += sum(len(each["text"]) for each in boxes)
        (folder / f"{number:04}.json").write_text(json.dumps(boxes))
    return letters


def boxes_of(number: int, sheet: Sheet, layout: Layout) -> Iterator[dict[str, Any]]:
    """Yield the lines of a page as the output `boxes` of a reader."""
    for index, block in enumerate(
        page_of_layer(number, lines_of_layer(lines(sheet, layout))).blocks
    ):
        for line in block.lines:
            x, y = (line.left, line.right), (line.top, line.bottom)
            polygon = [[x[0], y[0]], [x[1], y[0]], [x[1], y[1]], [x[0], y[1]]]
            yield {"polygon": polygon, "text": line.text, "block": index, "role": block.role}


def declare(folder: Path, read: float, speak: float) -> None:
    """Declare models that sleep: `read` seconds a page, and `speak` a letter."""
    log = str(folder / "log")
    kinds = {
        MODELS[0]: (READER, read, "image: {type: image",
                    "text: {type: text, primary: true}, boxes: {type: json}"),
        MODELS[1]: (VOICE, speak, "text: {type: text", "audio: {type: audio}"),
    }  # fmt: skip
    manifests = folder / "manifests"
    manifests.mkdir()
    for name, (runner, seconds, given, outputs) in kinds.items():
        text = MANIFEST.format(name=name, input=given, outputs=outputs)
        task = "ocr" if name == MODELS[0] else "tts"
        (manifests / f"{name}.yaml").write_text(text.replace(f"do-{name}", task))
        (folder / "envs" / name).mkdir(parents=True)
        (folder / "envs" / name / "runner.py").write_text(runner.format(log=log, seconds=seconds))
    book = (ROOT / "manifests" / "pipelines" / "book.yaml").read_text()
    steps, _, _ = book.replace("name: book", f"name: {SPOKEN}", 1).partition("  - id: sound")
    outputs = 'outputs: {text: "${{ steps.book.markdown }}", audios: "${{ steps.speak.audio }}"}'
    (manifests / "pipelines").mkdir()
    (manifests / "pipelines" / f"{SPOKEN}.yaml").write_text(f"{steps}{outputs}\n")
    os.environ["MM_MANIFESTS"] = str(manifests)
    subprocess.run([*MM, "env", "lock", *MODELS], check=True, capture_output=True)


class Trial:
    """Commands on one home.

    Args:
        folder: Where it lies, with the pages of the book.
        models: The reader and the voice.
    """

    def __init__(self, folder: Path, models: Sequence[str]) -> None:
        self._folder = folder
        self._models = models

    def forget(self) -> None:
        """Remove all kept results."""
        shutil.rmtree(Path(os.environ["MM_HOME"]) / "results", ignore_errors=True)

    def start(self, source: str, target: str) -> subprocess.Popen[bytes]:
        """Start a book, or where `target` is `SPOKEN` the pipeline without its file."""
        words = ["book", source, "-o", target]
        words += [f"--read={self._models[0]}", f"--speak={self._models[1]}"]
        if target == SPOKEN:
            files = sorted(self._folder.glob(f"{source}/*.png")) or [self._folder / source]
            words = ["pipeline", "run", SPOKEN, *map(str, files), "-o", "text=spoken.md"]
            words += ["--set", f"read.model={self._models[0]}"]
            words += ["--set", f"speak.model={self._models[1]}"]
        return subprocess.Popen(
            [*MM, *words],
            cwd=self._folder, stdout=subprocess.DEVNULL, stderr=(self._folder / "said").open("ab"),
        )  # fmt: skip

    def run(self, source: str, target: str, memory: list[float] | None = None) -> float:
        """Run a command to its end; return its seconds, and add its MB each second to `memory`."""
        began = time.perf_counter()
        process = self.start(source, target)
        while process.poll() is None:
            with suppress(OSError, StopIteration):
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                size = next(line.split()[1] for line in lines if line.startswith("VmRSS"))
                if memory is not None:
                    memory.append(int(size) / 1024)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
        if process.returncode:
            sys.exit((self._folder / "said").read_text()[-2000:])
        return time.perf_counter() - began

    def killed(self, times: int, seconds: float) -> None:
        """Run a book that is killed some times within its `seconds`, and run it to its end."""
        for _ in range(times):
            process = self.start("pages", "killed.m4b")
            with suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(0.3, 1.0) * seconds / (times + 1))
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.run("pages", "killed.m4b")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--read", type=float, default=0.5, metavar="SECONDS")
    parser.add_argument("--speak", type=float, default=0.4, metavar="SECONDS")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--models", nargs=2, metavar="MODEL")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="mm-book-") as name:
        folder = Path(name)
        os.environ.setdefault("MM_HOME", str(folder / "home"))
        os.environ["MM_RUNTIME_DIR"] = str(folder / "run")
        letters = make_pages(folder / "pages", options.pages)
        if not options.models:
            declare(folder, options.read, options.speak * options.pages / letters)
        trial = Trial(folder, options.models or MODELS)
        memory: list[float] = []
        trial.run("pages/0001.png", "warm.m4b")
        trial.forget()
        read = trial.run("pages", "book.md")
        speak = trial.run("book.md", "alone.m4b" if options.models else SPOKEN)
        trial.forget()
        (folder / "log").unlink(missing_ok=True)
        whole = trial.run("pages", "book.m4b" if options.models else SPOKEN, memory)
        print(f"{options.pages} pages, {letters} letters (seconds)")
        print(f"  reading alone {read:.1f}, speaking alone {speak:.1f}, the book {whole:.1f}")
        print(f"  the book by its slower stage: {whole / max(read, speak):.3f}")
        parts = [memory[k * len(memory) // 4 : (k + 1) * len(memory) // 4] for k in range(4)]
        quarters = ", ".join(f"{statistics.median(each):.0f}" for each in parts if each)
        print(f"  memory of the command by quarters: {quarters} MB; at most {max(memory):.0f} MB")
        if options.kills:
            trial.run("pages", "book.m4b")
            trial.forget()
            once = Counter((folder / "log").read_text().splitlines())
            (folder / "log").unlink()
            trial.killed(options.kills, whole)
            log = Counter((folder / "log").read_text().splitlines())
            twice = Counter(line.split()[0] for line in (log - once).elements())
            same = (folder / "killed.m4b").read_bytes() == (folder / "book.m4b").read_bytes()
            print(
                f"  killed {options.kills} times: {once.total()} jobs, {dict(twice)} begun again;"
            )
            print(f"    the same file: {same}; nothing left out: {not once - log}")


if __name__ == "__main__":
    main()
