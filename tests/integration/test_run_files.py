"""`mm run` over several files and the pages of PDF files."""

import json
import os
import signal
import subprocess

import pytest
from PIL import Image

from tests.integration.conftest import MM
from tests.pdf_files import make_pdf, with_text

MANIFEST = """\
name: {name}
task: try-{name}
summary: Says how large an image is
environment: {{python: ">=3.10", dependencies: []}}
inputs:
  image: {{type: image, required: true, help: An image}}
  unit: {{type: choice, choices: [px, dots], default: px, help: What it is measured in}}
outputs:
  text: {{type: text, primary: true}}
  size: {{type: json}}
  copy: {{type: file}}
"""

RUNNER = """
    import shutil, struct, time

    def load(context): ...

    def run(model, job, *, image, unit):
        data = image.read_bytes()
        if data[1:4] != b"PNG":
            job.reject(f"{image.name} is not an image")
        width, height = struct.unpack(">II", data[16:24])
        if width == 400:
            job.log("waiting")
        while width == 400 and not job.cancelled:
            time.sleep(0.01)
        copy = shutil.copy(image, job.directory)
        return {"text": f"{width} x {height} {unit}", "size": [width, height], "copy": copy}
"""


@pytest.fixture(scope="module")
def manifests(declare):
    return declare({"measurer": RUNNER}, MANIFEST)


@pytest.fixture
def measure(mm, manifests, tmp_path):
    Image.new("L", (30, 40)).save(tmp_path / "a.png")
    make_pdf(tmp_path / "doc.pdf", (72, 36), (36, 72), (18, 18))
    return lambda *words, **more: mm("run", "measurer", *words, "--manifests", manifests, **more)


def test_files_and_pages_come_in_order_with_a_page_break_between(measure):
    ended = measure("a.png", "doc.pdf")
    pages = ["30 x 40 px\n", "200 x 100 px\n", "100 x 200 px\n", "50 x 50 px\n"]
    assert (ended.code, ended.out) == (0, "\f".join(pages)), ended
    assert measure("--image", "doc.pdf#page=2-3").out == "\f".join(pages[2:])
    assert measure("doc.pdf#page=3-", "a.png").out == "\f".join([pages[3], pages[0]])


def test_one_page_is_run_as_an_image_is(measure, tmp_path):
    ended = measure("--image", "doc.pdf#page=3", "--unit", "dots", "-o", "copy=page.png")
    assert (ended.code, ended.out) == (0, "50 x 50 dots\n"), ended
    with Image.open(tmp_path / "page.png") as page:
        assert page.size == (50, 50)
    for more in ((), ("-o", "size=size.json")):
        shown = json.loads(measure("doc.pdf#page=3", "--json", *more).out)
        assert shown["input"] == "doc.pdf#page=3"


def test_a_pdf_comes_on_standard_input(measure, tmp_path):
    ended = measure("-", "--json", stdin=(tmp_path / "doc.pdf").read_bytes())
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["input"] for line in lines] == ["-#page=1", "-#page=2", "-#page=3"]
    assert [line["outputs"]["size"] for line in lines] == [[200, 100], [100, 200], [50, 50]]
    assert all(line["receipt"]["identity"] and line["outcome"] == "done" for line in lines)


def test_one_that_fails_leaves_the_others(measure, tmp_path):
    (tmp_path / "b.png").write_bytes(b"no image")
    ended = measure("a.png", "b.png", "doc.pdf#page=3")
    assert (ended.code, ended.out) == (1, "30 x 40 px\n\f\f50 x 50 px\n"), ended
    assert "failed: b.png: measurer: b.png is not an image" in ended.err
    assert ended.sentence == "mm: 1 of 3 items failed"
    lines = measure("a.png", "b.png", "--json").out.splitlines()
    failed = json.loads(lines[1])
    assert (failed["outcome"], failed["error"]["exit_code"], len(lines)) == ("rejected", 2, 2)


def test_outputs_of_many_are_texts_with_breaks_and_lists(measure, tmp_path):
    ended = measure("doc.pdf", "-o", "out.txt", "-o", "size=sizes.json")
    assert (ended.code, ended.out) == (0, ""), ended
    assert (tmp_path / "out.txt").read_text() == "200 x 100 px\n\f100 x 200 px\n\f50 x 50 px\n"
    sizes = json.loads((tmp_path / "sizes.json").read_text())
    assert sizes == [[200, 100], [100, 200], [50, 50]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("doc.pdf", "-o", "copy=page.png"), "run: mm batch measurer FILES -o OUT.jsonl"),
        (("doc.pdf#page=4",), "doc.pdf#page=4: there is no such page; the last one is 3"),
        (("damaged.pdf",), "damaged.pdf: is no PDF that can be read"),
        (("empty.pdf",), "empty.pdf: the file is empty"),
        (("huge.pdf",), "at 200 dpi it has more than 100 megapixels"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_cannot_be_done_is_one_sentence(measure, tmp_path, words, said):
    (tmp_path / "damaged.pdf").write_bytes(b"%PDF-1.4\nnothing more")
    (tmp_path / "empty.pdf").touch()
    make_pdf(tmp_path / "huge.pdf", (9000, 9000))
    ended = measure(*words)
    assert (ended.code, ended.out) == (2, ""), ended
    assert said in ended.sentence


def test_the_text_layer_is_taken_where_it_is_asked_for(measure, tmp_path):
    with_text(tmp_path / "text.pdf", "Dear reader", "", "The end")
    assert measure("text.pdf").out.count(" px") == 3
    ended = measure("text.pdf", "--text-layer")
    assert (ended.code, ended.out) == (0, "Dear reader\n\f200 x 200 px\n\fThe end\n"), ended
    assert "the text of 2 of 3 items is that in the file" in ended.err
    shown = json.loads(measure("text.pdf#page=1", "--text-layer", "--json").out)
    assert (shown["model"], shown["outputs"]) == (None, {"text": "Dear reader"})


@pytest.mark.parametrize("out", ["-", "out.txt"])
def test_an_interrupt_in_the_middle_keeps_what_is_done(
    measure, manifests, workplace, tmp_path, out
):
    make_pdf(tmp_path / "slow.pdf", (72, 36), (36, 72), (144, 36), (72, 72))
    # A shell has its jobs in the background ignore interrupts, and they have theirs.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [*MM, "run", "measurer", "slow.pdf", "-o", out, "--manifests", str(manifests)]
    ran = subprocess.Popen(
        command,
        env={**os.environ, **workplace},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    said = ""
    while "measurer: waiting" not in said and (line := ran.stderr.readline()):
        said += line
    ran.send_signal(signal.SIGINT)
    printed, rest = ran.communicate(timeout=60)
    assert ran.returncode == 130, (printed, said, rest)
    assert "mm: interrupted; 2 of 4 items done" in rest
    kept = printed if out == "-" else (tmp_path / "out.partial.txt").read_text()
    assert kept == "200 x 100 px\n\f100 x 200 px\n"
