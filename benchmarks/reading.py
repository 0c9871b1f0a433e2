"""What the runner of `rapidocr` costs beside RapidOCR called plainly, page by page.

    $(mm env path rapidocr)/bin/python benchmarks/reading.py [PAGE...] [--rounds N]

Both read the same file with the same networks and one thread, in turn, in one process; printed are
the medians of processor time and their ratio. A page that is turned is compared with RapidOCR on
the page as it stands upright: on the turned one it reads other text. By default the pages are those
of `examples/` and `tests/pages/images/`, and two of them turned.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "envs" / "rapidocr"))
import runner  # noqa: E402 - beside its environment


class Job(SimpleNamespace):
    """A job without anyone who waits for it."""

    cancelled = False

    def progress(self, *_):
        """Say nothing."""

    log = warn = progress


def pages():
    """Yield pages, and by how many degrees they are turned."""
    for path in sorted([*ROOT.glob("examples/*.png"), *ROOT.glob("tests/pages/images/*.png")]):
        if not path.stem.startswith(("turned", "skewed", "quick")):
            yield path, 0
    for name in ("two-columns", "chinese"):
        yield ROOT / "examples" / f"{name}.png", 90
        yield ROOT / "examples" / f"{name}.png", 180


def in_colour(path, degrees, folder):
    """Return a copy that is turned; RapidOCR takes the numbers of a palette for grey."""
    copy = folder / f"{path.stem}-{degrees}.png"
    with Image.open(path) as image:
        image.convert("RGB").rotate(degrees, expand=True).save(copy)
    return copy


def measure(name, ours, plainly, rounds):
    """Print the medians of a page."""
    seconds = ([], [])
    for _ in range(rounds + 1):  # the first is to warm up
        for times, call in zip(seconds, (ours, plainly), strict=True):
            began = time.process_time()
            call()
            times.append(time.process_time() - began)
    first, second = (statistics.median(times[1:]) for times in seconds)
    print(f"| {name} | {first:.2f} | {second:.2f} | {first / second:.2f} |", flush=True)
    return first / second


def main():
    """Measure every page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    from rapidocr import RapidOCR

    os.environ["OMP_NUM_THREADS"] = "1"  # as mm sets it for the worker
    model = runner.load(None)
    plain = RapidOCR(
        params={"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": 1}
    )
    print("| page | ours, s | RapidOCR, s | ratio |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        ratios = [
            measure(
                f"{path.stem}, turned by {turn}" if turn else path.stem,
                partial(runner.run, model, Job(), image=in_colour(path, turn, Path(folder))),
                partial(plain, str(in_colour(path, 0, Path(folder)))),
                options.rounds,
            )
            for path, turn in ([(path, 0) for path in options.pages] or pages())
        ]
    print(f"| median | | | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    main()
