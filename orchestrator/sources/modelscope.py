"""ModelScope, by the two calls of its HTTP API: the list of a repository's files, and one file.

Its commits are not those of Hugging Face, so that a revision of there means its default branch.
The list has the SHA-256 of every file; large ones are redirected to its storage. An unknown branch
is answered with a list that is null. Source: modelscope/modelscope, hub/api.py, file_download.py.
"""

from __future__ import annotations

import contextlib
import re
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode

from orchestrator.core.canonical import digest
from orchestrator.core.endpoints import MODELSCOPE as PUBLIC
from orchestrator.core.json_text import parse_json
from orchestrator.core.paths import is_inside
from orchestrator.core.refusals import refusal
from orchestrator.errors import SourceError
from orchestrator.sources.hub import (
    LARGE,
    MODELSCOPE,
    PARTIAL,
    Endpoint,
    HubCache,
    HubFailure,
    Listing,
    RemoteFile,
    wrong_bytes,
)
from orchestrator.sources.model_files import git_blob_of, wanted
from orchestrator.system.downloads import PATIENCE, blocks, open_url
from orchestrator.system.hashing import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

DEFAULT_BRANCH = "master"

MAX_LIST = 64
"""Blocks of 1 MiB that are read of a list of files."""

_ELSEWHERE = re.compile("main|[0-9a-f]{40}")
"""What names a revision of Hugging Face alone."""

_SHA256 = re.compile("[0-9a-f]{64}")


