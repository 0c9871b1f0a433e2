"""Hugging Face, through huggingface_hub: what a repository holds, and its files, pinned.

The user's own settings hold: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, proxies. What the
library raises is explained in plain words. It is imported here alone, when something is pulled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.core.paths import is_inside
from orchestrator.core.refusals import refusal
from orchestrator.errors import SourceError
from orchestrator.sources.hub import (
    HUGGINGFACE,
    LARGE,
    PARTIAL,
    HubCache,
    HubFailure,
    Listing,
    RemoteFile,
    hugging_face,
    wrong_bytes,
)
from orchestrator.sources.model_files import git_blob_of, wanted
from orchestrator.system.downloads import open_url
from orchestrator.system.hashing import sha256_of


class HuggingFace:
    """Hugging Face, or the mirror that the user's variables name.

    Args:
        variables: The user's environment variables.
    """

    name = HUGGINGFACE

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._endpoint = hugging_face(variables)
        self._token = variables.get("HF_TOKEN") or None
        self._cache = HubCache(variables)

    def list(self, repo: str, revision: str, include: Sequence[str]) -> Listing:
        """Return the wanted files of `repo` at `revision`, a branch or a commit.

        Raises:
            SourceError: When the hub does not answer, or does not give them.
        """
        with self._explained(repo, revision):
            from huggingface_hub import HfApi

            api = HfApi(endpoint=self._endpoint.url, token=self._token)
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
            if file.size >= LARGE:
                self._fetch_blob(repo, commit, file.name, on_bytes)
            path = hf_hub_download(
                repo,
                file.name,
                revision=commit,
                cache_dir=self._cache.path,
                endpoint=self._endpoint.url,
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
            raise wrong_bytes(repo, file)
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
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import (  # type: ignore[attr-defined] # by name, not in __all__
            build_hf_headers,
            disable_progress_bars,
        )

        disable_progress_bars()
        url = hf_hub_url(repo, name, revision=commit, endpoint=self._endpoint.url)
        metadata = get_hf_file_metadata(url, token=self._token, endpoint=self._endpoint.url)
        if metadata.etag is None:
            raise ValueError(f"the hub gives no hash of {name}")
        blobs = self._cache.blobs(repo)
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

    @contextlib.contextmanager
    def _explained(self, repo: str, revision: str) -> Iterator[None]:
        """Turn what the library raises into a sentence."""
        from huggingface_hub.errors import HfHubHTTPError

        try:
            yield
        except (HfHubHTTPError, _transport_error(), OSError, ValueError) as error:
            raise self._explain(error, repo, revision) from error

    def _explain(self, error: Exception, repo: str, revision: str) -> SourceError:
        """Return what went wrong, in plain words."""
        response = getattr(error, "response", None)
        if response is not None:
            return self._refused(error, response, repo, revision)
        if known := refusal(error):
            what = f"{known.what}, so {repo} is not whole"
            return SourceError(what, where=known.where, fix=known.fix)
        if isinstance(error, ValueError):
            page = getattr(error, "doc", "").lstrip().startswith("<")
            why = "a page of HTML" if page else "no JSON of a hub's"
            return self._endpoint.no_hub(why, self._final_url(repo))
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        detail = f"{type(cause).__name__}: {cause}"
        return self._endpoint.unreachable(type(error).__name__, _asked(error), detail)

    def _refused(self, error: Exception, response: Any, repo: str, revision: str) -> HubFailure:
        """Return what an answer with an error means."""
        from huggingface_hub import errors

        status, final = response.status_code, str(response.url)
        if isinstance(error, errors.GatedRepoError):
            what = f"{repo} is gated: its owner asks you to accept the terms first"
            fix = "accept them on the repository's page, and set HF_TOKEN"
        elif isinstance(error, errors.RevisionNotFoundError):
            what, fix = f"{repo} has no revision {revision}", "correct source.revision"
        elif status in (401, 403, 404) and not _is_hubs(response):
            return self._endpoint.no_hub(str(status), final)
        elif isinstance(error, errors.RepositoryNotFoundError):
            what = f"{self._endpoint} has no repository {repo}, or it is private"
            fix = "check source.repo, and set HF_TOKEN where it is private"
        else:
            return self._endpoint.answered(status, repo, final)
        return HubFailure(what, fix=fix, detail=str(error))

    def _final_url(self, repo: str) -> str:
        """Return the URL that answers for a repository after all redirects, or nothing."""
        with contextlib.suppress(OSError, ValueError):
            url = f"{self._endpoint.url}/api/models/{repo}"
            with open_url(url, self._variables) as answer:
                return str(answer.url)
        return ""


def _is_hubs(response: Any) -> bool:
    """Return whether an answer with an error is one of a hub, which names it."""
    return any(f"X-Error-{name}" in response.headers for name in ("Code", "Message"))


def _asked(error: Exception) -> str:
    """Return the URL that was asked last, as far as the client says it."""
    try:
        return str(error.request.url)  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):
        return ""


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
