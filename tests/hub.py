"""Hubs of models on loopback, and ways to fail.

One server answers as Hugging Face, as far as huggingface_hub asks it, and as ModelScope.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMITS = {"main": "1" * 40, "older": "2" * 40}
MODELSCOPE = "/api/v1/models/owner/model"
LARGE = 100
"""From this size on a file is stored by its SHA-256, as the hub has it for weights."""


@dataclass
class LoopbackHub:
    """One repository, `owner/model`; its files may be changed at any time.

    Attributes:
        files: By commit, then by name.
        refs: Commits by branch.
        cut: How many bytes of a large file are sent before the connection breaks, one for each
            time; then it is sent whole.
        refuse_later: What `refuse` becomes when a connection was cut.
        refuse: A status and an `X-Error-Code` to answer everything with.
        corrupt: Names of files of which other bytes are sent than are listed.
        says: A status, headers and a body to answer everything with, as what is no hub does.
        ranges: Whether a part of a file is sent where one is asked for.
        short: How many bytes each large file has too few, without a word of it.
        silent: Whether nothing is answered at all.
        requests: Method and path of what was asked for, with the range where there was one.
        tokens: The authorizations that were sent.
    """

    files: dict[str, dict[str, bytes]]
    refs: dict[str, str] = field(default_factory=lambda: dict(COMMITS))
    cut: list[int] = field(default_factory=list)
    refuse: tuple[int, str] | None = None
    refuse_later: tuple[int, str] | None = None
    corrupt: set[str] = field(default_factory=set)
    says: tuple[int, dict[str, str], bytes] | None = None
    ranges: bool = True
    short: int = 0
    silent: threading.Event | None = None
    requests: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    url: str = ""

    def downloads(self) -> list[str]:
        """Return the files that were sent, in order."""
        files = ("GET /owner", f"GET {MODELSCOPE}/repo ")
        return [each for each in self.requests if f"{each} ".startswith(files)]


@contextlib.contextmanager
def serving(files: dict[str, bytes]) -> Iterator[LoopbackHub]:
    """Serve a hub whose branch `main`, at ModelScope `master`, has `files`."""
    hub = LoopbackHub({COMMITS["main"]: files, "master": files})
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield hub
        finally:
            if hub.silent:
                hub.silent.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub

    def do_GET(self) -> None:
        self._answer(head=False)

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def log_message(self, *arguments: object) -> None:
        """Be quiet."""

    def _answer(self, *, head: bool) -> None:
        hub = self.hub
        path = unquote(urlsplit(self.path).path)
        span = self.headers.get("Range", "")
        hub.requests.append(f"{self.command} {path} {span}".strip())
        if token := self.headers.get("Authorization"):
            hub.tokens.add(token)
        if hub.silent:
            hub.silent.wait()
        if hub.says:
            self._send(*hub.says)
        elif hub.refuse:
            self._refuse(*hub.refuse)
        elif path == f"{MODELSCOPE}/repo/files":
            self._list_modelscope()
        elif path == f"{MODELSCOPE}/repo":
            self._file(self._query("Revision"), self._query("FilePath"), span, head=head)
        elif path.startswith("/api/models/owner/model/revision/"):
            self._list(path.rpartition("/")[2])
        elif path.startswith("/owner/model/resolve/"):
            revision, _, name = path.removeprefix("/owner/model/resolve/").partition("/")
            self._file(hub.refs.get(revision, revision), name, span, head=head)
        else:
            self._refuse(404, "RepoNotFound")

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _list(self, revision: str) -> None:
        commit = self.hub.refs.get(revision, revision)
        if commit not in self.hub.files:
            self._refuse(404, "RevisionNotFound")
            return
        siblings = []
        for name, data in self.hub.files[commit].items():
            entry: dict[str, Any] = {
                "rfilename": name,
                "size": len(data),
                "blobId": _git_blob(data),
            }
            if len(data) >= LARGE:
                sha256 = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
            siblings.append(entry)
        body = json.dumps({"id": "owner/model", "sha": commit, "siblings": siblings}).encode()
        self._send(200, {"Content-Type": "application/json"}, body)

    def _list_modelscope(self) -> None:
        """Answer as ModelScope does: an unknown branch has a list that is null."""
        files = self.hub.files.get(self._query("Revision"))
        listed = None if files is None else [{"Path": "sub", "Type": "tree", "Size": 0}]
        for name, data in (files or {}).items():
            sha256 = hashlib.sha256(data).hexdigest()
            listed += [{"Path": name, "Type": "blob", "Size": len(data), "Sha256": sha256}]  # type: ignore[operator]
        body = json.dumps({"Code": 200, "Data": {"Files": listed}, "Success": True}).encode()
        self._send(200, {"Content-Type": "application/json"}, body)

    def _query(self, name: str) -> str:
        return parse_qs(urlsplit(self.path).query)[name][0]

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, commit: str, name: str, span: str, *, head: bool) -> None:
        data = self.hub.files.get(commit, {}).get(name)
        if data is None:
            self._refuse(404, "EntryNotFound")
            return
        large = len(data) >= LARGE
        etag = hashlib.sha256(data).hexdigest() if large else _git_blob(data)
        span = span if self.hub.ranges else ""
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
        body = data[start:]
        if name in self.hub.corrupt:
            body = bytes(len(body))
        if self.hub.short and large:
            body = body[: max(0, len(body) - self.hub.short)]
        self.send_response(206 if span else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(body)))
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if head:
            return
        if large and self.hub.cut:
            self.wfile.write(body[: self.hub.cut.pop(0)])
            self.hub.refuse = self.hub.refuse_later
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(body)


def _git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
