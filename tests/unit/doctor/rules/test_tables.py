"""The doctor's tables read from YAML: what is refused, where, and which of two entries wins."""

from __future__ import annotations

import pytest

from orchestrator.catalog.directories import ManifestDirectory, Origin
from orchestrator.doctor import load_tables
from orchestrator.doctor.rules.tables import RemovedApi, filled, is_removed, read_table
from orchestrator.errors import ManifestError

GOOD = """\
name: mine
failures:
  - id: full
    pattern: "the (?P<what>disk|tray) is full"
    layer: run
    means: "{what} has no room"
    remedy: "empty it; then run: mm run {model}"
gone:
  - name: seen
    of: Cache
    package: transformers
    module: transformers.cache_utils
    gone: "4.54"
    instead: length()
    replacement: .length({0})
  - {name: Old, package: some-lib, module: some.lib, gone: "2", instead: New, replacement: New}
"""


def read(text):
    return read_table(text.encode(), file="mine.yaml", stem="mine")


def test_a_good_table_is_read():
    table = read(GOOD)
    assert [failure.id for failure in table.failures] == ["full"]
    assert [api.name for api in table.removed] == ["seen", "Old"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: mine", "name: yours", "mine.yaml:1: name: 'yours' is not the file's name"),
        ("disk|tray)", "disk|tray", "mine.yaml:4: failures[0].pattern: is no regular expression"),
        ("the (?P<what>disk|tray) is full", "(?P<what>x)?", "matches an empty text"),
        ("{what} has", "{who} has", "{who} is neither a group of the pattern nor {model}"),
        ("layer: run", "layer: heart", "failures[0].layer: must be one of "),
        ('gone: "4.54"', "gone: soon", "gone[0].gone: 'soon' is not a version"),
        ("name: seen\n", "name: se-en\n", "'se-en' is not an identifier"),
        (".length({0})", ".length(", "gone[0].replacement:"),
        ("replacement: New", "replacement: a.b", "'a.b' is not an identifier"),
        ("remedy:", "cure:", "failures[0].cure: unknown key; the keys here are id, pattern"),
        ("    instead: length()\n", "", "gone[0].instead: this key is missing"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(old, new, said):
    assert old in GOOD
    with pytest.raises(ManifestError) as refused:
        read(GOOD.replace(old, new))
    assert said in str(refused.value)


def test_an_empty_table_is_refused():
    with pytest.raises(ManifestError, match="failures, gone or implemented"):
        read("name: mine\n")


@pytest.mark.parametrize(
    ("calls_it", "found"),
    [
        (["DeepseekOCR2ForCausalLM"], {"transformers": ("5.23.1", "deepseek_ocr2")}),
        (["deepseek_vl_v2", "DeepseekOCR2Model"], {"transformers": ("5.23.1", "deepseek_ocr2")}),
        (["Qwen3TTSForConditionalGeneration"], {"mlx-audio": ("0.3.1", "qwen3_tts")}),
        (["bert"], {"transformers": ("4.30.2", "bert")}),
        (["DeepseekOCR"], {}),
    ],
)
def test_packages_that_implement_a_model_are_known_by_what_its_configuration_calls_it(
    calls_it, found
):
    table = read(
        """\
name: mine
implemented:
  transformers:
    "4.30.2": [bert]
    "5.23.1": [deepseek_ocr2, deepseek_ocr2_text]
  mlx-audio: {"0.3.1": [qwen3_tts]}
"""
    )
    assert table.implementations(calls_it) == found


@pytest.mark.parametrize("key", ['"a b": {"1": [x]}', 'a: {"1.x": [x]}'])
def test_an_implementation_names_a_package_and_a_version(key):
    with pytest.raises(ManifestError, match=r"is not the name of a package|is not a version"):
        read(f"name: mine\nimplemented: {{{key}}}\n")


def test_the_first_directory_wins_on_an_id(tmp_path):
    directories = []
    for number, remedy in enumerate(("first", "second")):
        folder = tmp_path / str(number) / "manifests"
        (folder / "doctor").mkdir(parents=True)
        (folder / "doctor" / "mine.yaml").write_text(GOOD.replace("empty it", remedy))
        directories.append(ManifestDirectory(folder, Origin.OPTION))
    table = load_tables(directories)
    assert len(table.failures) == 1
    assert table.failures[0].remedy.startswith("first")
    assert len(table.removed) == 2


def test_a_directory_without_tables_has_none(tmp_path):
    assert load_tables([ManifestDirectory(tmp_path, Origin.OPTION)]).failures == ()


def test_replacements_and_versions():
    assert filled(".length({1})", "x", ("a", "b")) == ".length(b)"
    assert filled(".length({1})", "x", ("a",)) == ".length()"
    assert filled("next({receiver}.n())", "self.c", ()) == "next(self.c.n())"
    api = RemovedApi(name="a", package="p", since="4.54", module="p", instead="b")
    versions = ["4.53.3", "4.54.0", "4.57.3", "5.0.0rc1", "no"]
    assert [is_removed(api, version) for version in versions] == [False, True, True, True, False]
