"""Runs RapidOCR: finds lines of text in an image, reads them, and puts them in reading order.

Runs in the model's own environment and imports nothing of the orchestrator. Nothing is written:
the weights are read where the package carries them. RapidOCR and OpenCV are imported where they
are used: what orders the lines can be tested without them.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from .blocks import arrange
from .direction import level_boxes
from .image import open_image, opened
from .lines import TILE, detect, find_lines
from .reading import read_lines
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


def run(model, job, *, image, min_score=0.5):
    page = open_image(image, job)
    found = find_lines(model, page, job)
    lines, turned = read_lines(model, page, found, job)
    if job.cancelled:
        return {}
    kept = [line for line in lines if line["text"] and line["score"] >= min_score]
    rows = arrange(level_boxes(kept, turned=turned))
    return {
        "text": compose(rows),
        "boxes": [kept[box.index] for row in rows for box in row],
    }
