"""The image as a person sees it, and which files are refused."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF", "TGA")
MEGAPIXELS = 100
"""The largest image; it takes about 1 GB to hold and some minutes to read."""
NARROWEST = 2000
"""The sides of an image that holds text are not more unequal than this."""


def open_image(path, job):
    """Returns the image as a person sees it: H x W x 3, BGR, uint8, turned by its EXIF tag.

    What is transparent lies on white. Of an animation, the first frame; of several
    pages the first as well, with a warning.
    """
    with opened(path, job) as stored:
        if stored.format == "TIFF" and stored.n_frames > 1:
            job.warn(f"image: only the first of {stored.n_frames} pages is read; save them as PDF")
        stored.load()
        picture = to_rgb(ImageOps.exif_transpose(stored))
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])


@contextmanager
def opened(path, job):
    """Gives the image as Pillow opens it; rejects the job where it cannot be read, or is too large.

    The sentences name the input: its path may be one of mm's own, for a page or standard input.
    """
    Image.MAX_IMAGE_PIXELS = None  # there is a limit below, which says what it is
    try:
        if Path(path).stat().st_size == 0:
            job.reject("image: the file is empty")
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            pixels = width * height
            if pixels > MEGAPIXELS * 1_000_000:
                job.reject(
                    f"image: {width} x {height} are {pixels / 1e6:.0f} megapixels "
                    f"and the limit is {MEGAPIXELS}; make the image smaller"
                )
            if max(width, height) > NARROWEST * min(width, height):
                job.reject(f"image: {width} x {height} pixels are too narrow to hold text")
            yield picture
    except Image.UnidentifiedImageError:
        job.reject(f"image: not an image of a kind that can be read ({', '.join(FORMATS)})")
    except IsADirectoryError:
        job.reject("image: a directory, not an image")
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.strerror:
            job.reject(f"image: cannot be read: {error.strerror}")
        job.reject(f"image: a damaged or incomplete image ({error})")


def to_rgb(picture):
    """Returns a Pillow image of any mode as RGB."""
    if picture.mode[:1] in ("I", "F"):  # 16 or 32 bits: Pillow would clip them, not scale them
        values = np.nan_to_num(np.asarray(picture, np.float64))
        low, high = values.min(), values.max()
        picture = Image.fromarray(np.uint8((values - low) * (255 / max(high - low, 1e-9))))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        flat = Image.new("RGBA", picture.size, "white")
        flat.alpha_composite(picture)
        if flat.convert("L").getextrema()[0] > 200:  # light on nothing: on white, it is not seen
            flat.paste("black", (0, 0, *picture.size))
            flat.alpha_composite(picture)
        picture = flat
    return picture.convert("RGB")
