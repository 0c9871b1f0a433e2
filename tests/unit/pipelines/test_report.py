"""The parts of a run's page: escaping, images scaled down, bars, and the graph's places."""

import io
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.pipelines.report import graph
from orchestrator.pipelines.report.html import join, tag, text
from orchestrator.pipelines.report.media import Media
from orchestrator.pipelines.report.scaling import scaled
from orchestrator.pipelines.report.timeline import Bar, Rows, fewer, merged, picture, ticks
from orchestrator.pipelines.report.words import seconds, shorter


@given(st.text())
def test_no_text_becomes_markup(words):
    shown = text(words)
    assert not re.search("[<>\"']", shown)
    assert re.fullmatch("(?:[^&]|&(?:amp|lt|gt|quot|#x27);)*", shown, re.DOTALL)
    assert "\0" not in shown
    shown.encode("utf-8")  # raises for half of a surrogate pair
    assert tag("p", words, title=words) == f'<p title="{shown}">{shown}</p>'


def test_parts_are_joined_and_escaped_once():
    inner = tag("b", "1 < 2")
    assert join(inner, None, [3, " & ", [inner]]) == "<b>1 &lt; 2</b>3 &amp; <b>1 &lt; 2</b>"
    assert tag("audio", controls=True, src="x", class_=None, muted=False) == (
        '<audio controls src="x"></audio>'
    )
    assert tag("img", alt="") == '<img alt="">'


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
        ("RGB", "x.jpg"),
        ("L", "x.jpg"),
    ],
)
def test_an_image_is_scaled_down(tmp_path, mode, name):
    path = image(mode, (1000, 500), tmp_path / name)
    with Image.open(io.BytesIO(scaled(path, 100))) as small:
        assert small.size == (100, 50)
        grey = small.convert("L")
        assert grey.getpixel((10, 25)) < 20
        assert grey.getpixel((90, 25)) > 235


def test_colours_stay(tmp_path):
    Image.new("RGB", (300, 300), (200, 30, 90)).save(tmp_path / "x.png")
    with Image.open(io.BytesIO(scaled(tmp_path / "x.png", 100))) as small:
        assert all(
            abs(a - b) < 3 for a, b in zip(small.getpixel((50, 50)), (200, 30, 90), strict=True)
        )


def test_an_image_is_never_made_larger(tmp_path):
    with Image.open(io.BytesIO(scaled(image("L", (40, 20), tmp_path / "x.png"), 100))) as same:
        assert same.size == (40, 20)


@pytest.mark.parametrize("cut", [0, 5, 20, 60, 200])
def test_what_is_damaged_or_of_another_kind_is_not_scaled(tmp_path, cut):
    for name in ("x.png", "x.jpg"):
        path = image("RGB", (100, 100), tmp_path / name)
        path.write_bytes(path.read_bytes()[:cut])
        found = scaled(path, 50)
        assert found is None or found.startswith(b"\x89PNG")
    image("RGBA", (100, 100), tmp_path / "alpha.png")
    assert scaled(tmp_path / "alpha.png", 50) is None


def test_a_bomb_is_not_drawn(tmp_path):
    path = image("L", (100, 100), tmp_path / "x.png")
    data = bytearray(path.read_bytes())
    data[16:24] = (200_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    assert scaled(path, 50) is None


def test_what_does_not_fit_is_counted(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(b"x" * 900)
    media = Media(2000)
    assert "<audio" in media.sound(path, "x")
    assert "left out for want of room" in media.sound(path, "x")
    assert (media.spent, media.left_out, media.left_out_size) == (1200, 1, 900)
    assert "is gone" in media.image(tmp_path / "none.png", "x")
    strange = tmp_path / "x.svg"
    strange.write_text("<svg onload=alert(1)>")
    assert "<img" not in media.image(strange, "x")


def test_bars_too_thin_to_see_become_one():
    thin = [Bar(n / 100, n / 100 + 0.005, "run", f"{n}") for n in range(50)]
    (one,) = merged(thin, 0.02)
    assert (one.began, one.ended) == (0.0, 0.495)
    assert one.title == "50 short parts, works on an item, 495 ms"
    assert list(merged(thin, 0.001)) == thin
    wide = Bar(0.5, 2.0, "run", "wide")
    assert list(merged([*thin, wide], 0.02))[1:] == [wide]
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
    drawn = picture([rows], 10.0)
    places = re.findall(r'x="([0-9.]+)%" width="([0-9.]+)%"[^>]* class="bar queue"', drawn)
    assert [(round(float(x)), round(float(w))) for x, w in places] == [(20, 20), (40, 20)]


def test_a_line_crosses_no_node():
    def step(number):
        takes = [f"steps.s{number - 1}"] if number else ["inputs.x"]
        return {"id": f"s{number}", "name": f"s{number}", "foreach": None, "takes": takes}

    steps = [step(number) for number in range(4)]
    outputs = {"early": {"step": "s0", "type": "text"}, "late": {"step": "s3", "type": "text"}}
    sketch = {"name": "p", "inputs": {"x": "text"}, "steps": steps, "outputs": outputs}
    nodes = graph._nodes(sketch, {})
    graph._with_bends(nodes)
    graph._place(nodes)
    columns = {}
    for node in nodes.values():
        columns.setdefault(node.column, []).append((node.y, node.y + node.height))
    assert len(columns) == 6
    for spans in columns.values():
        spans.sort()
        assert all(one[1] < other[0] for one, other in pairwise(spans))
    assert "steps.s0@2" in nodes


def test_words():
    assert [seconds(n) for n in (0.0004, 0.05, 1.239, 75, 7500)] == [
        "0.4 ms", "50 ms", "1.24 s", "1 min 15 s", "2 h 5 min",
    ]  # fmt: skip
    assert shorter("abcdefghij", 7) == "abc…hij"
