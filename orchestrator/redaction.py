"""Credentials in text: taken out of whatever is printed, logged or kept.

Every error, note and log of a tool passes through `redacted`, so that no caller has to remember.
"""

from __future__ import annotations

import re

MASK = "***"

_LOGIN = re.compile(
    r"(?<=://)(?!git@)"
    r"(?:[^\s/?#'\"<>`]*|[^\s/?#'\"<>`:@]*:(?!\d*[/?#])[^\s'\"<>`@]*)"  # a password may hold a /
    r"@"
)
_SECRET = re.compile(
    r"([?&;][\w.%-]*(?:token|key|secret|passw|pwd|signature|sig|credential|auth)[\w.%-]*=)"
    r"[^\s&;#'\"<>`]+",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"\b(?:hf_|npm_|gh[a-z]_|glpat-|pypi-)[A-Za-z0-9]{16,}"
    r"|(?<=\bbearer )[\w.~+/=-]{12,}|(?<=\bbasic )[\w+/=-]{12,}",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Return `text` without the credentials in its URLs and without tokens.

    A URL loses its user and password, and the values of such parameters as `token` and
    `X-Amz-Signature`; everything else stays.
    """
    if "://" in text:
        text = _SECRET.sub(rf"\1{MASK}", _LOGIN.sub(f"{MASK}@", text))
    return _TOKEN.sub(MASK, text)


def has_credentials(url: str) -> bool:
    """Return whether `redacted` would take something out of a URL."""
    return redacted(url) != url
