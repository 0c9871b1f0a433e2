"""Results that are kept, their removal, the items of a batch, and what is said of failures."""

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.manifest import Input
from orchestrator.core.pipelines.cache_key import Recipe, differences
from orchestrator.errors import MMError, UsageError
from orchestrator.pipelines.batch_items import expand, listed, natural
from orchestrator.pipelines.result_cleanup import clean
from orchestrator.pipelines.result_store import ResultStore
from orchestrator.pipelines.step_failures import repeat_command
from orchestrator.pipelines.step_values import Value
from orchestrator.steps.pdf_renderer import PdfRenderer
from orchestrator.system.home import Home
from tests.models import model

RECIPE = Recipe({"model": "a", "runner": "1", "versions": {"numpy": "1"}}, {"text": "x"})

PDFS = PdfRenderer()
"""No test here has a PDF: its process is never started."""


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def store(home):
    return ResultStore(home.results)


def put(store, text="x", data=b"sound"):
    recipe = Recipe(RECIPE.producer, {"text": text})
    outputs = {
        "text": Value("text", text),
        "audio": store.keep_bytes("audio", data, ".wav"),
        "pages": (Value("image", "1", label="doc.pdf#page=1"), Value("image", "2")),
    }
    return store.put(recipe, outputs, {"run": 1.5})


def test_what_is_kept_is_found_again(store):
    kept = ResultStore(store.root).find(put(store))
    assert kept.outputs["text"].data == "x"
    assert kept.outputs["audio"].file.read_bytes() == b"sound"
    assert kept.outputs["pages"][0].label == "doc.pdf#page=1"
    assert store.producer(kept.identity) == RECIPE.producer
    assert store.find("0" * 64) is None


def test_the_same_content_is_there_once(store):
    put(store, "x")
    put(store, "y")
    assert len(list((store.root / "files").rglob("*.wav"))) == 1


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 99}', '{"version": 1}'])
def test_a_damaged_record_counts_as_absent(store, damage):
    key = put(store)
    (path,) = store.records()
    path.write_text(damage)
    assert store.find(key) is None


def test_a_result_without_its_file_counts_as_absent(store):
    key = put(store)
    (file,) = (store.root / "files").rglob("*.wav")
    file.write_bytes(b"cut")
    assert store.find(key) is None
    assert put(store) == key  # what is there with another size is written again
    assert store.find(key).outputs["audio"].file.read_bytes() == b"sound"
    file.unlink()
    assert store.find(key) is None


def test_a_file_of_the_users_own_is_not_copied_and_its_change_is_seen(store, tmp_path):
    image = tmp_path / "x.png"
    image.write_bytes(b"image")
    key = store.put(RECIPE, {"image": Value("image", file=image)}, {})
    assert store.find(key).outputs["image"].file == image
    assert list((store.root / "files").rglob("*.png")) == []
    image.write_bytes(b"other")
    os.utime(image, ns=(1, 1))  # the clock may be too coarse to tell
    assert store.find(key) is None


def test_only_what_nobody_needs_is_cleaned(home, store):
    put(store, "x", b"one")
    put(store, "y", b"two")
    assert clean(home, older_than=3600).steps == 0
    assert len(list((store.root / "files").rglob("*.wav"))) == 2
    removed = clean(home, dry_run=True)
    assert (removed.steps, len(list(store.records()))) == (2, 2)
    clean(home)
    assert list(store.records()) == []
    assert list((store.root / "files").rglob("*.wav")) == []


def test_what_vanishes_while_it_is_cleaned_is_passed_over(home, store):
    put(store)
    gone = home.results / "steps" / "00"
    gone.mkdir()
    (gone / "gone.json").symlink_to("nowhere")  # its name is there, and no file
    assert clean(home).steps == 2
    assert list(store.records()) == []


