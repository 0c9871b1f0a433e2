"""Requirements of the form `git+https://HOST/REPO@COMMIT#subdirectory=FOLDER`."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from orchestrator.errors import UsageError

PREFIX = "git+"
_FORM = re.compile(
    r"(?P<url>[a-z]+://[^/#]*(?:/[^#]*?)?)(?:@(?P<revision>[^@:#]*))?(?:#(?P<fragment>.*))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SUBDIRECTORY = re.compile(r"subdirectory=([\w.-]+(?:/[\w.-]+)*)", re.ASCII)


class GitRequirement(NamedTuple):
    """A package in a commit of a git repository; `subdirectory` is empty for its top."""

    url: str
    commit: str
    subdirectory: str = ""


def read_git_requirement(text: str) -> GitRequirement:
    """Return what `text`, which begins with `git+`, names.

    Raises:
        UsageError: When it names a branch, a tag or part of a commit, holds credentials, or cannot
            be read.
    """
    found = _FORM.fullmatch(text.removeprefix(PREFIX))
    url, revision = (found["url"], found["revision"] or "") if found else ("", "")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "ssh", "file"):
        raise UsageError("git is asked over https, ssh or file", fix=f"write {PREFIX}https://…")
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise UsageError(
            f"the URL of the repository at {parts.hostname} holds credentials",
            fix="leave them out: git takes them from its credential helper",
        )
    if not _COMMIT.fullmatch(revision):
        what = f"{revision!r} may come to mean another commit" if revision else "no commit is named"
        raise UsageError(
            what,
            where=PREFIX + url,
            fix=f"write the full commit after @, as in: git ls-remote {url} {revision}".rstrip(),
        )
    fragment = found["fragment"] if found else None
    folder = _SUBDIRECTORY.fullmatch(fragment) if fragment else None
    if fragment and (folder is None or ".." in folder[1].split("/")):
        raise UsageError(f"{fragment!r} is not subdirectory=FOLDER", where=PREFIX + url)
    return GitRequirement(url, revision, folder[1] if folder else "")
