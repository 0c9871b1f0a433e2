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
from statistics import fmean
from types import SimpleNamespace

from tests.pages.layouts import PAGES
from tests.pages.score import score, spaces
from tests.pages.teds import mean_similarity, read_tables, tables_of

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


TRACKS = "clean", "held back", "degraded"


def main(images, kept, *options):
    """Print the figures: clean pages, held back ones, and degraded ones."""
    read(Path(images), Path(kept))
    by_kind = defaultdict(lambda: {track: [] for track in TRACKS})
    figures = {name: {track: [] for track in TRACKS} for name in ("latin", "han", "teds", "spaces")}
    for page in PAGES:
        seen = json.loads((Path(kept) / f"{page.name}.json").read_text())
        outputs = runner.arranged(seen, Job())
        lines = [box["text"] for box in outputs["boxes"]]
        scored = score(lines, page.units)
        track = "degraded" if page.degraded else "held back" if page.held_back else "clean"
        by_kind[page.kind][track].append(scored.right)
        script = "han" if any(map(runner.script.is_han, page.body)) else "latin"
        figures[script][track].append(scored.disorder)
        figures["spaces"][track].append(spaces(lines, page.units))
        tables = tables_of(page.body)
        teds = mean_similarity(read_tables(outputs["tables"]), tables)
        if tables or outputs["tables"]:
            figures["teds"][track].append(teds)
        if "--each" in options and (not scored.right or teds < 1):
            rates = f"error {scored.error:.3f}, disorder {scored.disorder:.2f}, TEDS {teds:.2f}"
            print(f"{page.name:26} {rates}")
    print("| kind | clean | held back | degraded |\n| --- | --- | --- | --- |")
    total = {track: [r for kind in by_kind.values() for r in kind[track]] for track in TRACKS}
    for kind, right in {**by_kind, "all": total}.items():
        row(kind, [f"{sum(right[track])} of {len(right[track])}" for track in TRACKS])
    titles = {
        "latin": "order, edit distance, Latin",
        "han": "the same, Chinese and Japanese",
        "teds": "tables, TEDS",
    }
    for name, title in titles.items():
        row(title, [f"{fmean(figures[name][track] or [0]):.3f}" for track in TRACKS])
    sums = [[*map(sum, zip(*figures["spaces"][track], strict=True))] for track in TRACKS]
    row("spaces lost, invented", [f"{lost}, {new} of {all_of}" for all_of, lost, new in sums])


def row(title, cells):
    """Print a row of a table."""
    print(f"| {title} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