class ModelScope:
    """ModelScope, or the host that `MODELSCOPE_DOMAIN` names.

    Args:
        variables: The user's environment variables.
        patience: Seconds that it may stay silent.
    """

    name = MODELSCOPE

    def __init__(self, variables: Mapping[str, str], patience: float = PATIENCE) -> None:
        self._variables = variables
        self._patience = patience
        self._cache = HubCache(variables)
        domain = variables.get("MODELSCOPE_DOMAIN", "").rstrip("/")
        chosen = domain if "://" in domain else f"https://{domain}" if domain else ""
        self._endpoint = Endpoint(chosen or PUBLIC, "MODELSCOPE_DOMAIN" if chosen else "")
        token = variables.get("MODELSCOPE_API_TOKEN")
        self._credentials = f"Bearer {token}" if token else ""

    def list(self, repo: str, revision: str, include: Sequence[str]) -> Listing:
        """Return the wanted files, as `Hub` says; their digest stands for a commit.

        Raises:
            SourceError: When it does not answer, or does not give them.
        """
        branch = DEFAULT_BRANCH if _ELSEWHERE.fullmatch(revision) else revision
        url = self._url(repo, "repo/files", Revision=branch, Recursive="true")
        with self._explained(repo), self._open(url) as answer:
            data = b"".join(islice(blocks(answer), MAX_LIST))
            final = answer.url
        try:
            listed = parse_json(data)["Data"]["Files"]
            if listed is None:
                what = f"{self._endpoint} has no branch {branch} of {repo}"
                raise HubFailure(what, fix="correct source.revision")
            files = [_remote_file(each, branch) for each in listed if each["Type"] == "blob"]
        except (ValueError, KeyError, TypeError) as error:
            kind = "a page of HTML" if data.lstrip()[:1] == b"<" else "other JSON"
            raise self._endpoint.no_hub(kind, final) from error
        kept = tuple(each for each in files if wanted(each.name, include))
        for each in kept:
            if not is_inside(each.name) or not _SHA256.fullmatch(each.sha256):
                raise SourceError(f"lists {each.name!r} without a hash, or outside", where=repo)
        return Listing(digest({each.name: each.sha256 for each in kept}), kept)

    def fetch(
        self, repo: str, commit: str, file: RemoteFile, on_bytes: Callable[[int], None]
    ) -> tuple[Path, str]:
        """Bring one file into the cache, as `Hub` says.

        Raises:
            SourceError: When it does not come, or is not the file that was listed.
        """
        link = self._cache.folder(repo).joinpath("snapshots", commit, *file.name.split("/"))
        blob = self._cache.blobs(repo) / file.sha256
        with self._explained(repo):
            found = next((p for p in (link, blob) if _has(p, file.sha256)), None)
            if found is None:
                found = self._fetch_blob(repo, file, blob, on_bytes)
            else:
                on_bytes(file.size)
            if found != link:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to("../" * (2 + file.name.count("/")) + f"blobs/{found.name}")
        return link, file.sha256

    def _fetch_blob(
        self, repo: str, file: RemoteFile, blob: Path, on_bytes: Callable[[int], None]
    ) -> Path:
        """Bring the content of a file into the cache, and return where it is."""
        url = self._url(repo, "repo", Revision=file.revision, FilePath=file.name)
        blob.parent.mkdir(parents=True, exist_ok=True)
        partial = blob.with_name(f"{file.sha256}{PARTIAL}")
        with partial.open("ab") as stream:
            on_bytes(stream.tell())
            while (there := stream.tell()) < file.size:
                try:
                    self._continue(url, stream, file.size, on_bytes)
                except OSError as error:
                    # A connection that brought something is worth another try.
                    if stream.tell() <= there or isinstance(error, HTTPError) or refusal(error):
                        raise
                if stream.tell() <= there:
                    break
        if sha256_of(partial) != file.sha256:
            partial.unlink()
            raise wrong_bytes(repo, file)
        if file.size < LARGE:  # Hugging Face has it by that name
            blob = blob.with_name(git_blob_of(partial))
        return partial.replace(blob)

    def _continue(
        self, url: str, stream: BinaryIO, size: int, on_bytes: Callable[[int], None]
    ) -> None:
        """Append to `stream` what it lacks of `size` bytes."""
        there = stream.tell()
        headers = {"Range": f"bytes={there}-{size - 1}"} if there else {}
        with self._open(url, headers) as answer:
            if there and answer.status != 206:  # it sends the whole
                on_bytes(-there)
                stream.truncate(0)
            for block in blocks(answer):
                stream.write(block)
                on_bytes(len(block))
                if stream.tell() > size:
                    return

    def _url(self, repo: str, call: str, **query: str) -> str:
        return f"{self._endpoint.url}/api/v1/models/{quote(repo)}/{call}?{urlencode(query)}"

    def _open(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        return open_url(
            url, self._variables, headers, credentials=self._credentials, patience=self._patience
        )

    @contextlib.contextmanager
    def _explained(self, repo: str) -> Iterator[None]:
        """Turn what the standard library raises into a sentence."""
        try:
            yield
        except HTTPError as error:
            raise self._answered(error, repo) from error
        except (OSError, ValueError) as error:
            if known := refusal(error):
                what = f"{known.what}, so {repo} is not whole"
                raise SourceError(what, where=known.where, fix=known.fix) from error
            cause = getattr(error, "reason", error)
            kind = type(cause if isinstance(cause, Exception) else error).__name__
            asked = getattr(error, "filename", None)
            raise self._endpoint.unreachable(kind, asked, str(error)) from error

    def _answered(self, error: HTTPError, repo: str) -> HubFailure:
        """Return what an answer with an error means."""
        try:
            said = str(parse_json(error.read(1 << 16))["Message"])
        except (OSError, ValueError, KeyError, TypeError):
            said = ""
        if not said and error.code in (401, 403, 404):
            return self._endpoint.no_hub(str(error.code), error.url)
        if error.code == 404:
            return HubFailure(f"{self._endpoint} has no repository {repo}", fix="check source.repo")
        if error.code in (401, 403):
            fix = "set MODELSCOPE_API_TOKEN, and accept its terms on its page"
            return HubFailure(f"{self._endpoint} does not give you {repo} ({said})", fix=fix)
        return self._endpoint.answered(error.code, repo, error.url)


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256


def _remote_file(listed: Mapping[str, Any], branch: str) -> RemoteFile:
    name, size = str(listed["Path"]), int(listed["Size"])
    return RemoteFile(name, size, sha256=str(listed.get("Sha256") or ""), revision=branch)
