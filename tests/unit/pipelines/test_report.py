"""The parts of a run's page: escaping, images scaled down, bars, and the graph's places."""

import io
import json
import os
import re
import wave
import zlib
from html import unescape
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from PIL import Image

from orchestrator.core.pipelines.cache_key import Recipe
from orchestrator.pipelines.report import graph_layout
from orchestrator.pipelines.report.graph_layout import shortened
from orchestrator.pipelines.report.media import Media, scaled
from orchestrator.pipelines.report.page import environment, page
from orchestrator.pipelines.report.page_view import PageLimits
from orchestrator.pipelines.report.timeline import Bar, Rows, fewer, lay_out, merged, ticks
from orchestrator.pipelines.result_store import ResultStore
from orchestrator.pipelines.run_history import Run
from orchestrator.pipelines.step_values import Value


@given(st.text())
def test_no_text_becomes_markup(words):
    template = environment().from_string('<p title="{{ words }}">{{ words }}</p>')
    shown = re.fullmatch('<p title="(.*)">(.*)</p>', template.render(words=words), re.DOTALL)
    assert shown[1] == shown[2]
    assert not re.search("[<>\"']", shown[1])
    assert re.fullmatch("(?:[^&]|&(?:amp|lt|gt|#34|#39);)*", shown[1], re.DOTALL)
    assert "\0" not in shown[1]
    shown[1].encode("utf-8")  # raises for half of a surrogate pair


def test_a_long_sound_is_compressed_where_that_makes_it_fit(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 24000, 0, "NONE", ""))
        sound.writeframes(bytes(480_000))
    media = Media(200_000)
    assert media.sound(tmp_path / "a.wav").url.startswith("data:audio/mpeg;base64,")
    assert 0 < media.spent < 200_000
    assert "left out for want of room" in Media(100_000).sound(tmp_path / "a.wav").why
    (tmp_path / "b.wav").write_bytes(bytes(200_000))  # it cannot be encoded
    assert Media(300_000).sound(tmp_path / "b.wav").url.startswith("data:audio/wav;base64,")


def test_a_template_escapes_once_and_takes_no_unknown_name():
    template = environment().from_string(
        "{% set b %}<b>{{ 1 < 2 }} &</b>{% endset %}{{ b }}{{ c }}"
    )
    assert template.render(c="&") == "<b>True &</b>&amp;"
    with pytest.raises(UndefinedError):
        template.render()


def image(mode, size, path, **options):
    """Write an image whose left half is black and right half white."""
    made = Image.new("RGB", size, "white")
    made.paste((0, 0, 0), (0, 0, size[0] // 2, size[1]))
    made.convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("RGB", "x.png"),
        ("L", "x.png"),
        ("1", "x.png"),
        ("P", "x.png"),
        ("RGBA", "x.png"),
        ("RGB", "x.jpg"),
        ("L", "x.jpg"),
    ],
)
def test_an_image_is_scaled_down(tmp_path, mode, name):
    path = image(mode, (1000, 500), tmp_path / name)
    with Image.open(io.BytesIO(scaled(path.read_bytes(), 100))) as small:
        assert small.size == (100, 50)
        grey = small.convert("L")
        assert grey.getpixel((10, 25)) < 20
        assert grey.getpixel((90, 25)) > 235


def test_colours_stay(tmp_path):
    Image.new("RGB", (300, 300), (200, 30, 90)).save(tmp_path / "x.png")
    with Image.open(io.BytesIO(scaled((tmp_path / "x.png").read_bytes(), 100))) as small:
        assert all(
            abs(a - b) < 3 for a, b in zip(small.getpixel((50, 50)), (200, 30, 90), strict=True)
        )


def test_sixteen_bits_become_eight(tmp_path):
    Image.new("I;16", (300, 300), 30_000).save(tmp_path / "x.png")
    with Image.open(io.BytesIO(scaled((tmp_path / "x.png").read_bytes(), 100))) as small:
        assert abs(small.convert("L").getpixel((50, 50)) - 30_000 / 256) < 3


@pytest.mark.parametrize("mode", ["1", "P"])
def test_black_and_white_become_grey(tmp_path, mode):
    stripes = Image.new("L", (400, 400), "white")
    for column in range(0, 400, 2):
        stripes.paste(0, (column, 0, column + 1, 400))
    stripes.convert(mode).save(tmp_path / "x.png")
    with Image.open(io.BytesIO(scaled((tmp_path / "x.png").read_bytes(), 100))) as small:
        assert 100 < small.convert("L").getpixel((50, 50)) < 155


