"""Lists of a pipeline's outputs: numbered files that take the place of no other."""

import json
from types import SimpleNamespace

import pytest

from orchestrator.cli import outputs
from orchestrator.cli.pipeline.delivery import deliver
from orchestrator.core.pipelines import Kind
from orchestrator.errors import UsageError
from orchestrator.pipelines.outcome import Items
from orchestrator.pipelines.step_values import Value


def deliver_texts(directory, *texts):
    values = [None if text is None else Value("text", text) for text in texts]
    outcome = SimpleNamespace(value=lambda name: Items(len(values), values.__getitem__))
    graph = SimpleNamespace(outputs={"texts": (None, Kind("text", many=True))})
    return deliver(outcome, graph, {"texts": str(directory)})


def test_items_are_numbered_and_those_that_failed_leave_a_gap(tmp_path):
    assert deliver_texts(tmp_path, "a", None, "c") == {"texts": ["a", None, "c"]}
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "0001.txt": "a\n", "0003.txt": "c\n",
    }  # fmt: skip


def test_files_of_a_list_may_be_named(tmp_path):
    values = [Value("text", "a", label="The Sea"), None, Value("text", "c", label="On/off: *?")]
    outcome = SimpleNamespace(value=lambda name: Items(len(values), values.__getitem__))
    graph = SimpleNamespace(outputs={"texts": (None, Kind("text", many=True))})
    place = str(tmp_path / "out" / "{number:02} {title}.txt")
    outputs.check_place("texts", "text", place, as_json=False, many=True)
    for _ in range(2):
        deliver(outcome, graph, {"texts": place})
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {"01 The Sea.txt": "a\n", "03 On_off_ __.txt": "c\n"}


@pytest.mark.parametrize(
    "field", ["{else}", "{title.__class__}", "{title:.0}", "{number:99999}", "/x"]
)
def test_the_name_of_a_file_holds_its_number_and_title_alone(tmp_path, field):
    place = str(tmp_path / f"{{title}} {field}.txt")
    with pytest.raises(UsageError, match="is no name for the files of a list"):
        outputs.check_place("texts", "text", place, as_json=False, many=True)


def test_two_files_of_a_list_never_have_one_name(tmp_path):
    values = [Value("text", text, label=label) for text, label in [("a", "Sea"), ("b", "sea")]]
    outcome = SimpleNamespace(value=lambda name: Items(len(values), values.__getitem__))
    graph = SimpleNamespace(outputs={"texts": (None, Kind("text", many=True))})
    with pytest.raises(UsageError, match=r"sea\.txt: two files .*\{number:02\}"):
        deliver(outcome, graph, {"texts": str(tmp_path / "{title}.txt")})
    assert not list(tmp_path.iterdir())
    deliver(outcome, graph, {"texts": str(tmp_path / "{number} {title}.txt")})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1 Sea.txt", "2 sea.txt"]


def test_one_json_file_is_written_where_one_is_asked_for(tmp_path):
    place = tmp_path / "texts.json"
    outputs.check_place("texts", "text", str(place), as_json=True, many=True)
    assert deliver_texts(place, "a", None, "c") == {"texts": ["a", None, "c"]}
    assert json.loads(place.read_text()) == ["a", None, "c"]


def test_files_that_go_nowhere_are_in_the_json_without_a_path(tmp_path):
    values = [Value("image", None, tmp_path / "a.png"), None]
    outcome = SimpleNamespace(value=lambda name: Items(len(values), values.__getitem__))
    graph = SimpleNamespace(outputs={"pages": (None, Kind("image", many=True))})
    page = {"path": None, "media_type": "image/png"}
    assert deliver(outcome, graph, {}) == {"pages": [page, None]}


def test_the_same_again_completes_what_was_missing(tmp_path):
    deliver_texts(tmp_path, "a", None)
    deliver_texts(tmp_path, "a", "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.txt", "0002.txt"]


def test_a_file_that_is_something_else_is_not_written_over(tmp_path):
    (tmp_path / "0002.txt").write_text("a note of mine")
    with pytest.raises(UsageError, match=r"0002\.txt: is there already, and is something else"):
        deliver_texts(tmp_path, "a", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["0002.txt"]
    assert (tmp_path / "0002.txt").read_text() == "a note of mine"
