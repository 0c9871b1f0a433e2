"""Stores what the reader sees on the pages that are not held back, for tests without the reader.

`python -m tests.pages.store READ` writes seen.jsonl out of what `evaluate` keeps in READ.
"""

import json
import sys
from pathlib import Path

from tests.pages.layouts import PAGES

OF_INK = "stroke", "gaps", "overshoot"
SEEN = Path(__file__).with_name("seen.jsonl")


def store(kept):
    """Write one line of JSON for each page, with whole pixels."""
    with SEEN.open("w", encoding="utf-8") as out:
        for page in PAGES:
            if page.held_back:
                continue
            seen = json.loads((Path(kept) / f"{page.name}.json").read_text())
            lines = [
                [[round(v) for corner in line["polygon"] for v in corner], line["text"],
                 round(line["score"], 2), {name: line[name] for name in OF_INK if name in line}]
                for line in seen["lines"]
            ]  # fmt: skip
            drawn = {
                name: [[round(v) for v in edges] for edges in seen[name]]
                for name in ("frames", "rules")
            }
            record = {"page": page.name, "turn": seen["turn"], **drawn, "lines": lines}
            out.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def stored():
    """Return what was seen on each page by its name, as `runner.see` returns it."""
    pages = {}
    for text in SEEN.read_text("utf-8").splitlines():
        record = json.loads(text)
        lines = [
            {"polygon": list(zip(corners[::2], corners[1::2], strict=True)), "text": text,
             "score": score, **of_ink}
            for corners, text, score, of_ink in record["lines"]
        ]  # fmt: skip
        pages[record["page"]] = {**record, "lines": lines, "blank": False}
    return pages


if __name__ == "__main__":
    store(sys.argv[1])
