"""The image as the model sees it: a square of the whole, and up to six tiles."""

from contextlib import contextmanager

TILE = 768
"""The side of a tile, in pixels; the model has queries for no other."""

FEWEST, MOST = 2, 6
"""How many tiles an image is cut into."""

GRAY = (127, 127, 127)
"""What the whole image is padded with."""


def opened(job, path):
    """Return the picture as the model will see it, or reject a file that is none."""
    from PIL import Image, ImageOps

    with rejecting(job):
        return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


@contextmanager
def rejecting(job):
    """Reject the job where the image turns out to be none."""
    from PIL import Image

    try:
        yield
    except Image.UnidentifiedImageError:  # its words name the path, which may be one of mm's own
        job.reject("image: not an image that can be read")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        job.reject(f"image: not an image that can be read ({reason})")


def views(picture, size, *, crop):
    """Return the square of the whole image, and its tiles.

    As the model's own code does: without tiles, an image for a square of 768 is squeezed into it.
    """
    from PIL import ImageOps

    if not crop:
        whole = picture.resize((size, size)) if size <= TILE else picture
        return ImageOps.pad(whole, (size, size), color=GRAY), []
    tiles = tiles_of(picture) if max(picture.size) > TILE else []
    return ImageOps.pad(picture, (size, size), color=GRAY), tiles


def tiles_of(picture):
    """Cut an image into tiles, in the grid whose shape is nearest to its own."""
    columns, rows = grid(*picture.size)
    whole = picture.resize((columns * TILE, rows * TILE))
    return [
        whole.crop((left, top, left + TILE, top + TILE))
        for top in range(0, whole.height, TILE)
        for left in range(0, whole.width, TILE)
    ]


def grid(width, height):
    """Return the columns and rows of tiles for an image.

    Of grids that are as near, a larger one is taken where the image fills more than half of it.
    """
    sizes = range(1, MOST + 1)
    grids = [
        (across, down) for across in sizes for down in sizes if FEWEST <= across * down <= MOST
    ]
    best, nearest = (1, 1), float("inf")
    for across, down in sorted(grids, key=lambda each: each[0] * each[1]):
        distance = abs(width / height - across / down)
        fills = width * height > 0.5 * TILE * TILE * across * down
        if distance < nearest or (distance == nearest and fills):
            best, nearest = (across, down), distance
    return best