def test_an_image_is_never_made_larger(tmp_path):
    path = image("L", (40, 20), tmp_path / "x.png")
    with Image.open(io.BytesIO(scaled(path.read_bytes(), 100))) as same:
        assert same.size == (40, 20)


def test_an_image_that_lies_on_its_side_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: the first row is the right side
    path = image("RGB", (400, 200), tmp_path / "x.jpg", exif=exif)
    with Image.open(io.BytesIO(scaled(path.read_bytes(), 100))) as small:
        assert small.size == (50, 100)


@pytest.mark.parametrize("cut", [0, 5, 20, 60, 200])
def test_what_is_damaged_or_of_another_kind_is_not_scaled(tmp_path, cut):
    for name in ("x.png", "x.jpg"):
        data = image("RGB", (100, 100), tmp_path / name).read_bytes()
        found = scaled(data[:cut], 50)
        assert found is None or len(data) <= cut
    assert scaled(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 50) is None


def test_a_bomb_is_not_drawn(tmp_path):
    data = bytearray(image("L", (100, 100), tmp_path / "x.png").read_bytes())
    data[16:24] = (200_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    assert scaled(bytes(data), 50) is None


def test_an_image_with_too_many_pixels_is_not_drawn(tmp_path):
    Image.new("1", (10_000, 9_000)).save(tmp_path / "x.png")
    assert scaled((tmp_path / "x.png").read_bytes(), 50) is None


def test_what_does_not_fit_is_counted(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(b"x" * 900)
    media = Media(2000)
    assert media.sound(path).url.startswith("data:audio/wav;base64,eHh4")
    assert "left out for want of room" in media.sound(path).why
    assert (media.spent, media.left_out, media.left_out_size) == (1200, 1, 900)
    assert "is gone" in media.image(tmp_path / "none.png").why
    strange = tmp_path / "x.svg"
    strange.write_text("<svg onload=alert(1)>")
    assert not media.image(strange).url


def test_a_large_image_is_embedded_as_a_small_one(tmp_path):
    path = tmp_path / "x.bmp"
    Image.effect_noise((800, 800), 60).save(path)
    embedded = Media(2_000_000).image(path)
    assert embedded.url.startswith("data:image/webp;base64,")
    assert len(embedded.url) < path.stat().st_size
    path.write_bytes(b"no image" * 300_000)
    assert "an image of 2.4 MB, left out" in Media(9_000_000).image(path).why
    os.truncate(path, 1 << 42)  # more than there is memory for
    assert "an image of 4.4 TB, left out" in Media(9_000_000).image(path).why


def test_bars_too_thin_to_see_become_one():
    thin = [Bar(n / 100, n / 100 + 0.005, "run", f"{n}") for n in range(50)]
    (one,) = merged(thin, 0.02)
    assert (one.began, one.ended) == (0.0, 0.495)
    assert one.title == "50 short parts, works on an item, 495 ms"
    assert list(merged(thin, 0.001)) == thin
    wide = Bar(0.5, 2.0, "run", "wide")
    assert list(merged([*thin, wide], 0.02))[1:] == [wide]
    assert list(merged([thin[0], thin[9]], 0.02)) == [thin[0], thin[9]]
    other = thin[1]._replace(kind="failed")
    assert len(list(merged([thin[0], other, thin[2]], 0.02))) == 3


def test_of_very_many_bars_each_moment_shows_what_took_most_of_it():
    bars = []
    for n in range(5000):
        kind = "run" if n < 2500 else "failed"
        bars += [Bar(n, n + 0.7, kind, ""), Bar(n + 0.7, n + 1.0, "transfer", "")]
    few = fewer(bars, 5000.0)
    assert [bar.kind for bar in few] == ["run", "failed"]
    assert (few[0].began, few[1].ended) == (0.0, 5000.0)
    assert abs(few[0].ended - 2500) < 10
    assert fewer(bars[:100], 5000.0) == list(merged(bars[:100], 5000 / 600))


@given(st.floats(1e-3, 1e6))
def test_a_scale_has_some_round_ticks(length):
    found = ticks(length)
    assert 3 <= len(found) <= 8
    assert found[0] == 0
    assert found[-1] <= length


def test_the_queue_shows_where_items_waited():
    rows = Rows("read", [], [[Bar(0, 10, "run", "x")]], [(2.0, 1), (4.0, 3), (6.0, 0)])
    waiting = [each for each in lay_out([rows], 10.0).bars if each.bar.kind == "queue"]
    assert [(each.x, each.width) for each in waiting] == [
        ("20.000%", "20.000%"),
        ("40.000%", "20.000%"),
    ]
    assert waiting[0].height < waiting[1].height


def test_a_line_crosses_no_node():
    def step(number):
        takes = [f"steps.s{number - 1}"] if number else ["inputs.x"]
        return {"id": f"s{number}", "name": f"s{number}", "foreach": None, "takes": takes}

    steps = [step(number) for number in range(4)]
    outputs = {"early": {"step": "s0", "type": "text"}, "late": {"step": "s3", "type": "text"}}
    document = {"name": "p", "inputs": {"x": "text"}, "steps": steps, "outputs": outputs}
    nodes = graph_layout.lay_out(document, {}, ()).nodes
    columns = {}
    for node in nodes.values():
        columns.setdefault(node.column, []).append((node.y, node.y + node.height))
    assert len(columns) == 6
    for spans in columns.values():
        spans.sort()
        assert all(one[1] < other[0] for one, other in pairwise(spans))
    assert "steps.s0@2" in nodes


def test_a_long_name_is_cut_in_the_middle():
    assert shortened("abcdefghij", 7) == "abc…hij"


STEP = {"id": "read", "name": "reader", "foreach": "inputs.pages", "list": "pages", "takes": []}
GRAPH = {"name": "p", "summary": "", "inputs": {}, "steps": [STEP], "outputs": {}}


@pytest.mark.parametrize("facts", [{}, {"graph": GRAPH}])
def test_a_page_is_made_of_what_is_recorded(tmp_path, facts):
    good = {"step": "read", "index": 0, "label": "1.png", "status": "done", "began": 1.0}
    good |= {"seconds": 2.0, "timings": {"run": 2.0}, "warnings": ["it is <silent>"]}
    bad = {**good, "index": 1, "label": "2.png", "status": "failed", "error": "no <text>"}
    lines = "".join(f"{json.dumps(each)}\n" for each in (good, bad))
    (tmp_path / "items.jsonl").write_text(lines)
    run = Run(tmp_path, {"pipeline": "p", "began": 1.0, "outcome": "failed: 1 item", **facts})
    html = page(run, ResultStore(tmp_path / "results")).decode()
    assert html.startswith("<!DOCTYPE html>")
    assert html.count("no &lt;text&gt;") == (2 if facts else 1)
    if facts:
        assert '<p class="soft">it is &lt;silent&gt;</p>' in html
        assert "its result is no longer kept" in html
    else:
        assert "recorded by an older mm, without its graph" in html


def test_what_is_doubtful_comes_first_with_the_command_for_another_model(tmp_path):
    store = ResultStore(tmp_path / "results")
    lines, pages = [], []
    for number, doubtful in enumerate((False, True, False)):
        quality = Value("json", {"score": 0.5, "doubtful": doubtful})
        recipe = Recipe({"model": "a"}, {"n": number})
        key = store.put(recipe, {"text": Value("text", "x"), "quality": quality}, {})
        label = f"scans/{number}.png"
        entry = {"step": "read", "index": number, "label": label, "status": "done", "began": 1.0}
        lines.append(json.dumps({**entry, "seconds": 2.0, "key": key}))
        pages.append({"type": "image", "path": str(tmp_path / f"my {number}.png"), "label": label})
    (tmp_path / "items.jsonl").write_text("\n".join(lines) + "\n")
    step = {**STEP, "run": "ocr", "foreach": "inputs.images", "list": "images"}
    step |= {"inputs": {"image": "image"}, "outputs": {"text": "text", "quality": "json"}}
    (tmp_path / "inputs.json").write_text(json.dumps({"images": pages}))
    facts = {"pipeline": "p", "began": 1.0, "outcome": "done"}
    run = Run(tmp_path, {**facts, "graph": {**GRAPH, "steps": [step]}})
    html = unescape(page(run, store).decode())
    numbers = re.findall(r"<bdi>(\d)\. scans", html)
    assert numbers == ["2", "1", "3"]
    assert html.count("doubtful</span>") == 1
    assert f"mm run ocr --model MODEL --image '{tmp_path}/my 1.png'" in html
    few = page(run, store, PageLimits(items=1)).decode()
    assert re.findall(r"<bdi>(\d)\. scans", few) == ["2", "1"]
