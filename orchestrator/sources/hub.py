"""Hubs of models: what each of them offers, which is asked, and the user's cache of their files.

Every hub's files go into the user's own cache of Hugging Face, by their hashes: what one hub has
brought, another does not fetch again, and what was broken off there goes on here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from orchestrator.core.endpoints import HUGGING_FACE, HUGGING_FACE_MIRROR
from orchestrator.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HUGGINGFACE = "huggingface"
MODELSCOPE = "modelscope"
HUBS = (HUGGINGFACE, MODELSCOPE)

VARIABLE = "MM_HUB"
"""The user's variable that names the hub."""

LARGE = 10 << 20
"""Bytes from which on Hugging Face stores a file by its SHA-256: a broken download is resumed."""

PARTIAL = ".mm-partial"
"""The suffix of a blob that is not whole yet."""

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


class HubFailure(SourceError):
    """A hub does not give the files; another hub, a mirror or a directory may."""


@dataclass(frozen=True)
class RemoteFile:
    """A file in a repository.

    Attributes:
        name: Its path, with `/`.
        size: Bytes.
        sha256: Its hash, where the hub stores it by that; else empty.
        blob: The name of its git blob, where it is stored by that; else empty.
        revision: What it is asked for at, where that is not the commit; else empty.
    """

    name: str
    size: int
    sha256: str
    blob: str = ""
    revision: str = ""


@dataclass(frozen=True)
class Listing:
    """What a repository holds at one commit, or at what stands for one in its hub."""

    commit: str
    files: tuple[RemoteFile, ...]


class Hub(Protocol):
    """A service that has repositories of models."""

    name: str

    def list(self, repo: str, revision: str, include: Sequence[str]) -> Listing:
        """Return the wanted files of `repo` at `revision`, a branch or a commit.

        Raises:
            SourceError: When the hub does not answer, or does not give them.
        """

    def fetch(
        self, repo: str, commit: str, file: RemoteFile, on_bytes: Callable[[int], None]
    ) -> tuple[Path, str]:
        """Bring one file into the cache, resuming an earlier download.

        Args:
            repo: The repository.
            commit: The snapshot of the cache that gets it.
            file: The file, as it was listed.
            on_bytes: Receives how many bytes are there more than before.

        Returns:
            Its path in the snapshot, and its SHA-256.

        Raises:
            SourceError: When it does not come, or is not the file that was listed.
        """


def chosen_hub(asked: str, variables: Mapping[str, str]) -> str:
    """Return the hub to ask: the one that is named, else the one of `MM_HUB`, else Hugging Face.

    Raises:
        UsageError: When `MM_HUB` names none.
    """
    name = asked or variables.get(VARIABLE) or HUGGINGFACE
    if name not in HUBS:
        raise UsageError(f"{name!r} is no hub", where=VARIABLE, fix=f"use {' or '.join(HUBS)}")
    return name


def open_hub(name: str, variables: Mapping[str, str]) -> Hub:
    """Return the hub of that name, as the user's variables have it."""
    # Imported here: one of them brings a large library.
    if name == MODELSCOPE:
        from orchestrator.sources.modelscope import ModelScope

        return ModelScope(variables)
    from orchestrator.sources.huggingface import HuggingFace

    return HuggingFace(variables)


def other_ways(model: str, hub: str, variables: Mapping[str, str]) -> str:
    """Return the commands that may bring the files of a model where `hub` does not."""
    public = hugging_face(variables).url == HUGGING_FACE
    mirror = HUGGING_FACE_MIRROR if public else HUGGING_FACE
    pull = f"mm model pull {model}"
    other = f"{pull} --from {HUGGINGFACE if hub == MODELSCOPE else MODELSCOPE}"
    asks_mirror = hub == HUGGINGFACE and not variables.get(VARIABLE)
    mirrored = f"HF_ENDPOINT={mirror} {pull}{'' if asks_mirror else f' --from {HUGGINGFACE}'}"
    return f"other ways: {mirrored}; {other}; mm model add {model} DIR"


