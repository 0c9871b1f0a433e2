"""What an image file is taken to show, and which files are refused."""

import numpy as np
import pytest
from PIL import Image

from tests.unit.envs.runners import Job, Rejection, load_runner

runner = load_runner("rapidocr")


def half_dark():
    """Return a white image whose left half is black."""
    image = Image.new("RGB", (8, 4), "white")
    image.paste("black", (0, 0, 4, 4))
    return image


def is_half_dark(page):
    assert page.shape == (4, 8, 3)
    assert page.dtype == np.uint8
    assert page.flags.c_contiguous
    return page[:, :4].max() < 16 and page[:, 4:].min() > 239


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("RGB", "x.png"),
        ("L", "x.png"),
        ("1", "x.png"),
        ("P", "x.png"),
        ("RGBA", "x.png"),
        ("LA", "x.png"),
        ("CMYK", "x.jpg"),
        ("YCbCr", "x.tif"),
        ("L", "x.bmp"),
        ("RGB", "x.webp"),
    ],
)
def test_every_mode_is_seen_alike(tmp_path, mode, name):
    half_dark().convert(mode).save(tmp_path / name, quality=100)
    assert is_half_dark(runner.open_image(tmp_path / name, Job()))


@pytest.mark.parametrize(
    ("dtype", "white"), [("u2", 65535), ("u2", 4095), ("i4", 70000), ("f4", 1)]
)
def test_more_than_eight_bits_are_scaled_and_not_clipped(tmp_path, dtype, white):
    values = (np.asarray(half_dark().convert("L")) / 255 * white).astype(dtype)
    Image.fromarray(values).save(tmp_path / "x.tif")
    assert is_half_dark(runner.open_image(tmp_path / "x.tif", Job()))


def test_sixteen_bits_in_a_png(tmp_path):
    values = np.asarray(half_dark().convert("L")).astype("u2") * 257
    Image.fromarray(values).save(tmp_path / "x.png")
    assert is_half_dark(runner.open_image(tmp_path / "x.png", Job()))


def test_what_is_transparent_is_white(tmp_path):
    image = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 4))
    image.save(tmp_path / "x.png")
    assert is_half_dark(runner.open_image(tmp_path / "x.png", Job()))


def test_white_letters_on_nothing_are_seen(tmp_path):
    image = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (4, 0, 8, 4))
    image.save(tmp_path / "x.png")
    assert is_half_dark(runner.open_image(tmp_path / "x.png", Job()))


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_the_exif_rotation_is_followed(tmp_path, orientation, stored):
    exif = Image.Exif()
    exif[0x0112] = orientation
    half_dark().transpose(stored).save(tmp_path / "x.png", exif=exif)
    assert is_half_dark(runner.open_image(tmp_path / "x.png", Job()))


def test_of_several_frames_the_first_is_read(tmp_path):
    half_dark().save(
        tmp_path / "x.gif", save_all=True, append_images=[Image.new("RGB", (8, 4), "red")]
    )
    assert is_half_dark(runner.open_image(tmp_path / "x.gif", Job()))


def test_pages_of_a_tiff_that_are_not_read_are_warned_of(tmp_path):
    job = Job()
    half_dark().save(tmp_path / "x.tif", save_all=True, append_images=[half_dark()])
    assert is_half_dark(runner.open_image(tmp_path / "x.tif", job))
    assert job.said == [("warn", "image: only the first of 2 pages is read; save them as PDF")]


def test_colours_come_as_blue_green_red(tmp_path):
    Image.new("RGB", (2, 2), (1, 2, 3)).save(tmp_path / "x.png")
    assert runner.open_image(tmp_path / "x.png", Job())[0, 0].tolist() == [3, 2, 1]


def damaged(tmp_path):
    half_dark().resize((200, 200)).save(tmp_path / "whole.png", compress_level=0)
    return (tmp_path / "whole.png").read_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: b"", "the file is empty"),
        (lambda whole: b"Dear reader, this is no image.\n" * 9, "not an image"),
        (lambda whole: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (lambda whole: whole[: len(whole) // 2], "a damaged or incomplete image"),
        (lambda whole: whole[:20], "a damaged or incomplete image"),
        (lambda whole: whole[:600] + b"\xff" * 90 + whole[690:], "a damaged or incomplete image"),
    ],
)
def test_what_is_no_whole_image_is_refused_in_a_sentence(tmp_path, content, said):
    path = tmp_path / "x.png"
    path.write_bytes(content(damaged(tmp_path)))
    with pytest.raises(Rejection) as refused:
        runner.open_image(path, Job())
    assert str(refused.value).startswith(f"image: {said}")
    assert str(tmp_path) not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(Rejection, match="a directory, not an image"):
        runner.open_image(tmp_path, Job())


def test_an_image_beyond_the_limit_is_refused_with_the_limit(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "x.png")
    with pytest.raises(Rejection, match="are 400 megapixels and the limit is 100"):
        runner.open_image(tmp_path / "x.png", Job())


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (10, 20_001)])
def test_a_strip_that_would_vanish_when_reduced_is_refused(tmp_path, size):
    Image.new("1", size).save(tmp_path / "x.png")
    with pytest.raises(Rejection, match=r"^image: \d+ x \d+ pixels are too narrow to hold text"):
        runner.check(Job(), image=tmp_path / "x.png", min_score=0.5)


def test_a_check_reads_the_header_alone(tmp_path):
    (tmp_path / "x.png").write_bytes(damaged(tmp_path)[:600])
    runner.check(Job(), image=tmp_path / "x.png")
