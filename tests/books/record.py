"""Reads the drawn books and stores what was read, in the environment of the reader:

`$(mm env path rapidocr)/bin/python -m tests.books.record DIRECTORY [BOOK...]`
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

RECORDED = Path(__file__).with_name("recorded")


class Job:
    """What a runner asks of a job."""

    cancelled = False

    def log(self, *words):
        print(*words)

    warn = log

    def progress(self, *_):
        pass


def main(directory, *names):
    """Read the books in `directory`, or some of them."""
    sys.path.insert(0, "envs/rapidocr")
    import runner

    model = runner.load(None)
    for name in names or sorted(path.name for path in Path(directory).iterdir()):
        lines = []
        for path in sorted(Path(directory, name).glob("*.png")):
            page = np.asarray(Image.open(path).convert("RGB"))
            read = runner.arranged(runner.see(model, page, Job()), Job())
            for box in read["boxes"]:
                box["polygon"] = [[round(x), round(y)] for x, y in box["polygon"]]
                box["score"] = round(box["score"], 2)
            kept = {key: read[key] for key in ("boxes", "markdown")}
            lines.append(json.dumps(kept, ensure_ascii=False, separators=(",", ":")) + "\n")
        (RECORDED / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(name, len(lines), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
