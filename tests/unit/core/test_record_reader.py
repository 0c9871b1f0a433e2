"""One reader for every YAML file: all problems by line, those of missing keys last."""

import msgspec
import pytest

from orchestrator.core.record_reader import (
    Problem,
    examine_record,
    item_problems,
    nested,
    read_record,
    record_in,
)
from orchestrator.core.yaml_document import parse
from orchestrator.errors import ManifestError


class Shelf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    books: tuple[str, ...] = ()
    place: str = ""


def check(shelf):
    if shelf.place == "bad":
        yield Problem(("place",), "is a bad place", "choose another")
    empty = item_problems(shelf.books, lambda title: "is empty" if not title else None)
    yield from nested(("books",), empty)


def sentences(text):
    return [str(each) for each in examine_record(text.encode(), "s.yaml", "s", Shelf, check)[1]]


def test_a_good_file_is_its_record():
    data = b"name: s\nbooks: [a, b]\n"
    assert read_record(data, "s.yaml", "s", Shelf, check) == Shelf(name="s", books=("a", "b"))
    assert record_in(parse(data, "s.yaml"), "s", Shelf, check).books == ("a", "b")


def test_problems_come_by_line_whatever_the_order_of_the_checks():
    text = "books: ['', x, x]\nplace: bad\nname: x\n"
    assert sentences(text) == [
        "s.yaml:1: books[0]: is empty",
        "s.yaml:1: books[2]: 'x' stands here twice",
        "s.yaml:2: place: is a bad place; choose another",
        "s.yaml:3: name: 'x' is not the file's name; write name: s, or rename the file to x.yaml",
    ]
    with pytest.raises(ManifestError, match="is empty"):
        read_record(text.encode(), "s.yaml", "s", Shelf, check)


def test_a_missing_key_comes_after_the_unknown_one_that_was_meant():
    assert sentences("books: []\nnmae: s\n") == [
        "s.yaml:2: nmae: unknown key; did you mean name?",
        "s.yaml:1: name: this key is missing",
    ]


def test_what_is_no_yaml_is_one_problem():
    assert len(sentences("name: [\n")) == 1
