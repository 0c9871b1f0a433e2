"""Large files brought into the hub's cache so that a broken download goes on where it stopped.

huggingface_hub goes on within one call and begins anew in the next (2.4.0: each call has a
temporary file of its own). So a large file is put into the cache as a blob first, from a partial
file that stays; the library then finds the blob and only links to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

PARTIAL = ".mm-partial"


def fetch_blob(
    *,
    repo: str,
    commit: str,
    name: str,
    cache: Path,
    endpoint: str | None,
    token: str | None,
    on_bytes: Callable[[int], None],
) -> Path:
    """Bring the content of one file into the cache, where it is not there, and return its path.

    Args:
        repo: The repository.
        commit: The commit.
        name: The file, with `/`.
        cache: The hub's cache.
        endpoint: Where the hub is; None for the library's own.
        token: What the hub knows the user by; None for the library's own.
        on_bytes: Told how many bytes are there more than before.

    Raises:
        Exception: What the library raises.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get, repo_folder_name
    from huggingface_hub.utils import (  # type: ignore[attr-defined] # by name, not in __all__
        build_hf_headers,
        disable_progress_bars,
    )

    transport: type[Exception] = HfHubHTTPError.__bases__[0]  # of its HTTP client, whichever
    disable_progress_bars()
    url = hf_hub_url(repo, name, revision=commit, endpoint=endpoint)
    metadata = get_hf_file_metadata(url, token=token, endpoint=endpoint)
    if metadata.etag is None:
        raise ValueError(f"the hub says no hash of {name}")
    blobs = cache / repo_folder_name(repo_id=repo, repo_type="model") / "blobs"
    blob = blobs / metadata.etag
    if blob.is_file():
        on_bytes(blob.stat().st_size)
        return blob
    blobs.mkdir(parents=True, exist_ok=True)
    headers = build_hf_headers(token=token)
    if urlsplit(metadata.location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the token is for the hub, not for its storage
    partial = blobs / f"{metadata.etag}{PARTIAL}"
    with partial.open("ab") as stream:
        on_bytes(stream.tell())
        while True:
            there = stream.tell()
            try:
                http_get(
                    metadata.location,
                    _Counted(stream, on_bytes),  # type: ignore[arg-type] # all it uses of a file
                    resume_size=there,
                    headers=headers,
                    expected_size=metadata.size,
                )
                break
            except transport:
                # Not every release takes a broken connection up again. One that brought
                # something is worth another try.
                if stream.tell() <= there:
                    raise
    partial.replace(blob)
    return blob


class _Counted:
    """A file that says how much is written to it."""

    def __init__(self, stream: Any, on_bytes: Callable[[int], None]) -> None:
        self._stream = stream
        self._on_bytes = on_bytes

    def write(self, data: bytes) -> int:
        """Write `data` and count it."""
        self._on_bytes(len(data))
        return int(self._stream.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
