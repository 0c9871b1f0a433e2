"""The hub of models, through huggingface_hub: what a repository holds, and its files, pinned.

The user's own settings hold: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, proxies. What the
library raises is told in plain words. It is imported here alone, when something is pulled.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from orchestrator.errors import SourceError
from orchestrator.sources.files import git_blob_of, is_inside, sha256_of, wanted
from orchestrator.sources.resuming import fetch_blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DEFAULT_ENDPOINT = "the hub"

RESUMED = 10 << 20
"""Bytes from which on a download is worth being taken up again: the library's own block."""

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
        self._endpoint = variables.get("HF_ENDPOINT", "").rstrip("/") or None
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
        with self._plainly(repo, revision):
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
        """Bring one file into the cache, going on where an earlier try stopped.

        Args:
            repo: The repository.
            commit: The commit.
            file: The file.
            on_bytes: Told how many bytes are there more than before.

        Returns:
            Its path in the snapshot, and its SHA-256.

        Raises:
            SourceError: When it does not come, or is not the file that was listed.
        """
        with self._plainly(repo, commit):
            from huggingface_hub import hf_hub_download
            from huggingface_hub.utils import logging

            # Its retries are no news for the user.
            logging.set_verbosity_error()  # type: ignore[no-untyped-call]
            if file.size >= RESUMED:
                fetch_blob(
                    repo=repo,
                    commit=commit,
                    name=file.name,
                    cache=self.cache,
                    endpoint=self._endpoint,
                    token=self._token,
                    on_bytes=on_bytes,
                )
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

    def remove(self, commit: str) -> int:
        """Remove a snapshot, and the blobs that no other one uses, and return the bytes freed."""
        from huggingface_hub import scan_cache_dir

        if not self.cache.is_dir():
            return 0
        strategy = scan_cache_dir(self.cache).delete_revisions(commit)
        strategy.execute()
        return int(strategy.expected_freed_size)

    @contextlib.contextmanager
    def _plainly(self, repo: str, revision: str) -> Iterator[None]:
        """Turn what the library raises into a sentence."""
        for name in OFFLINE:
            if self._variables.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
                raise SourceError(
                    f"{name} forbids the network, and {repo} is not there yet",
                    fix=f"unset {name}, or use a directory that you have: mm model add",
                )
        try:
            yield
        except _library_errors() as error:
            self._explain(error, repo, revision)

    def _explain(self, error: Exception, repo: str, revision: str) -> NoReturn:
        from huggingface_hub import errors

        where = self._endpoint or DEFAULT_ENDPOINT
        said = str(error)
        if isinstance(error, errors.GatedRepoError):
            raise SourceError(
                f"{repo} is gated: its owner asks you to accept the terms first",
                fix="accept them on the repository's page, and set HF_TOKEN",
                detail=said,
            ) from error
        if isinstance(error, errors.RevisionNotFoundError):
            raise SourceError(
                f"{repo} has no revision {revision}", fix="correct source.revision", detail=said
            ) from error
        if isinstance(error, errors.RepositoryNotFoundError):
            raise SourceError(
                f"{where} has no repository {repo}, or it is private",
                fix="check source.repo, and set HF_TOKEN where it is private",
                detail=said,
            ) from error
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None:
            raise SourceError(f"{where} answered {status} for {repo}", detail=said) from error
        raise SourceError(
            f"{where} could not be reached, or the connection broke ({type(error).__name__})",
            fix="run it again: it goes on where it stopped; or use a directory that you have: "
            "mm model add",
            detail=_root_cause(error),
        ) from error


def _library_errors() -> tuple[type[Exception], ...]:
    from huggingface_hub import errors

    # The second is the base of what its HTTP client raises, whichever that is.
    return (errors.HfHubHTTPError, errors.HfHubHTTPError.__bases__[0], OSError, ValueError)


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


def _remote_file(sibling: Any) -> RemoteFile:
    lfs = sibling.lfs
    return RemoteFile(
        name=sibling.rfilename,
        size=int(sibling.size or 0),
        sha256=str(lfs["sha256"]) if lfs else "",
        blob=str(sibling.blob_id or ""),
    )
