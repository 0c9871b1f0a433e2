"""What a notebook is given to show."""

import base64
import re

from orchestrator.core.value_checks import AudioValue
from orchestrator.jobs import notebook
from orchestrator.jobs.results import Artifact, Audio, Result


def shown(**outputs):
    return Result(outputs, "m", next(iter(outputs)), dict, {})._repr_html_()


def test_an_image_and_a_sound_are_shown_as_they_are(tmp_path):
    (tmp_path / "a.png").write_bytes(b"pixels")
    sound = Audio(AudioValue(memoryview(bytes(8)), "<i2", (4,), 8000))
    text = shown(page=Artifact(tmp_path / "a.png"), sound=sound)
    found = dict(re.findall(r'<(img|audio controls) [^>]*base64,([^"]*)"', text))
    assert base64.b64decode(found["img"]) == b"pixels"
    assert base64.b64decode(found["audio controls"]) == sound.read()
    assert "</img>" not in text
    assert "</audio>" in text


def test_nothing_of_a_model_is_taken_for_html(tmp_path):
    evil = '<script>&"'
    (tmp_path / "a.svg").write_text(evil)
    (tmp_path / f"{evil[:3]}.txt").write_text(evil)
    text = shown(
        text=evil,
        rows=[{evil: evil}, {"n": [evil]}],
        json={evil: evil},
        drawing=Artifact(tmp_path / "a.svg", "image/svg+xml"),
        named=Artifact(tmp_path / f"{evil[:3]}.txt", evil),
    )
    assert "<script" not in text
    assert "<img" not in text
    assert "<td>&lt;script&gt;&amp;&quot;</td>" in text


def test_what_is_large_is_named_and_what_is_gone_is_said(tmp_path):
    with (tmp_path / "a.png").open("wb") as stream:
        stream.truncate(notebook.MAX_BYTES + 1)
    text = shown(
        image=Artifact(tmp_path / "a.png"),
        gone=Artifact(tmp_path / "b.png"),
        text="x" * 10**6,
        rows=[{"a": "y" * 10**5}] * 1000,
        many=[{str(n): n for n in range(1000)}],
        empty=[],
    )
    assert "<img" not in text
    assert "b.png" in text
    assert "990,000 characters more" in text
    assert "950 rows more" in text
    assert len(text) < 30_000
