"""PDF files read in their own process: what they look like, and what they may cost."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.client.supervisors import start_time, wait_gone
from orchestrator.errors import Cancelled, EnvironmentFailure, TimedOut, UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.steps import Progress, builtin
from orchestrator.steps.pdf_process import ROOM
from orchestrator.steps.pdf_renderer import Limits, PdfRenderer, start
from tests.pdf_files import make_pdf, many_pages, memory_bomb, time_bomb

SOON = 30.0

SMALL = Limits(memory=150_000_000, seconds=2.0, pixels=4_000_000, pages=20)


@pytest.fixture
def renderer():
    with PdfRenderer(SMALL) as renderer:
        yield renderer


@pytest.fixture
def cancellation():
    cancellation = Cancellation()
    yield cancellation
    cancellation.close()


def test_pages_of_a_pdf_are_images_with_their_numbers(tmp_path, cancellation):
    pdf = make_pdf(tmp_path / "doc.pdf", (144, 72), (72, 72))
    image = tmp_path / "scan.png"
    image.write_bytes(b"an image")
    (tmp_path / "work").mkdir()
    values = {"files": [pdf, image], "dpi": 72}
    made = list(builtin("split-pages").run(values, tmp_path / "work", cancellation))
    assert made[::2] == [Progress(number, 3) for number in (1, 2, 3)]
    found = made[1::2]
    assert [each.label for each in found] == [f"{pdf}#page=1", f"{pdf}#page=2", str(image)]
    assert found[2].value == image
    with Image.open(found[0].value) as page:
        assert (page.format, page.mode, page.size) == ("PNG", "RGB", (144, 72))
        assert page.getpixel((0, 71)) == (0, 0, 0)
        assert page.getpixel((0, 0)) == (255, 255, 255)


def test_a_page_is_drawn_at_the_density_that_is_asked_for(tmp_path, renderer):
    pdf = make_pdf(tmp_path / "döc \udcff.pdf", (72, 144))
    renderer.render(pdf, 1, tmp_path / "page.png", dpi=100)
    with Image.open(tmp_path / "page.png") as page:
        assert page.size == (100, 200)
    assert renderer.pages(pdf) == 1


@pytest.mark.parametrize(
    ("page", "dpi", "sentence"),
    [(2, 72, "there is no such page; the last one is 1"), (1, 600, "more than 4 megapixels")],
)
def test_a_page_that_cannot_be_drawn_is_refused(tmp_path, renderer, page, dpi, sentence):
    pdf = make_pdf(tmp_path / "doc.pdf", (1440, 1440))
    with pytest.raises(UsageError, match=sentence) as caught:
        renderer.render(pdf, page, tmp_path / "page.png", dpi=dpi)
    assert caught.value.where == f"{pdf}#page={page}"


def test_a_page_with_too_many_pixels_is_refused_with_what_can_be_done_there(
    tmp_path, renderer, cancellation
):
    pdf = make_pdf(tmp_path / "doc.pdf", (9000, 9000))
    with pytest.raises(UsageError, match="save the page as a smaller image") as caught:
        renderer.render(pdf, 1, tmp_path / "page.png")
    assert "dpi" not in caught.value.fix
    step = builtin("split-pages").run({"files": [pdf]}, tmp_path, cancellation)
    with pytest.raises(UsageError, match=r"--set STEP\.dpi=N"):
        list(step)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.write_bytes(b"%PDF-1.4\nnothing more"), "is no PDF that can be read"),
        (partial(many_pages, count=21), "has 21 pages, and 20 are the most"),
        (lambda path: path, "is no PDF that can be read"),
    ],
    ids=["damaged", "too many", "missing"],
)
def test_a_document_that_cannot_be_split_is_refused(tmp_path, renderer, make, sentence):
    make(tmp_path / "doc.pdf")
    with pytest.raises(UsageError, match=sentence):
        renderer.pages(tmp_path / "doc.pdf")


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (partial(memory_bomb, side=700), UsageError, "page=1: needs more than 143 MiB of memory"),
        (time_bomb, TimedOut, "page=1: takes more than 2 seconds"),
    ],
    ids=["memory", "time"],
)
def test_a_page_that_costs_too_much_fails_alone(tmp_path, renderer, make, error, sentence):
    bomb, good = make(tmp_path / "bomb.pdf"), make_pdf(tmp_path / "good.pdf", (72, 72))
    renderer.render(good, 1, tmp_path / "1.png")
    with pytest.raises(error, match=sentence):
        renderer.render(bomb, 1, tmp_path / "2.png")
    renderer.render(good, 1, tmp_path / "3.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "3.png").read_bytes()


def test_what_the_memory_check_cannot_see_in_time_the_kernel_refuses(renderer, tmp_path):
    renderer.pages(make_pdf(tmp_path / "doc.pdf", (72, 72)))
    table = Path(f"/proc/{pid_of(renderer)}/limits")
    lines = table.read_text().splitlines() if table.exists() else []  # Linux has it
    for line in lines:
        if line.startswith("Max address space"):
            assert str(SMALL.memory + ROOM) in line
        if line.startswith("Max core file size"):
            assert line.split()[4] == "0"


@pytest.mark.parametrize(
    ("ending", "error", "sentence"),
    [
        ("os.kill(os.getpid(), 11)", UsageError, "it ended its process: SIGSEGV"),
        ("sys.exit('no library')", EnvironmentFailure, "ended with exit status 1"),
        ("os.close(1); time.sleep(0.2); sys.exit(3)", EnvironmentFailure, "exit status 3"),
        ("os.close(1); time.sleep(60)", UsageError, "it ended its process: SIGTERM"),
        ("print('x' * 10_000)", UsageError, "ended its process|exit status 0"),
    ],
    ids=["crash", "fault", "slow end", "silence", "chatter"],
)
def test_a_process_that_ends_is_no_fault_of_ours(tmp_path, ending, error, sentence):
    program = tmp_path / "program.py"
    program.write_text(f"import os, sys, time\nsys.stdin.readline()\n{ending}\ntime.sleep(60)\n")
    with (
        PdfRenderer(SMALL, partial(start, program=program)) as renderer,
        pytest.raises(error, match=sentence) as caught,
    ):
        renderer.pages(tmp_path / "doc.pdf")
    assert caught.value.detail.strip() == ("no library" if "library" in ending else "")


READER = """
import signal, sys
from pathlib import Path
from orchestrator.steps.pdf_renderer import PdfRenderer
signal.signal(signal.SIGINT, signal.default_int_handler)
good, bomb = map(Path, sys.argv[1:])
with PdfRenderer() as renderer:
    renderer.pages(good)
    print(renderer._process._process.pid, flush=True)
    renderer.render(bomb, 1, good.with_suffix(".png"))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_reader_is_ended(tmp_path, number):
    files = make_pdf(tmp_path / "good.pdf", (72, 72)), time_bomb(tmp_path / "bomb.pdf")
    with subprocess.Popen(
        [sys.executable, "-c", READER, *map(str, files)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as reader:
        pid = int(reader.stdout.readline())
        began = start_time(pid)
        assert began
        os.kill(reader.pid, number)
        assert wait_gone(pid, began, SOON)
        reader.wait(SOON)


def test_a_step_that_is_asked_to_stop_draws_no_page_to_its_end(tmp_path, cancellation):
    files = make_pdf(tmp_path / "doc.pdf", (72, 72)), time_bomb(tmp_path / "bomb.pdf")
    pages = builtin("split-pages").run({"files": files}, tmp_path, cancellation)
    next(pages)
    cancellation.request()
    with pytest.raises(Cancelled):
        next(pages)


def test_a_step_that_is_given_up_leaves_no_process(tmp_path, cancellation):
    pdf = make_pdf(tmp_path / "doc.pdf", (72, 72), (72, 72))
    pages = builtin("split-pages").run({"files": [pdf]}, tmp_path, cancellation)
    next(pages)
    (renderer,) = (each for each in pages.gi_frame.f_locals.values() if hasattr(each, "render"))
    pid = pid_of(renderer)
    pages.close()
    assert not start_time(pid)


def pid_of(renderer):
    return renderer._process._process.pid
