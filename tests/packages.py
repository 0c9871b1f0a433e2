"""Packages that tests make themselves, and a package index on loopback that serves them."""

import base64
import contextlib
import hashlib
import io
import tarfile
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


def make_wheel(directory, name, version, *, requires=(), files=None, tag="py3-none-any", padding=0):
    """Write a wheel of a package with one module and return its path.

    `padding` adds that many incompressible bytes.
    """
    module = name.replace("-", "_")
    stem = f"{module}-{version}"
    contents = {f"{module}/__init__.py": f"__version__ = {version!r}\n".encode()}
    contents |= {path: data.encode() for path, data in (files or {}).items()}
    if padding:
        contents[f"{module}/padding.bin"] = noise(padding, name)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    info = f"{stem}.dist-info"
    contents[f"{info}/METADATA"] = metadata.encode()
    contents[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    )
    record = "".join(
        f"{path},sha256={_urlsafe(data)},{len(data)}\n" for path, data in contents.items()
    )
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = Path(directory) / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name_inside, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name_inside, (2020, 1, 1, 0, 0, 0)), data)
    return path


BUILDER = """\
import pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name, version = pathlib.Path("PKG-INFO").read_text().split("\\n")[1:3]
    name, version = name.split(": ")[1], version.split(": ")[1]
    info = f"{name}-{version}.dist-info"
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / wheel, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"__version__ = {version!r}\\n")
        archive.writestr(f"{info}/METADATA", pathlib.Path("PKG-INFO").read_text())
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        )
        archive.writestr(f"{info}/RECORD", f"{name}/__init__.py,,\\n{info}/METADATA,,\\n")
    return wheel
"""
"""A build backend (PEP 517) in a few lines, so that tests need no setuptools."""


def make_builder(directory, version="1.0"):
    """Write a wheel of the build backend `builder` and return its path."""
    return make_wheel(directory, "builder", version, files={"builder/__init__.py": BUILDER})


def source_files(name, version, *, requires=("builder",), more=""):
    """Return the texts of a package that `builder` builds; `more` ends its metadata."""
    return {
        "pyproject.toml": (
            f'[build-system]\nrequires = {list(requires)!r}\nbuild-backend = "builder"\n'
        ),
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n{more}",
    }


def make_source(directory, name, version, *, requires=("builder",)):
    """Write a source package that `builder` builds and return its path."""
    files = source_files(name, version, requires=requires)
    stem = f"{name}-{version}"
    path = Path(directory) / f"{stem}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for inside, text in files.items():
            data = text.encode()
            member = tarfile.TarInfo(f"{stem}/{inside}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def noise(size, seed):
    """Return bytes that do not compress, the same for the same seed."""
    return hashlib.shake_256(seed.encode()).digest(size)


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _urlsafe(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@dataclass
class Index:
    """A package index: what it serves, and how it misbehaves.

    Attributes:
        files: A directory of wheels and source packages.
        prefix: The path under which it is served.
        broken: Names of files of which only the first half is sent.
        tampered: Names of wheels that are sent with another hash.
        down: Whether every answer is an error.
        down_after: After how many answers every further one is an error.
        parts: Whether it sends parts of files.
        closed: Holds the answers with files back while it is set.
        arrived: The paths that were asked for.
        asked: Those that were answered.
    """

    files: Path
    prefix: str = "/simple"
    broken: set = field(default_factory=set)
    tampered: set = field(default_factory=set)
    down: bool = False
    down_after: int | None = None
    parts: bool = True
    closed: threading.Event = field(default_factory=threading.Event)
    asked: list = field(default_factory=list)
    arrived: list = field(default_factory=list)
    url: str = ""

    def answer(self, path):
        """Return (status, content type, bytes, bytes to announce) for a path."""
        self.asked.append(path)
        parts = [part for part in unquote(path).removeprefix(self.prefix).split("/") if part]
        down = self.down or (self.down_after is not None and len(self.asked) > self.down_after)
        if down or not path.startswith(self.prefix):
            return (503 if down else 404), "text/plain", b"no", 2
        if (self.files / "/".join(parts)).is_file():
            return self._file("/".join(parts))
        if len(parts) == 2 and parts[0] == "files":
            return self._file(parts[1])
        if len(parts) == 1:
            return self._page(parts[0])
        return 404, "text/plain", b"no", 2

    def _page(self, project):
        found = [
            path
            for path in sorted(self.files.iterdir())
            if path.name.split("-")[0].replace("_", "-").lower() == project
        ]
        if not found:
            return 404, "text/plain", b"no", 2
        links = "".join(
            f'<a href="{self.prefix}/files/{path.name}#sha256={sha256(path)}">{path.name}</a>\n'
            for path in found
        )
        page = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        return 200, "text/html", page, len(page)

    def _file(self, name):
        path = self.files / name
        if not path.is_file():
            return 404, "text/plain", b"no", 2
        data = path.read_bytes()
        if name in self.tampered:
            # Still a sound archive, with a comment of one letter at its end.
            data = data[:-2] + b"\x01\x00x"
        sent = data[: len(data) // 2] if name in self.broken else data
        return 200, "application/octet-stream", sent, len(data)


@contextlib.contextmanager
def serving(index):
    """Serve `index` on loopback while the block runs; `index.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            index.arrived.append(self.path)
            while index.closed.is_set() and "/files/" in self.path:
                time.sleep(0.02)
            status, kind, data, announced = index.answer(self.path)
            part = self.headers.get("Range", "")
            if status == 200 and part and index.parts:
                first, _, last = part.removeprefix("bytes=").partition("-")
                begin = int(first) if first else max(0, len(data) - int(last))
                end = min(len(data), int(last) + 1 if first else len(data))
                status, total = 206, len(data)
                data, announced = data[begin:end], end - begin
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{total}")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            # A client that was killed is no error of the server's.
            if self.command == "GET":
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(data)

        def log_message(self, *words):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}{index.prefix}"
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
