"""Reads the test pages and prints by kind how many are right.

    python -m tests.pages.render PAGES
    $(mm env path rapidocr)/bin/python -m tests.pages.evaluate PAGES READ [--each]

What the reader sees is kept in READ, one JSON file for each page, so that the rules can change
without reading again; delete a file to have its page read anew. Nothing is asserted.
"""

import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

from tests.pages.layouts import PAGES
from tests.pages.score import score

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "envs" / "rapidocr"))
import runner


class Job(SimpleNamespace):
    """A job without anyone who waits for it."""

    cancelled = False

    def progress(self, *_):
        """Say nothing."""

    log = warn = progress


def read(images, kept):
    """Read the pages that were not read yet."""
    kept.mkdir(parents=True, exist_ok=True)
    missing = [page for page in PAGES if not (kept / f"{page.name}.json").exists()]
    model = runner.load(None) if missing else None
    for page in missing:
        start = time.process_time()
        image = runner.open_image(images / f"{page.name}.png", Job())
        seen = runner.see(model, image, Job())
        seen = {**seen, "seconds": round(time.process_time() - start, 2)}
        (kept / f"{page.name}.json").write_text(json.dumps(seen, ensure_ascii=False))


def main(images, kept, *options):
    """Print the figures: clean pages, held back ones, and degraded ones."""
    read(Path(images), Path(kept))
    by_kind, disorder = defaultdict(lambda: defaultdict(list)), defaultdict(list)
    for page in PAGES:
        seen = json.loads((Path(kept) / f"{page.name}.json").read_text())
        boxes = runner.arranged(seen, Job())["boxes"]
        figures = score([box["text"] for box in boxes], page.units)
        track = "degraded" if page.degraded else "held back" if page.held_back else "clean"
        by_kind[page.kind][track].append(figures.right)
        disorder[track].append(figures.disorder)
        if "--each" in options and not figures.right:
            print(f"{page.name:26} error {figures.error:.3f}, disorder {figures.disorder:.2f}")
    print("| kind | clean | held back | degraded |\n| --- | --- | --- | --- |")
    tracks = ("clean", "held back", "degraded")
    total = {track: [r for kind in by_kind.values() for r in kind[track]] for track in tracks}
    for kind, right in {**by_kind, "all": total}.items():
        cells = (f"{sum(right[track])} of {len(right[track])}" for track in tracks)
        print(f"| {kind} | {' | '.join(cells)} |")
    means = (f"{sum(disorder[track]) / len(disorder[track]):.3f}" for track in tracks)
    print(f"| order, edit distance | {' | '.join(means)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
