"""The page of a run: what its document says and, in a real browser, what it shows and plays."""

import base64
import io
import json
import struct
import textwrap
import wave
import zlib

import pytest
from PIL import Image

from tests import machine
from tests.integration.browser import Browser, Document

CHROMIUM = machine.browser()

PAINTER = """
    import array
    def load(context): ...
    def run(model, job, *, image):
        text = open(image, "rb").read().split(b"tEXtwords\\0", 1)[1].split(b"\\xff", 1)[0].decode()
        if text == "fail":
            raise ValueError("no day for <b>that</b>")
        sound = array.array("h", [n % 200 * 50 for n in range(4000)])
        return {"text": text, "sound": (sound, 8000), "data": {"a": [text]}}
"""

MANIFEST = """\
name: {name}
task: try-{name}
summary: Reads and hums
environment: {{python: ">=3.10", dependencies: []}}
inputs:
  image: {{type: image, required: true}}
outputs:
  text: {{type: text, primary: true}}
  sound: {{type: audio}}
  data: {{type: json}}
"""

PIPELINE = """\
name: hum
summary: Read <i>and</i> hum
inputs:
  images: {type: image, list: true, required: true}
steps:
  - id: read
    run: painter
    workers: 2
    foreach: "${{ inputs.images }}"
    with: {image: "${{ item }}"}
  - {id: plain, run: plain-text, foreach: "${{ steps.read.text }}", with: {markdown: "${{ item }}"}}
  - {id: all, run: join-audio, with: {audios: "${{ steps.read.sound }}"}}
outputs:
  sound: "${{ steps.all.audio }}"
  texts: "${{ steps.plain.text }}"
"""

HOSTILE = (
    "</pre></script><script>document.title='taken'</script><img src=x onerror=alert(1)> "
    "<style>body{display:none}</style> javascript:alert(1) \u202e& \" ' <!-- \x07 ]]>"
)


def picture(path, words, side=64):
    """Write a PNG with `words` in it; more than a few hundred pixels a side make it a large one."""
    import random

    noise = random.Random(words)
    rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    told = chunk(b"tEXt", b"words\0" + words.encode() + b"\xff")
    data = chunk(b"IDAT", zlib.compress(rows))
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    path.write_bytes(head + told + data + chunk(b"IEND", b""))
    return path


@pytest.fixture(scope="module")
def manifests(declare):
    directory = declare({"painter": textwrap.dedent(PAINTER)}, MANIFEST)
    (directory / "pipelines").mkdir()
    (directory / "pipelines" / "hum.yaml").write_text(PIPELINE)
    return directory


