"""The page at `/`: every model from a browser, without a script or a font from elsewhere."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

PAGE = Path(__file__).with_name("index.html")

POLICY = (
    "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; "
    "img-src blob: data:; media-src blob: data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing but what the page itself says runs in it, whatever a model answers."""


async def page(_: Request) -> Response:
    """Return the page."""
    nonce = secrets.token_urlsafe(16)
    text = PAGE.read_text(encoding="utf-8").replace("NONCE", nonce)
    headers = {"Content-Security-Policy": POLICY.format(nonce), "Referrer-Policy": "no-referrer"}
    return HTMLResponse(text, headers=headers)