def test_results_are_their_owners_alone(home, tmp_path):
    home.results.mkdir(parents=True)
    (home.results / "old").touch(0o644)
    before = os.umask(0)
    try:
        store = ResultStore(home.results)
        put(store)
        made = tmp_path / "made.png"
        made.touch()
        store.keep_file("image", made)
    finally:
        os.umask(before)
    paths = [home.results, *home.results.rglob("*")]
    assert len(paths) >= 12
    assert [path for path in paths if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize(
    ("producer", "inputs", "clauses"),
    [
        ({"runner": "2"}, {}, ["the runner changed (1, now 2)"]),
        ({"device": "cuda"}, {}, ["the device is another"]),
        ({"model": "m", "runner": "2", "lock": "l"}, {}, ["the model is another (a, now m)"]),
        ({"lock": "l", "versions": {"numpy": "2"}}, {}, ["the lock changed (numpy 1, now 2)"]),
        ({}, {"text": "y"}, ["the input text changed (x, now y)"]),
        ({}, {"text": {"sha256": "1"}}, ["the input text changed"]),
        ({}, {"speed": 2}, ["the input speed is given now"]),
        ({}, {}, []),
    ],
)
def test_each_change_is_a_clause(producer, inputs, clauses):
    now = Recipe({**RECIPE.producer, **producer}, {**RECIPE.inputs, **inputs})
    assert differences(RECIPE, now) == clauses
    assert (now.key == RECIPE.key) == (not clauses)


def test_names_are_in_the_order_of_people():
    names = ["p10.png", "p2.png", "a/p1.png", "10", "9a"]
    assert sorted(names, key=natural) == ["9a", "10", "a/p1.png", "p2.png", "p10.png"]
    names = ["page10.png", "page9.png", "cover.png", "10.png", "9.png", "²"]
    assert sorted(names, key=natural) == [
        "9.png", "10.png", "cover.png", "page9.png", "page10.png", "²",
    ]  # fmt: skip


@given(st.lists(st.text(alphabet="a1٣²-.", max_size=6)))
def test_any_names_have_an_order(names):
    backwards = names[::-1]
    assert sorted(backwards, key=natural) == sorted(names, key=natural)


def test_words_stand_for_files_once_each(tmp_path):
    for name in ("b.png", "a.PNG", "deep/c.jpg", "deep/.d.png", "notes.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert expand(["."], tmp_path, "image", PDFS) == ["a.PNG", "b.png", "deep/c.jpg"]
    assert expand(["**/*.png", "b.png"], tmp_path, "image", PDFS) == ["b.png"]
    assert expand(["notes.bin"], tmp_path, "image", PDFS) == ["notes.bin"]
    with pytest.raises(UsageError, match="there is no such file"):
        expand(["x.png"], tmp_path, "image", PDFS)


class Pages(PdfRenderer):
    """Finds three pages in every PDF."""

    def pages(self, path):
        return 3


@pytest.mark.parametrize(
    ("word", "pages"),
    [
        ("a.pdf", ["1", "2", "3"]),
        ("a.pdf#page=2", ["2"]),
        ("a.pdf#page=2-3", ["2", "3"]),
        ("a.pdf#page=2-", ["2", "3"]),
        ("a.pdf#page=9", ["9"]),
    ],
)
def test_a_word_stands_for_pages_of_a_pdf(tmp_path, word, pages):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    names = [f"a.pdf#page={page}" for page in pages]
    assert expand([word], tmp_path, "image", Pages()) == names


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("a.pdf#page=2-9", "a.pdf: there are no pages 2 to 9; the last one is 3"),
        ("a.pdf#page=3-2", "a.pdf: there are no pages 3 to 2; the last one is 3"),
        ("a.pdf#page=0", "there is no such file; write doc.pdf#page=3, or #page=3-5"),
    ],
)
def test_pages_that_no_pdf_has_are_refused(tmp_path, word, said):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(UsageError, match=said):
        expand([word], tmp_path, "image", Pages())


def test_no_one_writes_to_a_pipe_that_is_looked_at(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert expand(["pipe"], tmp_path, "image", PDFS) == ["pipe"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('""', "standard input:2: the path is empty"),
        ('{"image": ""}', "input 'image': the path is empty"),
        ('"out.jsonl"', "out.jsonl: is one of the inputs"),
        ('{"image": "link"}', "out.jsonl: is one of the inputs"),
        ('{"image": "out.jsonl#page=2"}', "out.jsonl: is one of the inputs"),
    ],
)
def test_a_line_names_neither_nothing_nor_the_file_of_results(tmp_path, line, said):
    manifest = msgspec.structs.replace(
        model(tmp_path, "m").manifest, inputs={"image": Input(type="image", required=True)}
    )
    out = tmp_path / "out.jsonl"
    out.touch()
    (tmp_path / "link").symlink_to("out.jsonl")
    items = listed(["\n", line], tmp_path, manifest, {}, out, PDFS)
    with pytest.raises(UsageError, match=said):
        next(items).inputs(tmp_path)


def test_the_command_for_one_item(tmp_path):
    spilled = {}

    def spill(name, text):
        spilled[name] = text
        return tmp_path / "long text.txt"

    command = repeat_command("speaker", {"text": "two\nlines", "speed": 1.5, "loud": False}, spill)
    assert command == f"mm run speaker --text - --speed 1.5 --no-loud < '{tmp_path}/long text.txt'"
    assert spilled == {"text": "two\nlines"}
    with pytest.raises(MMError):
        repeat_command("speaker", {"text": {"a": 1}}, spill)