def hugging_face(variables: Mapping[str, str]) -> Endpoint:
    """Return Hugging Face, or the mirror of it that `HF_ENDPOINT` names."""
    chosen = variables.get("HF_ENDPOINT", "").rstrip("/")
    return Endpoint(chosen or HUGGING_FACE, "HF_ENDPOINT" if chosen else "")


def check_online(variables: Mapping[str, str], model: str) -> None:
    """Check that the user has not forbidden the network, before a model is pulled.

    Raises:
        SourceError: When a variable forbids it.
    """
    for name in OFFLINE:
        if variables.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
            raise SourceError(
                f"{name} forbids the network, and {model} is to be pulled",
                fix=f"unset {name}, or use a directory that you have: mm model add {model} DIR",
            )


def wrong_bytes(repo: str, file: RemoteFile) -> SourceError:
    """Return the error for a file that is not what was listed, and was removed."""
    return HubFailure(
        "arrived with another hash than the hub lists, and was removed",
        where=f"{repo}: {file.name}",
        fix="pull it again; where it happens again, the mirror or the network is at fault",
    )


@dataclass(frozen=True)
class Endpoint:
    """Where a hub is asked, and the errors that name it.

    Attributes:
        url: Its address, without a `/` at its end.
        variable: The user's variable that says so, or nothing.
    """

    url: str
    variable: str

    def __str__(self) -> str:
        return f"{self.url} ({self.variable})" if self.variable else self.url

    def no_hub(self, why: str, final: str = "") -> HubFailure:
        """Return the error for a server that answers, and is no hub.

        Args:
            why: What it answered.
            final: The URL that answered.
        """
        return HubFailure(
            f"{self._redirect(final) or self} answers, but not as a hub of models ({why})",
            fix="open that address in a browser: it may want a login, or be no mirror of models",
        )

    def unreachable(self, why: str, final: str | None, detail: str) -> HubFailure:
        """Return the error for a hub that does not answer, or breaks off.

        Args:
            why: What happened, in a word.
            final: The URL that was asked last.
            detail: What the library beneath says.
        """
        place = self._redirect(final or "")
        what = f"{place or self} could not be reached, or the connection broke ({why})"
        return HubFailure(what, fix="run it again: it goes on where it stopped", detail=detail)

    def answered(self, status: int, repo: str, final: str = "") -> HubFailure:
        """Return the error for an answer with an error."""
        what = f"{self._redirect(final) or self} answered {status} for {repo}"
        fix = "wait a minute, and run it again" if status == 429 or status >= 500 else ""
        return HubFailure(what, fix=fix, detail=f"HTTP {status}: {final}")

    def _redirect(self, final: str) -> str:
        """Return who was asked and to whom it led, if to another host."""
        host = urlsplit(final).netloc
        if host in ("", urlsplit(self.url).netloc):
            return ""
        return f"{self} redirects to {host}, which"


class HubCache:
    """The user's own cache of Hugging Face: content by its hash, and links to it by snapshot.

    Args:
        variables: The user's environment variables.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        get = variables.get
        if chosen := get("HF_HUB_CACHE") or get("HUGGINGFACE_HUB_CACHE"):
            path = Path(chosen)
        elif home := get("HF_HOME"):
            path = Path(home, "hub")
        else:
            path = Path(get("XDG_CACHE_HOME") or "~/.cache", "huggingface", "hub")
        self.path = path.expanduser()

    def folder(self, repo: str) -> Path:
        """Return the directory of a repository."""
        return self.path / f"models--{repo.replace('/', '--')}"

    def blobs(self, repo: str) -> Path:
        """Return the directory of the content of a repository's files."""
        return self.folder(repo) / "blobs"

    def remove(self, commit: str) -> int:
        """Remove a snapshot, and the blobs that no other one uses, and return the bytes freed."""
        from huggingface_hub import scan_cache_dir

        if not self.path.is_dir():
            return 0
        strategy = scan_cache_dir(self.path).delete_revisions(commit)
        strategy.execute()
        return int(strategy.expected_freed_size)