@pytest.fixture
def hum(mm, manifests):
    """Return a function that runs the pipeline over images."""

    def run(*images, **keywords):
        return mm("pipeline", "run", "hum", *images, "--manifests", manifests, "--keep-going",
                  "--json", **keywords)  # fmt: skip

    return run


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser, or None where there is none: then pages are checked by their document alone."""
    if not CHROMIUM:
        yield None
        return
    opened = Browser(CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def views(path, browser):
    """Open a page and return all that answer what it says."""
    if browser is None:
        return [Document(path)]
    browser.open(path)
    return [Document(path), browser]


def media(page, selector):
    """Return the files inside a page, in the order of the elements that a selector finds."""
    sources = page.attributes(selector, "src")
    assert all(source.startswith("data:") for source in sources)
    return [io.BytesIO(base64.b64decode(source.partition(";base64,")[2])) for source in sources]


def length(sound):
    """Return the seconds that a WAV file lasts."""
    with wave.open(sound) as opened:
        return opened.getnframes() / opened.getframerate()


def test_a_run_is_shown(hum, mm, browser, tmp_path):
    texts = ["first words", HOSTILE, "# Title\n\nthird words", "fail", "fifth words"]
    images = [picture(tmp_path / f"p{number}.png", text) for number, text in enumerate(texts, 1)]
    large = picture(tmp_path / "<large>.png", "on a large picture", side=900)
    run = hum(*images, large)
    assert run.code == 1, run
    told = json.loads(run.out)
    ended = mm("pipeline", "report", "-o", "page.html")
    assert ended.code == 0, ended
    assert ended.out == "page.html\n"
    assert told["run"] in ended.err

    for page in views(tmp_path / "page.html", browser):
        assert page.texts("head > title") == [f"hum · {told['run']}"]
        assert page.texts("script, link, base, iframe, object, [style]") == []
        assert [each for each in page.attributes("[href]", "href") if each[0] != "#"] == []
        items = [item for item in page.texts(".item") if ". " in item[:3]]
        assert len(items) == 6
        for text, item in zip([*texts[:3], "", texts[4], "on a large picture"], items, strict=True):
            # U+FFFD stands for a control character that no page can hold.
            assert text.replace("\x07", "\ufffd") in item
        assert "ValueError: no day for <b>that</b>" in items[3]
        assert page.texts(".soft")[0] == "Read <i>and</i> hum"
        (failure,) = page.texts(".failure")
        assert "no day for <b>that</b>" in failure
        (command,) = page.texts(".failure .command")
        assert command == told["failures"][0]["command"]
        assert command.startswith("mm run painter --image ")
        sizes = [Image.open(picture).width for picture in media(page, ".item img")]
        assert sizes == [64] * 5 + [720]
        assert set(page.attributes("img", "title")) == {None}
    if browser is None:
        return
    assert browser.complaints() == []
    assert browser.requests() == [(tmp_path / "page.html").as_uri()]
    assert browser.value("getComputedStyle(document.querySelector('.card')).borderRadius") == "10px"
    shown = browser.value(
        "(async () => { const them = [...document.querySelectorAll('.item img')];"
        " for (const each of them) { each.loading = 'eager'; await each.decode(); }"
        " return them.map(each => each.naturalWidth) })()"
    )
    assert shown == sizes


def test_its_sounds_can_be_played(hum, mm, browser, tmp_path):
    hum(*(picture(tmp_path / f"p{number}.png", f"words {number}") for number in range(2)))
    mm("pipeline", "report", "-o", "page.html")
    expected = [1.5, 0.5, 0.5]  # the joined one, with a pause, and each alone
    for page in views(tmp_path / "page.html", browser):
        assert [length(sound) for sound in media(page, "audio")] == expected
    if browser is None:
        return
    durations = browser.value(
        "Promise.all([...document.querySelectorAll('audio')].map(each => each.duration ? "
        "each.duration : new Promise(done => each.onloadedmetadata = () => done(each.duration))))"
    )
    assert durations == expected
    played = browser.value(
        "new Promise(async done => { const it = document.querySelector('audio'); it.muted = true;"
        " it.ontimeupdate = () => it.currentTime > 0 && done(it.currentTime); await it.play(); })"
    )
    assert played > 0
    assert browser.complaints() == []


def test_its_pictures_are_where_they_should_be(hum, mm, browser, tmp_path):
    hum(*(picture(tmp_path / f"p{number}.png", f"line {number}") for number in range(4)))
    mm("pipeline", "report", "-o", "page.html")
    for page in views(tmp_path / "page.html", browser):
        nodes = ["images", "read", "plain", "all", "sound", "texts"]
        assert page.texts(".graph .name") == nodes
        assert {"bar run", "bar load"} <= set(page.attributes(".timeline .bar", "class"))
        assert len(page.texts(".timeline .track")) >= 4
    if browser is None:
        return
    bars = browser.value(
        "[...document.querySelectorAll('.timeline .bar')].map(each => {"
        " const at = each.getBoundingClientRect(),"
        " within = document.querySelector('.timeline').getBoundingClientRect();"
        " return [at.width > 0 && at.height > 0,"
        " at.left >= within.left - 1 && at.right <= within.right + 1] })"
    )
    assert all(seen and inside for seen, inside in bars)
    for width in (1200, 420):
        for scheme in ("light", "dark"):
            shot = tmp_path / f"{scheme}-{width}.png"
            browser.screenshot(shot, width, 900, scheme)
            assert shot.stat().st_size > 5000
        assert browser.value("document.documentElement.scrollWidth") <= width


def test_what_does_not_fit_is_told(hum, mm, browser, tmp_path):
    images = [picture(tmp_path / f"p{number}.png", f"n {number}") for number in range(4)]
    hum(*images)
    ended = mm(
        "pipeline", "report", "hum", "-o", "page.html", "--max-size", "40 KB", "--items", "2"
    )
    assert ended.code == 0, ended
    for page in views(tmp_path / "page.html", browser):
        (notice,) = page.texts(".notice")
        assert "images and sounds left out" in notice
        assert "2 items left out" in notice
        assert len(page.texts("article[id]")) == 2
    assert (tmp_path / "page.html").stat().st_size < 120_000


def test_a_run_is_shown_when_its_results_are_gone(hum, mm, browser, tmp_path):
    image = picture(tmp_path / "p.png", "gone")
    home = {"MM_HOME": str(tmp_path / "home")}
    hum(image, variables=home)
    for record in (tmp_path / "home" / "results" / "steps").rglob("*.json"):
        record.unlink()
    image.unlink()
    ended = mm("pipeline", "report", "-o", "page.html", variables=home)
    assert ended.code == 0, ended
    for page in views(tmp_path / "page.html", browser):
        (body,) = page.texts("body")
        assert "its result is no longer kept" in body
        assert "its image is gone" in body


def test_runs_are_listed_and_named(hum, mm, tmp_path):
    home = {"MM_HOME": str(tmp_path / "home")}
    nothing = mm("pipeline", "report", variables=home)
    assert nothing.code == 2
    assert "no run of a pipeline is recorded" in nothing.sentence
    first = json.loads(hum(picture(tmp_path / "1.png", "one"), variables=home).out)["run"]
    second = json.loads(hum(picture(tmp_path / "2.png", "two"), variables=home).out)["run"]
    listed = mm("pipeline", "runs", variables=home).out.splitlines()
    assert [line.split()[:3] for line in listed] == [
        [second, "hum", "done"], [first, "hum", "done"],
    ]  # fmt: skip
    assert mm("pipeline", "report", first, variables=home).out == f"hum-{first}.html\n"
    assert (
        b"<!DOCTYPE html>" in mm("pipeline", "report", "-o", "-", variables=home, binary=True).out
    )
    wrong = mm("pipeline", "report", "nothing", variables=home)
    assert wrong.code == 2
    assert "there is no run 'nothing'; run: mm pipeline runs" in wrong.sentence
