"""The hub of models, through huggingface_hub: what a repository holds, and its files, pinned.

The user's own settings hold: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, proxies. What the
library raises is explained in plain words. It is imported here alone, when something is pulled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.core.endpoints import HUB
from orchestrator.core.paths import is_inside
from orchestrator.core.refusals import refusal
from orchestrator.errors import SourceError
from orchestrator.sources.model_files import git_blob_of, wanted
from orchestrator.system.hashing import sha256_of

RESUMED = 10 << 20
"""Bytes from which on a broken download is worth resuming: the library's own block."""

PARTIAL = ".mm-partial"

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True)
class RemoteFile:
    """A file in a repository.

    Attributes:
        name: Its path, with `/`.
        size: Bytes.
        sha256: Its hash, where the hub stores it by that; else empty.
        blob: The name of its git blob, where it is stored by that; else empty.
    """

    name: str
    size: int
    sha256: str
    blob: str


@dataclass(frozen=True)
class Listing:
    """What a repository holds at one commit."""

    commit: str
    files: tuple[RemoteFile, ...]


class Hub:
    """One endpoint, as the user's variables name it.

    Args:
        variables: The user's environment variables.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._endpoint = variables.get("HF_ENDPOINT", "").rstrip("/") or HUB
        self._token = variables.get("HF_TOKEN") or None

    @property
    def cache(self) -> Path:
        """The user's own cache of the hub."""
        get = self._variables.get
        if chosen := get("HF_HUB_CACHE") or get("HUGGINGFACE_HUB_CACHE"):
            return Path(chosen).expanduser()
        if home := get("HF_HOME"):
            return Path(home).expanduser() / "hub"
        base = get("XDG_CACHE_HOME") or "~/.cache"
        return Path(base).expanduser() / "huggingface" / "hub"

    def list(self, repo: str, revision: str, include: Sequence[str]) -> Listing:
        """Return the wanted files of `repo` at `revision`, a branch or a commit.

        Raises:
            SourceError: When the hub does not answer, or does not give them.
        """
        with self._explained(repo, revision):
            from huggingface_hub import HfApi

            api = HfApi(endpoint=self._endpoint, token=self._token)
            info = api.model_info(repo, revision=revision, files_metadata=True)
        files = [_remote_file(each) for each in info.siblings or ()]
        kept = tuple(each for each in files if wanted(each.name, include))
        outside = [each.name for each in kept if not is_inside(each.name)]
        if info.sha is None or outside:
            raise SourceError(f"{repo} lists {outside or 'no commit'}, which is no model's")
        return Listing(info.sha, kept)

    def fetch(
        self, repo: str, commit: str, file: RemoteFile, on_bytes: Callable[[int], None]
    ) -> tuple[Path, str]:
        """Bring one file into the cache, resuming an earlier download.

        Args:
            repo: The repository.
            commit: The commit.
            file: The file.
            on_bytes: Receives how many bytes are there more than before.

        Returns:
            Its path in the snapshot, and its SHA-256.

        Raises:
            SourceError: When it does not come, or is not the file that was listed.
        """
        with self._explained(repo, commit):
            from huggingface_hub import hf_hub_download
            from huggingface_hub.utils import logging

            # Its retries are no news for the user.
            logging.set_verbosity_error()  # type: ignore[no-untyped-call]
            if file.size >= RESUMED:
                self._fetch_blob(repo, commit, file.name, on_bytes)
            path = hf_hub_download(
                repo,
                file.name,
                revision=commit,
                cache_dir=self.cache,
                endpoint=self._endpoint,
                token=self._token,
            )
        found = Path(path)
        sha256 = sha256_of(found)
        whole = found.stat().st_size == file.size and (
            sha256 == file.sha256 if file.sha256 else git_blob_of(found) == file.blob
        )
        if not whole:
            # It would be found again by the next pull, and every other program.
            found.resolve().unlink(missing_ok=True)
            found.unlink(missing_ok=True)
            raise SourceError(
                "arrived with another hash than the hub lists, and was removed",
                where=f"{repo}: {file.name}",
                fix="pull it again; where it happens again, the mirror or the network is at fault",
            )
        return found, sha256

    def _fetch_blob(
        self, repo: str, commit: str, name: str, on_bytes: Callable[[int], None]
    ) -> None:
        """Bring the content of a large file into the cache, where it is not there.

        huggingface_hub resumes within one call and begins anew in the next (2.4.0: each call has a
        temporary file of its own). So the blob comes from a partial file that stays; the library
        then finds it in its cache and only links to it.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.file_download import http_get, repo_folder_name
        from huggingface_hub.utils import (  # type: ignore[attr-defined] # by name, not in __all__
            build_hf_headers,
            disable_progress_bars,
        )

        disable_progress_bars()
        url = hf_hub_url(repo, name, revision=commit, endpoint=self._endpoint)
        metadata = get_hf_file_metadata(url, token=self._token, endpoint=self._endpoint)
        if metadata.etag is None:
            raise ValueError(f"the hub gives no hash of {name}")
        blobs = self.cache / repo_folder_name(repo_id=repo, repo_type="model") / "blobs"
        blob = blobs / metadata.etag
        if blob.is_file():
            on_bytes(blob.stat().st_size)
            return
        blobs.mkdir(parents=True, exist_ok=True)
        headers = build_hf_headers(token=self._token)
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
                        _CountedFile(stream, on_bytes),  # type: ignore[arg-type] # all it uses
                        resume_size=there,
                        headers=headers,
                        expected_size=metadata.size,
                    )
                    break
                except _transport_error():
                    # Not every release resumes a broken connection itself. One that brought
                    # something is worth another try.
                    if stream.tell() <= there:
                        raise
        partial.replace(blob)

    def remove(self, commit: str) -> int:
        """Remove a snapshot, and the blobs that no other one uses, and return the bytes freed."""
        from huggingface_hub import scan_cache_dir

        if not self.cache.is_dir():
            return 0
        strategy = scan_cache_dir(self.cache).delete_revisions(commit)
        strategy.execute()
        return int(strategy.expected_freed_size)

    @contextlib.contextmanager
    def _explained(self, repo: str, revision: str) -> Iterator[None]:
        """Turn what the library raises into a sentence."""
        for name in OFFLINE:
            if self._variables.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
                raise SourceError(
                    f"{name} forbids the network, and {repo} is not there yet",
                    fix=f"unset {name}, or use a directory that you have: mm model add",
                )
        from huggingface_hub.errors import HfHubHTTPError

        try:
            yield
        except (HfHubHTTPError, _transport_error(), OSError, ValueError) as error:
            raise _explain(error, repo, revision, self._endpoint) from error


def _explain(error: Exception, repo: str, revision: str, hub: str) -> SourceError:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    detail, fix = str(error), ""
    if isinstance(error, errors.GatedRepoError):
        what = f"{repo} is gated: its owner asks you to accept the terms first"
        fix = "accept them on the repository's page, and set HF_TOKEN"
    elif isinstance(error, errors.RevisionNotFoundError):
        what, fix = f"{repo} has no revision {revision}", "correct source.revision"
    elif isinstance(error, errors.RepositoryNotFoundError):
        what = f"{hub} has no repository {repo}, or it is private"
        fix = "check source.repo, and set HF_TOKEN where it is private"
    elif status is not None:
        what = f"{hub} answered {status} for {repo}"
    elif known := refusal(error):
        return SourceError(
            f"{known.what}, so {repo} is not whole", where=known.where, fix=known.fix
        )
    else:
        what = f"{hub} could not be reached, or the connection broke ({type(error).__name__})"
        fix = "run it again: it goes on where it stopped; or use a directory that you have: "
        fix += "mm model add"
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        detail = f"{type(cause).__name__}: {cause}"
    return SourceError(what, fix=fix, detail=detail)


def _transport_error() -> type[Exception]:
    """Return the base of what the library's HTTP client raises, whichever client that is."""
    from huggingface_hub.errors import HfHubHTTPError

    base: type[Exception] = HfHubHTTPError.__bases__[0]
    return base


class _CountedFile:
    """A file that reports how much is written to it."""

    def __init__(self, stream: Any, on_bytes: Callable[[int], None]) -> None:
        self._stream = stream
        self._on_bytes = on_bytes

    def write(self, data: bytes) -> int:
        """Write `data` and count it."""
        self._on_bytes(len(data))
        return int(self._stream.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _remote_file(sibling: Any) -> RemoteFile:
    lfs = sibling.lfs
    return RemoteFile(
        name=sibling.rfilename,
        size=int(sibling.size or 0),
        sha256=str(lfs["sha256"]) if lfs else "",
        blob=str(sibling.blob_id or ""),
    )
