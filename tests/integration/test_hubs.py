"""Models from ModelScope, and mirrors that answer wrongly, by servers on loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from pathlib import Path

import msgspec
import pytest

from orchestrator.engines.ray.node_weights import ensure_weights
from orchestrator.errors import ManifestError, SourceError
from orchestrator.sources.model_sources import Sources
from orchestrator.sources.modelscope import ModelScope
from orchestrator.system.home import Home
from orchestrator.workspace import Workspace
from tests.hub import COMMITS, serving
from tests.integration.test_sources import FILES, MANIFEST, WANTED, WEIGHTS, declared
from tests.models import Notes

PIN = COMMITS["main"]
PINNED = MANIFEST.replace("revision: main", f"revision: '{PIN}'")
LARGE = WEIGHTS * 5000


@pytest.fixture
def hub():
    with serving(dict(FILES)) as hub:
        yield hub


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def variables(tmp_path, hub):
    return {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.url,
        "MODELSCOPE_DOMAIN": hub.url,
        "MM_HUB": "modelscope",
    }


@pytest.fixture
def sources(tmp_path, variables, notes):
    return Sources(Home(tmp_path / "mm"), variables, notes)


@pytest.fixture
def tiny(tmp_path):
    return declared(tmp_path, PINNED)


def know(tiny, files, commit=PIN):
    known = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    tiny.env_directory.mkdir(parents=True)
    (tiny.env_directory / "files.json").write_text(json.dumps({commit: known}))


def make_large(hub):
    hub.files["master"]["weights.bin"] = LARGE  # the same files as those of the commit


def test_the_files_come_from_modelscope_and_their_record_says_so(sources, tiny, hub, notes):
    record = sources.pull(tiny)
    assert sorted(record.files) == WANTED
    assert all(record.file(name).read_bytes() == FILES[name] for name in WANTED)
    assert sources.ready(tiny) == record
    assert (record.hub, record.repo, record.revision) == ("modelscope", "owner/model", PIN)
    assert notes.notes[0].startswith("tiny: 2.58 kB in 4 files from owner/model of modelscope at ")
    assert notes.notes[1] == (
        "tiny: 4 of them can be compared with the list of modelscope alone, because their hashes "
        "at 111111111111 are not known here"
    )
    assert len(hub.downloads()) == len(WANTED)
    sources.pull(tiny)
    assert len(hub.downloads()) == len(WANTED)


def test_where_files_come_from_changes_nothing_when_their_hashes_are_known(sources, tiny, notes):
    know(tiny, FILES)
    from_modelscope = sources.pull(tiny)
    assert from_modelscope.commit == PIN
    assert len(notes.notes) == 1
    from_huggingface = sources.pull(tiny, hub="huggingface")
    assert from_huggingface == from_modelscope


@pytest.mark.parametrize("from_hub", ["huggingface", "modelscope"])
@pytest.mark.parametrize("name", ["model.py", "weights.bin"])
def test_another_file_than_that_of_the_commit_is_refused(sources, tiny, from_hub, name):
    know(tiny, {**FILES, name: b"as its author published it"})
    with pytest.raises(SourceError, match=f"{from_hub} has another {name} than the commit 1111"):
        sources.pull(tiny, hub=from_hub)
    assert not sources.has_weights(tiny.manifest)


def test_a_broken_list_of_hashes_is_not_passed_over(sources, tiny, hub):
    know(tiny, FILES)
    (tiny.env_directory / "files.json").write_text("[]")
    with pytest.raises(ManifestError, match="holds no hashes of files by commit"):
        sources.pull(tiny)


def test_a_download_from_modelscope_is_removed_as_any_other(sources, tiny, hub):
    record = sources.pull(tiny)
    assert sources.remove("tiny", download=True) >= len(WEIGHTS)
    assert not Path(record.path).exists()


def test_what_one_hub_has_brought_another_does_not_fetch_again(sources, tiny, hub):
    make_large(hub)
    sources.pull(tiny)
    asked = len(hub.requests)
    sources.pull(tiny, hub="huggingface")
    assert not [each for each in hub.requests[asked:] if each.startswith("GET /owner")]
    assert sources.remove("tiny", download=True) == 0  # modelscope's snapshot has them still


def test_a_download_that_one_hub_broke_off_goes_on_at_another(sources, tiny, hub):
    make_large(hub)
    hub.cut, hub.refuse_later = [len(LARGE) - 1000], (503, "Busy")
    with pytest.raises(SourceError, match="answered 503"):
        sources.pull(tiny, hub="huggingface")
    hub.refuse = None
    asked = len(hub.requests)
    record = sources.pull(tiny)
    assert record.file("weights.bin").read_bytes() == LARGE
    (start,) = [each for each in hub.requests[asked:] if "bytes=" in each]
    assert int(start.split("=")[1].split("-")[0]) > 0


@pytest.mark.parametrize("ranges", [True, False], ids=["parts", "whole"])
def test_a_broken_connection_goes_on_where_it_stopped(sources, tiny, hub, ranges):
    make_large(hub)
    hub.cut, hub.ranges = [len(LARGE) - 1000], ranges
    assert sources.pull(tiny).file("weights.bin").read_bytes() == LARGE


def test_other_bytes_than_were_listed_are_refused_and_removed(sources, tiny, hub, variables):
    for name in ("model.py", "weights.bin"):
        hub.corrupt = {name}
        with pytest.raises(SourceError, match="another hash than the hub lists") as caught:
            sources.pull(tiny)
        assert name in caught.value.where
    hub.corrupt = set()
    assert sources.pull(tiny).file("weights.bin").read_bytes() == WEIGHTS


def test_a_body_that_ends_early_is_refused(sources, tiny, hub):
    make_large(hub)
    hub.short = 1000
    with pytest.raises(SourceError, match="another hash than the hub lists"):
        sources.pull(tiny)


def test_a_branch_and_a_name_that_modelscope_has_otherwise(sources, tmp_path, hub):
    hub.files["v1"] = {**FILES, "model.py": b"x = 5\n"}
    other = MANIFEST.replace("owner/model", "there/other").replace("revision: main", "revision: v1")
    model = declared(tmp_path, other.replace("source: {", "source: {modelscope: owner/model, "))
    record = sources.pull(model)
    assert record.file("model.py").read_bytes() == b"x = 5\n"
    assert record.repo == "there/other"
    unknown = declared(tmp_path, MANIFEST.replace("revision: main", "revision: v2"))
    with pytest.raises(SourceError, match="has no branch v2 of owner/model"):
        sources.pull(unknown)


def test_a_node_asks_the_hub_that_the_files_are_from(sources, tiny, hub, variables, tmp_path):
    record = sources.pull(tiny)
    shutil.rmtree(variables["HF_HOME"])  # it is another machine's
    del variables["MM_HUB"]
    node = Workspace({**variables, "MM_HOME": str(tmp_path / "node")}, tmp_path)
    asked = len(hub.requests)
    ensure_weights(node, tiny, msgspec.json.encode(record), "")
    assert node.sources.record("tiny").hub == "modelscope"
    assert hub.requests[asked] == "GET /api/v1/models/owner/model/repo/files"


LOGIN = (200, {"Content-Type": "text/html"}, b"<html>log in</html>")


def message(status, text):
    return status, {}, json.dumps({"Code": 1, "Message": text}).encode()


MODELSCOPE_SAYS = {
    "a login page": (LOGIN, "answers, but not as a hub of models (a page of HTML)"),
    "404 for all": ((404, {}, b"not found"), "answers, but not as a hub of models (404)"),
    "401 of a proxy": ((401, {}, b""), "answers, but not as a hub of models (401)"),
    "no repository": (message(404, "no such model"), "has no repository owner/model"),
    "private": (message(401, "log in first"), "does not give you owner/model (log in first)"),
    "too many": (message(429, "slow down"), "answered 429 for owner/model"),
    "broken": ((500, {}, b""), "answered 500 for owner/model"),
    "away": ((503, {}, b""), "answered 503 for owner/model"),
    "other JSON": ((200, {}, b"[]"), "answers, but not as a hub of models (other JSON)"),
}


@pytest.mark.parametrize("case", MODELSCOPE_SAYS)
def test_what_modelscope_refuses_ends_with_the_commands_that_help(sources, tiny, hub, case):
    hub.says, said = MODELSCOPE_SAYS[case]
    with pytest.raises(SourceError) as caught:
        sources.pull(tiny)
    assert f"{hub.url} (MODELSCOPE_DOMAIN) {said}" in str(caught.value)
    assert caught.value.fix.endswith(
        "other ways: HF_ENDPOINT=https://huggingface.co mm model pull tiny --from huggingface; "
        "mm model pull tiny --from huggingface; mm model add tiny DIR"
    )


MIRROR_SAYS = {
    "a login page": (LOGIN, "answers, but not as a hub of models (a page of HTML)"),
    "404 for all": ((404, {}, b"not found"), "answers, but not as a hub of models (404)"),
    "403 of a proxy": ((403, {}, b""), "answers, but not as a hub of models (403)"),
    "418": ((418, {}, b""), "answered 418 for owner/model"),
}


@pytest.mark.parametrize("case", MIRROR_SAYS)
def test_a_mirror_that_answers_wrongly_is_named_with_its_setting(
    sources, tiny, hub, variables, case
):
    hub.says, said = MIRROR_SAYS[case]
    del variables["MM_HUB"]
    with pytest.raises(SourceError) as caught:
        sources.pull(tiny)
    assert f"{hub.url} (HF_ENDPOINT) {said}" in str(caught.value)
    assert caught.value.fix.endswith(
        "other ways: HF_ENDPOINT=https://huggingface.co mm model pull tiny; "
        "mm model pull tiny --from modelscope; mm model add tiny DIR"
    )


@pytest.mark.parametrize(
    ("from_hub", "setting"), [("huggingface", "HF_ENDPOINT"), ("modelscope", "MODELSCOPE_DOMAIN")]
)
def test_a_hub_that_redirects_to_another_host_is_told_apart(sources, tiny, hub, from_hub, setting):
    hub.says = (307, {"Location": "http://127.0.0.1:9/elsewhere"}, b"")
    with pytest.raises(SourceError) as caught:
        sources.pull(tiny, hub=from_hub)
    assert str(caught.value).startswith(
        f"{hub.url} ({setting}) redirects to 127.0.0.1:9, which could not be reached"
    )
    with serving({}) as other:
        other.says = LOGIN
        hub.says = (307, {"Location": f"{other.url}/login"}, b"")
        with pytest.raises(SourceError) as caught:
            sources.pull(tiny, hub=from_hub)
    host = other.url.removeprefix("http://")
    assert str(caught.value).startswith(
        f"{hub.url} ({setting}) redirects to {host}, which answers, but not as a hub of models"
    )


def test_a_hub_that_is_not_there(tmp_path, tiny, variables):
    variables["MODELSCOPE_DOMAIN"] = "http://127.0.0.1:9"
    with pytest.raises(SourceError, match="could not be reached") as caught:
        Sources(Home(tmp_path / "mm"), variables, Notes()).pull(tiny)
    assert "http://127.0.0.1:9 (MODELSCOPE_DOMAIN)" in str(caught.value)


def test_a_hub_that_stays_silent_is_waited_for_no_longer_than_its_patience(hub, variables):
    hub.silent = threading.Event()
    with pytest.raises(SourceError, match="connection broke"):
        ModelScope(variables, patience=0.1).list("owner/model", "main", ())


def test_the_token_of_modelscope_is_for_itself_alone(sources, tiny, hub, variables):
    variables["MODELSCOPE_API_TOKEN"] = "ms-1"
    variables["HF_TOKEN"] = "hf-1"
    with serving({}) as storage:
        storage.says = LOGIN
        ModelScope(variables).list("owner/model", "main", ())
        hub.says = (302, {"Location": f"{storage.url}/list"}, b"")
        with pytest.raises(SourceError):
            ModelScope(variables).list("owner/model", "main", ())
        assert storage.requests
        assert storage.tokens == set()
    assert hub.tokens == {"Bearer ms-1"}


def test_a_name_that_leads_outside_is_refused(sources, tiny, hub):
    hub.files["master"]["../outside.py"] = b"x = 1\n"
    with pytest.raises(SourceError, match="outside"):
        sources.pull(tiny)


def test_the_commands(mm, hub, tmp_path, variables):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "tiny.yaml").write_text(MANIFEST)
    named = ["--manifests", str(tmp_path / "manifests")]
    variables["MM_HOME"] = str(tmp_path / "home")
    variables["MM_HUB"] = "elsewhere"
    refused = mm("model", "pull", "tiny", *named, variables=variables)
    assert (refused.code, refused.sentence) == (
        2, "mm: MM_HUB: 'elsewhere' is no hub; use huggingface or modelscope",
    )  # fmt: skip
    pulled = mm("model", "pull", "tiny", "--from", "modelscope", *named, variables=variables)
    assert (pulled.code, pulled.out) == (0, "")
    assert hub.requests[0] == "GET /api/v1/models/owner/model/repo/files"
    assert pulled.sentence.endswith(" of modelscope")
    variables["MM_HUB"], variables["HF_HUB_OFFLINE"] = "modelscope", "1"
    offline = mm("model", "pull", "tiny", *named, variables=variables)
    assert offline.code == 4
    assert offline.sentence == (
        "mm: HF_HUB_OFFLINE forbids the network, and tiny is to be pulled; "
        "unset HF_HUB_OFFLINE, or use a directory that you have: "
        f"mm --manifests={tmp_path / 'manifests'} model add tiny DIR"
    )
