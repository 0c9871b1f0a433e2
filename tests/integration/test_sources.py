"""Models pulled from a hub on loopback, added from a directory, checked and removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.catalog import Declared, Origin
from orchestrator.core.manifest_reader import read_manifest
from orchestrator.errors import SourceError, UsageError
from orchestrator.sources.model_sources import Sources
from orchestrator.system.home import Home
from orchestrator.system.reporter import Silent
from tests.hub import COMMITS, serving
from tests.models import Notes

MANIFEST = """\
name: tiny
task: read
summary: A model for tests
environment: {python: ">=3.10", dependencies: []}
source: {repo: owner/model, revision: main, include: ["*.json", "*.py", "*.bin"], size: 3 kB}
inputs: {text: {type: text}}
outputs: {text: {type: text}}
"""

WEIGHTS = bytes(range(256)) * 10

FILES = {
    "config.json": b'{"a": 1}\n',
    "model.py": b"x = 1\n",
    "sub/other.py": b"y = 2\n",
    "weights.bin": WEIGHTS,
    "notes.md": b"not wanted",
}

WANTED = sorted(set(FILES) - {"notes.md"})


@pytest.fixture
def hub():
    with serving(dict(FILES)) as hub:
        yield hub


@pytest.fixture
def variables(tmp_path, hub):
    # A retry of the library waits; a test should not.
    return {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url, "HF_TOKEN": "secret"}


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def sources(tmp_path, variables, notes):
    return Sources(Home(tmp_path / "mm"), variables, notes)


@pytest.fixture
def tiny(tmp_path):
    return declared(tmp_path, MANIFEST)


def declared(directory, text):
    manifest = read_manifest(text.encode(), file="tiny.yaml", stem="tiny")
    file = directory / "manifests" / "tiny.yaml"
    return Declared(manifest, Origin.OPTION, file, directory / "envs", "digest", "tiny.yaml")


def add_directory(directory):
    for name, data in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return directory


def test_a_pull_brings_the_wanted_files_of_one_commit(sources, tiny, hub, notes):
    record = sources.pull(tiny)
    assert record.commit == COMMITS["main"]
    assert sorted(record.files) == WANTED
    assert all(record.file(name).read_bytes() == FILES[name] for name in WANTED)
    assert sources.has_weights(tiny.manifest)
    assert sources.ready(tiny) == record
    assert hub.tokens == {"Bearer secret"}
    # The size is said before anything comes.
    assert notes.notes[0].startswith("tiny: 2.58 kB in 4 files from owner/model at 111111111111")


def test_the_users_own_cache_is_used_and_nothing_is_fetched_twice(sources, tiny, hub, variables):
    record = sources.pull(tiny)
    assert Path(record.path).is_relative_to(Path(variables["HF_HOME"], "hub"))
    assert record.file("weights.bin").is_symlink()
    assert len(hub.downloads()) == len(WANTED)
    sources.pull(tiny)
    assert len(hub.downloads()) == len(WANTED)


def test_a_branch_is_resolved_at_the_first_pull(sources, tiny, hub):
    sources.pull(tiny)
    hub.files["3" * 40] = {**FILES, "model.py": b"x = 3\n"}
    hub.refs["main"] = "3" * 40
    assert sources.pull(tiny).commit == COMMITS["main"]
    updated = sources.pull(tiny, update=True)
    assert updated.commit == "3" * 40
    assert updated.file("model.py").read_bytes() == b"x = 3\n"


def test_a_broken_connection_goes_on_where_it_stopped(sources, tiny, hub):
    large = WEIGHTS * 5000
    hub.files[COMMITS["main"]]["weights.bin"] = large
    hub.cut = [len(large) - 1000]
    record = sources.pull(tiny)
    assert record.file("weights.bin").read_bytes() == large
    (start,) = (int(each.split("=")[1][:-1]) for each in hub.downloads() if "bytes=" in each)
    assert start > 0


def test_a_pull_that_was_cut_short_is_taken_up_by_the_next(sources, tiny, hub):
    large = WEIGHTS * 5000
    hub.files[COMMITS["main"]]["weights.bin"] = large
    hub.cut, hub.refuse_later = [len(large) - 1000], (418, "Teapot")
    with pytest.raises(SourceError, match="answered 418"):
        sources.pull(tiny)
    hub.refuse = None
    asked = len(hub.requests)
    assert sources.pull(tiny).file("weights.bin").read_bytes() == large
    later = [each for each in hub.requests[asked:] if each.startswith("GET /owner")]
    assert len(later) == 1
    assert "bytes=" in later[0]


def test_other_bytes_than_were_listed_are_refused_and_removed(sources, tiny, hub):
    for name in ("model.py", "weights.bin"):
        hub.corrupt = {name}
        with pytest.raises(SourceError, match="another hash than the hub lists") as caught:
            sources.pull(tiny)
        assert name in caught.value.where
        assert not sources.has_weights(tiny.manifest)
    hub.corrupt = set()
    assert sources.pull(tiny).file("weights.bin").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "RepoNotFound", "has no repository owner/model, or it is private"),
        (403, "GatedRepo", "owner/model is gated: its owner asks you to accept the terms first"),
        (404, "RevisionNotFound", "owner/model has no revision main"),
        (418, "Teapot", "answered 418"),
    ],
)
def test_what_a_hub_refuses_is_said_in_plain_words(sources, tiny, hub, status, code, said):
    hub.refuse = (status, code)
    with pytest.raises(SourceError) as caught:
        sources.pull(tiny)
    assert said in str(caught.value)
    assert caught.value.detail


def test_a_hub_that_is_not_there(tmp_path, tiny, variables):
    variables["HF_ENDPOINT"] = "http://127.0.0.1:9"
    nowhere = Sources(Home(tmp_path / "mm"), variables, Silent())
    with pytest.raises(SourceError, match="could not be reached") as caught:
        nowhere.pull(tiny)
    assert caught.value.fix.endswith("mm model add tiny DIR")


def test_offline_is_respected(tmp_path, tiny, variables, hub):
    offline = Sources(Home(tmp_path / "mm"), {**variables, "HF_HUB_OFFLINE": "1"}, Silent())
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE forbids the network"):
        offline.pull(tiny)
    assert hub.requests == []


def test_a_repository_that_lacks_a_wanted_kind_of_file(sources, tiny, hub):
    del hub.files[COMMITS["main"]]["weights.bin"]
    with pytest.raises(SourceError, match=r"no file fits '\*.bin'"):
        sources.pull(tiny)


def test_a_cleaned_cache_is_found_before_a_load(sources, tiny):
    record = sources.pull(tiny)
    record.file("weights.bin").resolve().unlink()
    assert not sources.has_weights(tiny.manifest)
    with pytest.raises(SourceError, match="is not there any more") as caught:
        sources.ready(tiny)
    assert caught.value.exit_code == 4
    assert caught.value.fix == "run: mm model pull tiny"
    sources.pull(tiny)
    assert sources.ready(tiny)


def test_a_manifest_that_asks_for_another_revision_wants_another_pull(sources, tiny, tmp_path):
    sources.pull(tiny)
    other = declared(tmp_path, MANIFEST.replace("revision: main", f"revision: '{'4' * 40}'"))
    with pytest.raises(SourceError, match="its manifest asks for owner/model at 4444"):
        sources.ready(other)


def test_a_directory_is_added_as_it_is(sources, tiny, tmp_path):
    directory = add_directory(tmp_path / "my model é.v2")
    record = sources.add(tiny, directory)
    assert (record.path, sorted(record.files)) == (str(directory), WANTED)
    assert record.commit == ""
    assert sources.verify(tiny) == []


@pytest.mark.parametrize("name", ["model.py", "weights.bin"])
def test_a_file_that_changed_since_is_refused(sources, tiny, tmp_path, name):
    directory = add_directory(tmp_path / "model")
    sources.add(tiny, directory)
    data = (directory / name).read_bytes()
    (directory / name).write_bytes(data[:-1] + b"!")
    os.utime(directory / name, ns=(1, 1))
    with pytest.raises(SourceError, match="changed since it was pulled or added") as caught:
        sources.ready(tiny)
    assert caught.value.fix == f"run: mm model add tiny {directory}"
    assert sources.verify(tiny) == [(name, "has another hash")]
    (directory / name).write_bytes(data)
    assert sources.ready(tiny)


def test_a_shard_that_an_index_names_must_be_there(sources, tiny, tmp_path):
    directory = add_directory(tmp_path / "model")
    index = {"weight_map": {"a": "weights.bin", "b": "weights-2.bin"}}
    (directory / "model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(SourceError, match="names weights-2"):
        sources.add(tiny, directory)


def test_what_cannot_be_added(sources, tiny, tmp_path):
    with pytest.raises(UsageError, match="not a directory"):
        sources.add(tiny, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"no file fits '\*.json'"):
        sources.add(tiny, tmp_path / "empty")


def test_removing_leaves_what_is_the_users(sources, tiny, tmp_path, variables):
    directory = add_directory(tmp_path / "model")
    sources.add(tiny, directory)
    sources.remove("tiny", download=True)
    assert sources.record("tiny") is None
    assert (directory / "weights.bin").read_bytes() == WEIGHTS
    record = sources.pull(tiny)
    sources.remove("tiny")
    assert record.file("weights.bin").is_file()
    sources.pull(tiny)
    assert sources.remove("tiny", download=True) >= len(WEIGHTS)
    assert not Path(record.path).exists()


def test_the_commands(mm, hub, tmp_path, variables):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "tiny.yaml").write_text(MANIFEST)
    named = ["--manifests", str(tmp_path / "manifests")]
    variables["MM_HOME"] = str(tmp_path / "home")
    # The widths of the columns depend on the other models.
    rows = mm("model", "list", *named, variables=variables).out.splitlines()
    assert "tiny read not pulled (3 kB) A model for tests" in [" ".join(r.split()) for r in rows]
    refused = mm("run", "tiny", *named, "--text", "x", variables=variables)
    assert (refused.code, refused.sentence) == (
        4,
        f"mm: tiny needs its weights; run: mm --manifests={tmp_path}/manifests model pull tiny",
    )
    pulled = mm("model", "pull", "tiny", *named, variables=variables)
    assert (pulled.code, pulled.out) == (0, "")
    assert pulled.sentence == "mm: tiny: whole, at 111111111111"
    path = mm("model", "path", "tiny", *named, variables=variables).out.strip()
    assert Path(path, "model.py").read_bytes() == b"x = 1\n"
    shown = json.loads(mm("model", "show", "tiny", *named, variables=variables).out)
    assert (shown["weights"], shown["source"]["commit"]) == ("pulled", COMMITS["main"])
    assert mm("model", "verify", *named, variables=variables).code == 0
    Path(path, "model.py").resolve().write_bytes(b"x = 2\n")
    broken = mm("model", "verify", "tiny", *named, variables=variables)
    assert (broken.code, broken.out) == (4, "tiny: model.py has another hash\n")
    assert mm("model", "remove", "tiny", *named, variables=variables).code == 0
    assert mm("model", "path", "tiny", *named, variables=variables).code == 4
