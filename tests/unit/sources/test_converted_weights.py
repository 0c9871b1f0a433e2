"""Converted weights: made once, kept with a record, found by data type, removed with it."""

from functools import partial

import pytest

from orchestrator.errors import JobFailed, OutputError, SourceError
from orchestrator.sources.converted_weights import FULL, MARGIN, Conversions
from orchestrator.sources.model_sources import Sources
from orchestrator.system.home import Home
from orchestrator.system.reporter import Silent
from orchestrator.system.waiting import Wait
from orchestrator.workspace import Workspace
from tests.unit.catalog.worlds import write_model

GIVEN = """\
source: {repo: owner/weights, revision: main, include: ["*.json", "*.safetensors"]}
weights:
  4bit: {repo: owner/weights-4bit, revision: abc}
devices: [mlx, cpu]
memory: {mlx: {bfloat16: 4 GiB, 4bit: 2 GiB}, cpu: {float32: 6 GiB}}
"""


@pytest.fixture
def declared(tmp_path):
    """A model whose original weights were added."""
    manifests = write_model(tmp_path / "models", "small", more=GIVEN)
    return Workspace({"HOME": str(tmp_path)}, tmp_path, (manifests,)).catalog.model("small")


@pytest.fixture
def sources(tmp_path, declared):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    (weights / "model.safetensors").write_bytes(b"whole" * 9)
    sources = Sources(Home(tmp_path / "home"), {}, Silent())
    sources.add(declared, weights)
    return sources


def quarter(folder):
    """Convert the weights."""
    (folder / "model.safetensors").write_bytes(b"4bit")
    return ["config.json"]


def never(folder):
    raise AssertionError(folder)


def test_weights_are_converted_once_and_the_original_stays(sources, declared, tmp_path):
    record, made = sources.convert(declared, "4bit", quarter)
    assert made
    assert record.read("model.safetensors") == b"4bit"
    assert record.read("config.json") == b"{}"
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == b"whole" * 9
    assert sources.convert(declared, "4bit", never) == (record, False)
    assert sources.ready(declared.at("4bit")) == record
    assert sources.unneeded_conversions() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, JobFailed("model failed")])
def test_what_ends_a_conversion_leaves_nothing_of_it(sources, declared, error):
    def half(folder):
        (folder / "model.safetensors").write_bytes(b"4")
        raise error

    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        sources.convert(declared, "4bit", half)
    assert sources.conversions.directories() == ()
    with pytest.raises(SourceError, match="needs its weights of 4bit"):
        sources.ready(declared.at("4bit"))


@pytest.mark.parametrize("name", ["absent.json", "../weights/config.json", "/etc/hostname"])
def test_no_other_file_than_the_original_s_is_kept(sources, declared, name):
    with pytest.raises(OutputError, match="which is no file of the original"):
        sources.convert(declared, "4bit", lambda _: [name])
    assert sources.conversions.directories() == ()


def test_what_a_kill_has_left_is_pruned_or_made_anew(sources, declared):
    record, _ = sources.convert(declared, "4bit", quarter)
    entry = sources.conversions.directories()[0]
    (entry / "converted.json").unlink()
    sources.record_paths(declared.manifest)[1].unlink()
    assert sources.unneeded_conversions() == [entry]
    again, made = sources.convert(declared, "4bit", quarter)
    assert made
    assert again.digest == record.digest
    assert sources.unneeded_conversions() == []
    assert sources.conversions.prune(entry)
    assert not entry.exists()


@pytest.mark.parametrize("left", [[MARGIN], [MARGIN * 2, FULL - 1, FULL - 1]])
def test_a_full_disk_is_named(sources, declared, tmp_path, left):
    def full(folder):
        raise JobFailed(f"RuntimeError: cannot write to {folder}")

    disk = iter([*left, 7])
    conversions = Conversions(sources.home, lambda _: next(disk))
    make = partial(conversions.make, declared.at("4bit"), sources.ready(declared), full)
    with pytest.raises(SourceError, match=r"need 268 MB of disk, and .* free") as caught:
        make(never, Wait("small", "another", Silent()))
    assert str(tmp_path / "home" / "converted") in caught.value.where
    assert conversions.directories() == ()


def test_a_data_type_is_loaded_from_its_own_weights_where_there_are_any(sources, declared):
    assert sources.at(declared, "bfloat16") == declared
    assert sources.at(declared, "4bit").precision == "4bit"  # no other has it
    whole = sources.usable(declared.manifest).memory
    assert whole == {"mlx": {"bfloat16": "4 GiB"}, "cpu": {"float32": "6 GiB"}}
    sources.convert(declared, "4bit", quarter)
    assert sources.usable(declared.manifest) == declared.manifest
    sources.remove("small", [""])
    assert sources.has_weights(declared.manifest)
    quantized = sources.usable(declared.manifest)
    assert (quantized.devices, quantized.smallest_memory("mlx")) == (("mlx",), 2 << 30)
    sources.remove("small", ["4bit"])
    assert not sources.has_weights(declared.manifest)
    assert sources.usable(declared.manifest) == declared.manifest
    assert sources.conversions.directories() == ()


def test_weights_of_other_files_are_converted_again(sources, declared, tmp_path):
    sources.convert(declared, "4bit", quarter)
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"newer")
    sources.add(declared, tmp_path / "weights")
    with pytest.raises(SourceError, match="converted from other files") as caught:
        sources.ready(declared.at("4bit"))
    assert caught.value.fix == "run: mm model convert small --precision 4bit"
    (old,) = sources.conversions.directories()
    _, made = sources.convert(declared, "4bit", quarter)
    assert made
    assert sources.unneeded_conversions() == [old]


def test_what_is_being_converted_is_not_pruned(sources, declared):
    def pruned_meanwhile(folder):
        assert sources.unneeded_conversions() == [folder.parent]
        assert not sources.conversions.prune(folder.parent)
        return quarter(folder)

    _, made = sources.convert(declared, "4bit", pruned_meanwhile)
    assert made
    assert sources.ready(declared.at("4bit"))
