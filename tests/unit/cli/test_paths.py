"""Paths on the command line: an empty one is none, and no input is written over."""

import os

import pytest

from orchestrator.errors import UsageError


@pytest.mark.parametrize(
    "command",
    [
        "run ocr --image @",
        "run ocr --image x.png -o @",
        "run ocr --image x.png -o boxes=@",
        "run ocr --image x.png --receipt @",
        "batch ocr @ -o -",
        "batch ocr x.png @ -o out.jsonl",
        "batch ocr x.png -o @",
        "pipeline run read-aloud --image @",
        "pipeline run read-pages-aloud @ -o x.wav",
        "pipeline run read-pages-aloud x.png -o audios=@",
        "pipeline run read-aloud --image x.png --trace @",
        "pipeline show @",
        "pipeline check @",
        "pipeline report -o @",
        "model add qwen3-tts @",
        "patch status deepseek-ocr-2 @",
        "patch apply deepseek-ocr-2 --in-place @",
        "patch revert @",
        "patch new @",
        "doctor @",
        "doctor --error @",
        "manifest check @",
        "manifest trust @",
        "new mine --dir @",
        "env lock --mine hibari --find-links @",
        "env sync hibari --python @",
    ],
)
def test_an_empty_path_is_refused_and_is_not_the_working_directory(user, command):
    (user.root / "project" / "x.png").write_bytes(b"pixels")
    before = sorted(user.root.rglob("*"))
    words = [word.replace("@", "") for word in command.split()]
    with pytest.raises(UsageError, match="the path is empty; name a file or a directory"):
        user.mm(*words)
    assert sorted(user.root.rglob("*")) == before


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
@pytest.mark.parametrize(
    "command",
    [
        "run ocr --image scan.png -o @",
        "run ocr --image scan.png -o boxes=@",
        "run ocr --image scan.png --receipt @",
        "pipeline run read-aloud --image scan.png -o text=@",
        "pipeline run read-aloud --image scan.png --trace @",
        "batch ocr scan.png -o @",
        "batch ocr *.png#page=1 scan.png#page=1 -o @ --resume",
    ],
)
def test_no_input_is_written_over_by_whatever_name(user, command, link):
    scan = user.root / "project" / "scan.png"
    scan.write_bytes(b"pixels")
    out = "scan.png"
    if link is not None:
        out = "other.png"
        link(scan, user.root / "project" / out)
    words = [word.replace("@", str(user.root / "project" / out)) for word in command.split()]
    with pytest.raises(UsageError, match="is one of the inputs"):
        user.mm(*words)
    assert scan.read_bytes() == b"pixels"
