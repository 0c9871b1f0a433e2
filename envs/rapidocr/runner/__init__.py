"""Runs RapidOCR: finds lines of text in an image, reads them, and puts them in reading order.

Runs in the model's own environment and imports nothing of the orchestrator. Nothing is written:
the weights are read where the package carries them. RapidOCR and OpenCV are imported where they
are used: what orders the lines can be tested without them.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from .blocks import Choice, arrange
from .boxes import flat
from .cells import parted
from .direction import level_boxes, level_edges
from .frames import find_frames
from .image import open_image, opened
from .lines import TILE, detect, find_lines
from .markdown import as_markdown
from .paragraphs import gather
from .quality import assess, is_blank, warning
from .reading import read_lines
from .tables import as_json
from .text import compose


def load(context):  # noqa: ARG001 - it needs no settings
    import rapidocr
    from rapidocr.main import RapidOCR

    weights = Path(rapidocr.__file__).parent / "models"
    Image.init()  # the formats beyond the five usual ones
    threads = os.environ.get("OMP_NUM_THREADS", "")  # noqa: TID251 - set for the worker by mm
    parameters = {
        "Global.log_level": "error",
        "Global.model_root_dir": os.devnull,  # so that nothing can be downloaded into the package
        "EngineConfig.onnxruntime.intra_op_num_threads": int(threads) if threads.isdigit() else -1,
        # Tiles come at the scale to be searched; enlarged ones hide letters from the detector.
        "Det.limit_type": "max",
        "Det.limit_side_len": 2 * TILE,
        "Global.use_vertical_padding": False,
        "Global.return_word_box": True,  # where each letter stands
        "Det.model_path": str(weights / "PP-OCRv6_det_small.onnx"),
        "Rec.model_path": str(weights / "PP-OCRv6_rec_small.onnx"),
    }
    engine = RapidOCR(params=parameters)
    detect(engine, np.full((64, 64, 3), 255, np.uint8))  # a first use loads each network
    engine.recognize_txt([np.full((48, 96, 3), 255, np.uint8)])
    return engine


def check(job, *, image, **_):
    """Rejects what its header shows to be no image, or too large, before the model is loaded."""
    with opened(image, job):
        pass


def run(model, job, *, image, min_score=0.5, rotate="auto", layout="auto"):
    seen = see(model, open_image(image, job), job, rotate=rotate)
    return {} if job.cancelled else arranged(seen, job, min_score=min_score, layout=layout)


def see(model, page, job, *, rotate="auto"):
    """Returns what is seen on a page, as JSON values: lines in no order, frames, the direction."""
    found = find_lines(model, page, job)
    lines, turn = read_lines(model, page, found, job, rotate)
    frames, rules = find_frames(page)
    return {
        "lines": lines,
        "turn": turn,
        "frames": frames,
        "rules": rules,
        "blank": not lines and is_blank(page),
    }


def arranged(seen, job, *, min_score=0.5, layout="auto"):
    """Returns the outputs, of what was seen: no model is needed."""
    turn, choice = seen["turn"], Choice(layout)
    lines = parted(seen["lines"], level_boxes(seen["lines"], turn=turn), turn)
    kept = [line for line in lines if line["text"] and line["score"] >= min_score]
    frames, rules = (
        [level_edges([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], -turn) for x0, y0, x1, y1 in some]
        for some in (seen["frames"], seen["rules"])
    )
    pieces = arrange(level_boxes(kept, turn=turn), frames, rules, choice)
    if choice.open:
        job.log("columns or rows? The page does not say; the input layout decides")
    quality = assess(lines, kept, turn, blank=seen["blank"])
    if quality["doubtful"]:
        job.warn(warning(quality))
    blocks = gather(pieces)
    return {
        "text": compose(pieces),
        "markdown": as_markdown(blocks),
        "boxes": [
            {name: kept[box.index][name] for name in ("polygon", "text", "score")}
            | {"block": number, "role": block.role}
            for number, block in enumerate(blocks)
            for box in flat(block.rows)
        ],
        "tables": [
            as_json(block.rows[0], kept, number)
            for number, block in enumerate(blocks)
            if block.role == "table"
        ],
        "quality": quality,
    }
