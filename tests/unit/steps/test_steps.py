"""Pages, joined sound and written files: the other built-in steps."""

import array
import os
import stat
import wave

import pytest
from PIL import Image

from orchestrator.core.names import BUILT_IN_STEPS
from orchestrator.core.paths import page_in
from orchestrator.errors import UsageError
from orchestrator.steps import builtin
from orchestrator.steps.join_audio import join_audio
from orchestrator.steps.registry import producer
from orchestrator.steps.split_pages import is_pdf, pages_of, render_page
from orchestrator.steps.write import write


def make_pdf(path, *pages):
    """Write a PDF with a page for each (width, height) in points, each a black lower left half."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{3 + 2 * i} 0 R" for i in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    for number, (width, height) in enumerate(pages):
        drawing = f"0 0 {width / 2} {height / 2} re f"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] "
            f"/Contents {4 + 2 * number} 0 R >>"
        )
        objects.append(f"<< /Length {len(drawing)} >>\nstream\n{drawing}\nendstream")
    data, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{text}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    start = len(data)
    data += f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}".encode()
    data += (
        f"trailer\n<< /Size {len(places) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode()
    )
    path.write_bytes(data)
    return path


def sound(path, samples, rate=8000, channels=1, width=2):
    with wave.open(str(path), "wb") as writer:
        writer.setparams((channels, width, rate, 0, "NONE", ""))
        writer.writeframes(array.array("h", samples).tobytes())
    return path


def samples_of(path):
    with wave.open(str(path), "rb") as reader:
        return list(array.array("h", reader.readframes(reader.getnframes())))


def emitted(name, directory, **values):
    return list(builtin(name).run(values, directory))


def test_every_built_in_step_says_what_makes_its_results():
    for name in BUILT_IN_STEPS:
        assert builtin(name).signature.name == name
        assert len(producer(name)["code"]) == 64
    assert set(producer("split-pages")["versions"]) == {"pypdfium2", "pillow"}


def test_pages_of_a_pdf_are_images_with_their_numbers(tmp_path):
    pdf = make_pdf(tmp_path / "doc.pdf", (144, 72), (72, 72))
    image = tmp_path / "scan.png"
    image.write_bytes(b"an image")
    (tmp_path / "work").mkdir()
    found = emitted("split-pages", tmp_path / "work", files=[pdf, image], dpi=72)
    assert [each.label for each in found] == [f"{pdf}#page=1", f"{pdf}#page=2", str(image)]
    assert found[2].value == image
    with Image.open(found[0].value) as page:
        assert (page.format, page.mode, page.size) == ("PNG", "RGB", (144, 72))
        assert page.getpixel((0, 71)) == (0, 0, 0)
        assert page.getpixel((0, 0)) == (255, 255, 255)


def test_a_page_is_drawn_at_the_density_that_is_asked_for(tmp_path):
    pdf = make_pdf(tmp_path / "doc.pdf", (72, 144))
    render_page(pdf, 1, tmp_path / "page.png", dpi=100)
    with Image.open(tmp_path / "page.png") as page:
        assert page.size == (100, 200)
    assert pages_of(pdf) == 1
    assert is_pdf(pdf)


@pytest.mark.parametrize(
    ("page", "dpi", "sentence"), [(2, 72, "has 1 pages, and no page 2"), (1, 600, "megapixels")]
)
def test_a_page_that_cannot_be_drawn_is_told(tmp_path, page, dpi, sentence):
    pdf = make_pdf(tmp_path / "doc.pdf", (14400, 14400))
    with pytest.raises(UsageError, match=sentence):
        render_page(pdf, page, tmp_path / "page.png", dpi=dpi)


def test_a_damaged_pdf_is_told(tmp_path):
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4\nnothing more")
    with pytest.raises(UsageError, match="is no PDF that can be read"):
        pages_of(broken)


def test_a_page_is_named_by_its_number(tmp_path):
    assert page_in(tmp_path / "a.pdf#page=3") == (tmp_path / "a.pdf", 3)
    assert page_in(tmp_path / "a.pdf#page=0") == (tmp_path / "a.pdf#page=0", None)
    odd = tmp_path / "odd#page=2"
    odd.write_bytes(b"")
    assert page_in(odd) == (odd, None)


def test_sounds_are_joined_in_order_with_a_pause(tmp_path):
    one = sound(tmp_path / "1.wav", [1, 2, 3])
    two = sound(tmp_path / "2.wav", [4, 5])
    join_audio([one, two, one], tmp_path / "all.wav", pause=0.001)
    assert samples_of(tmp_path / "all.wav") == [1, 2, 3, *[0] * 8, 4, 5, *[0] * 8, 1, 2, 3]
    join_audio([None, one, None, two], tmp_path / "all.wav", pause=0.001)
    assert samples_of(tmp_path / "all.wav") == [*[0] * 8, 1, 2, 3, *[0] * 16, 4, 5]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rate": 16000}, "16000 Hz.* and the first sound has 8000 Hz"),
        ({"channels": 2}, "2 channels"),
    ],
)
def test_sounds_that_differ_are_not_joined(tmp_path, settings, sentence):
    one = sound(tmp_path / "1.wav", [1, 2])
    two = sound(tmp_path / "2.wav", [3, 4], **settings)
    with pytest.raises(UsageError, match=sentence):
        join_audio([one, two], tmp_path / "all.wav")


def test_what_is_no_wav_file_is_told(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"no sound")
    with pytest.raises(UsageError, match="no WAV file"):
        join_audio([tmp_path / "x.wav"], tmp_path / "all.wav")
    with pytest.raises(UsageError, match=r"no sound to join$"):
        join_audio([], tmp_path / "all.wav")
    with pytest.raises(UsageError, match="none of the 2 items had a text to speak"):
        join_audio([None, None], tmp_path / "all.wav")


def test_what_is_written_has_the_mode_of_the_umask(tmp_path):
    kept = tmp_path / "kept.wav"
    kept.touch(0o600)  # as everything in MM_HOME/results
    before = os.umask(0o027)
    try:
        write(kept, tmp_path / "a.wav")
        write("text", tmp_path / "a.txt")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.wav", "a.txt")}
    assert modes == {0o640}


def test_values_are_written(tmp_path):
    write("text", tmp_path / "deep" / "down" / "a.txt")
    assert (tmp_path / "deep" / "down" / "a.txt").read_text() == "text\n"
    write([1, {"ü": 2}], tmp_path / "a.json")
    assert '"ü": 2' in (tmp_path / "a.json").read_text()
    write(tmp_path / "a.json", tmp_path / "b.json")
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    with pytest.raises(UsageError, match="cannot be written"):
        write("text", tmp_path / "a.json" / "x")
