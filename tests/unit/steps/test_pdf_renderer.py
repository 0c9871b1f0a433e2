"""What the process that reads PDF files answers: believed only as far as it can be checked."""

import json
import signal

import pytest

from orchestrator.errors import Cancelled, MMError, UsageError
from orchestrator.steps.pdf_process import OUT_OF_MEMORY, resident_memory
from orchestrator.steps.pdf_renderer import LONGEST_TEXT, PNG, PdfRenderer


class Answering:
    """A process that gives one answer, or raises it."""

    def __init__(self, answer=b"", status=0):
        self.answer, self.status, self.ended = answer, status, False

    def ask(self, line, seconds, most, stop):
        assert json.loads(line)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def end(self):
        self.ended = True
        return self.status, ""


@pytest.mark.parametrize(
    "answer",
    [b"\n", b"{", b"[]\n", b"\xff\n", b"[" * 4000, b'{"pages": "3"}\n', b'{"pages": 0}\n', b"{}\n"],
    ids=["empty", "cut", "list", "bytes", "deep", "text", "none", "nothing"],
)
def test_an_answer_that_makes_no_sense_ends_the_process(tmp_path, answer):
    process = Answering(answer)
    with pytest.raises(UsageError, match="no answer that makes sense"):
        PdfRenderer(start=lambda _: process).pages(tmp_path / "doc.pdf")
    assert process.ended


@pytest.mark.parametrize("written", [None, b"", b"GIF89a", PNG[:-1]], ids=["no", "0", "gif", "cut"])
def test_a_page_that_was_not_written_is_not_taken_for_drawn(tmp_path, written):
    if written is not None:
        (tmp_path / "page.png").write_bytes(written)
    renderer = PdfRenderer(start=lambda _: Answering(b'{"page": 1}\n'))
    with pytest.raises(UsageError, match=r"doc.pdf#page=1: .*no answer that makes sense"):
        renderer.render(tmp_path / "doc.pdf", 1, tmp_path / "page.png")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b"One\r\nTwo  \n", "One\nTwo"),
        (b"\n\nA\tB\x0cC\n", "A\tB\nC"),
        (b"\x1b[2J\x00x\xe2\x80\xae", "[2Jx"),
        (b" \n", ""),
    ],
)
def test_the_text_of_a_page_steers_nothing(tmp_path, written, text):
    (tmp_path / "text").write_bytes(written)
    renderer = PdfRenderer(start=lambda _: Answering(b'{"page": 1}\n'))
    assert renderer.text(tmp_path / "doc.pdf", 1, tmp_path / "text") == text


@pytest.mark.parametrize("written", [None, b"\xff"], ids=["no", "bytes"])
def test_a_text_that_cannot_be_read_is_none(tmp_path, written):
    if written is not None:
        (tmp_path / "text").write_bytes(written)
    renderer = PdfRenderer(start=lambda _: Answering(b'{"page": 1}\n'))
    with pytest.raises(UsageError, match="no answer that makes sense"):
        renderer.text(tmp_path / "doc.pdf", 1, tmp_path / "text")


def test_a_text_too_long_is_refused(tmp_path):
    with (tmp_path / "text").open("wb") as file:
        file.truncate(LONGEST_TEXT + 1)
    renderer = PdfRenderer(start=lambda _: Answering(b'{"page": 1}\n'))
    with pytest.raises(UsageError, match="page=1: holds more than 4 MiB of text"):
        renderer.text(tmp_path / "doc.pdf", 1, tmp_path / "text")


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("is odd", "is odd"),
        ("\x1b[2J", "cannot be read"),
        (3, "cannot be read"),
        ("x" * 999, "x" * 300),
    ],
    ids=["words", "controls", "number", "long"],
)
def test_a_refusal_is_shown_if_it_can_be(tmp_path, refused, said):
    answer = json.dumps({"refused": refused, "fix": "save a copy"}).encode()
    with pytest.raises(UsageError) as caught:
        PdfRenderer(start=lambda _: Answering(answer)).pages(tmp_path / "doc.pdf")
    assert (caught.value.what, caught.value.fix) == (said, "save a copy")


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (OUT_OF_MEMORY, UsageError, "needs more than 2 GiB of memory"),
        (-signal.SIGTRAP, UsageError, "it ended its process: SIGTRAP"),
        (-signal.SIGINT, Cancelled, "interrupted"),
    ],
    ids=["memory", "crash", "interrupt"],
)
def test_the_way_in_which_it_ended_is_said(tmp_path, status, error, said):
    with pytest.raises(error, match=said):
        PdfRenderer(start=lambda _: Answering(EOFError(), status)).pages(tmp_path / "doc.pdf")


def test_an_interrupt_ends_it_for_its_answer_may_still_come(tmp_path):
    process = Answering(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        PdfRenderer(start=lambda _: process).pages(tmp_path / "doc.pdf")
    assert process.ended


def test_a_process_that_cannot_start_is_a_sentence(tmp_path):
    def start(limits):
        raise OSError(24, "Too many open files")

    with pytest.raises(MMError, match=r"no process can be started \(Too many open files\)"):
        PdfRenderer(start=start).pages(tmp_path / "doc.pdf")


@pytest.mark.parametrize("statm", ["/proc/self/statm", "/nowhere"])
def test_the_memory_is_known_with_and_without_proc(statm):
    assert 1 << 20 < resident_memory(statm) < 1 << 40
