"""Renders the test pages: `python -m tests.pages.render DIRECTORY`, once Chromium is installed.

The fonts are those of Debian's fonts-liberation, fonts-dejavu, fonts-noto-cjk, fonts-wqy-microhei
and fonts-ipafont-mincho.
"""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from tests.pages.layouts import PAGES

SLOT = 1000, 920
"""Pixels: many pages stand on one screenshot, because a start of Chromium takes seconds."""
ACROSS, DOWN = 5, 8
STYLE = """
body { margin: 0 } h1, h2, h3 { margin: .4em 0 } p { margin: .5em 0 }
.page { position: absolute; overflow: hidden; box-sizing: border-box; padding: 28px;
        line-height: 1.35; background: white }
table { border-collapse: collapse } td, th { padding: 3px 14px 3px 4px; text-align: left;
        vertical-align: top }
.ruled td, .ruled th { border: 1px solid #333 }
"""


def screenshot(pages, directory):
    """Return one image with the pages in their slots."""
    parts = [f"<meta charset=utf-8><style>{STYLE}</style>"]
    for k, page in enumerate(pages):
        x, y = SLOT[0] * (k % ACROSS), SLOT[1] * (k // ACROSS)
        parts.append(
            f"<div class=page style='left:{x}px;top:{y}px;width:{page.width}px;"
            f'height:{page.height}px;font:{page.size}px "{page.font}"\'>{page.body}</div>'
        )
    source, image = directory / "pages.html", directory / "pages.png"
    source.write_text("".join(parts), encoding="utf-8")
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={directory / 'profile'}", "--force-device-scale-factor=1",
        f"--window-size={SLOT[0] * ACROSS},{SLOT[1] * DOWN}", f"--screenshot={image}",
        source.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(image) as opened:
        return opened.convert("RGB")


def spoil(image, how, seed):
    """Return the image as a poor copy or photograph has it."""
    chance = np.random.default_rng(seed)
    width, height = image.size
    if how == "jpeg":
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=22)
        return Image.open(stored).convert("RGB")
    if how == "blur":
        return image.filter(ImageFilter.GaussianBlur(1.1))
    if how == "coarse":
        small = image.resize((int(width * 0.7), int(height * 0.7)), Image.Resampling.BICUBIC)
        return small.resize((width, height), Image.Resampling.BICUBIC)
    if how == "perspective":
        dx, dy = 0.05 * width, 0.03 * height
        corners = (-dx, -dy, 0, height + dy, width + dx, height, width, 0)
        return image.transform(
            image.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC, fillcolor="#888"
        )
    values = np.asarray(image, np.float32)
    across, down = np.linspace(0, 1, width), np.linspace(0, 1, height)[:, None]
    if how == "shadow":
        values = values * (0.45 + 0.55 * across * (0.5 + 0.5 * down))[:, :, None]
    elif how == "fold":
        values = values * (1 - 0.45 * np.exp(-(((across - 0.5) * 60) ** 2)))[None, :, None]
    elif how == "noise":
        values = values + chance.normal(0, 38, values.shape)
    return Image.fromarray(np.uint8(np.clip(values, 0, 255)))


def render(directory):
    """Write every page as a PNG named after it."""
    directory.mkdir(parents=True, exist_ok=True)
    clean = [page for page in PAGES if not page.degraded]
    images = {}
    for start in range(0, len(clean), ACROSS * DOWN):
        some = clean[start : start + ACROSS * DOWN]
        sheet = screenshot(some, directory)
        for k, page in enumerate(some):
            x, y = SLOT[0] * (k % ACROSS), SLOT[1] * (k // ACROSS)
            images[page.kind, page.number] = sheet.crop((x, y, x + page.width, y + page.height))
    for page in PAGES:
        image = images[page.kind, page.number]
        if page.turn:
            image = image.rotate(
                page.turn, Image.Resampling.BICUBIC, expand=True, fillcolor="white"
            )
        if page.degraded:
            image = spoil(image, page.degraded, page.number)
        image.save(directory / f"{page.name}.png")


if __name__ == "__main__":
    render(Path(sys.argv[1]).resolve())
