"""What a receipt says of a job's inputs, and what is no input at all."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from orchestrator.core.manifest import Input
from orchestrator.errors import UsageError
from orchestrator.jobs.input_files import describe_inputs, resolve_files

TAKES = SimpleNamespace(inputs={"one": Input(type="array"), "many": Input(type="array", list=True)})


def test_each_array_of_a_list_is_described():
    described = describe_inputs(TAKES, {"many": [np.zeros(2, "i2"), np.ones((1, 3))]})
    assert [(each["dtype"], each["shape"]) for each in described["many"]] == [
        ("<i2", [2]),
        ("<f8", [1, 3]),
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [([1, 2], "no array but a list"), (np.array([None]), "Python objects")],
)
def test_what_is_no_array_is_said_as_it_was_given(value, said):
    with pytest.raises(UsageError, match=said):
        describe_inputs(TAKES, {"one": value})


@pytest.mark.parametrize("name", ["missing", "empty", "folder", "pipe"])
def test_a_file_that_cannot_be_taken_is_said_with_its_input_and_no_option(tmp_path, name):
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    takes = SimpleNamespace(inputs={"page": Input(type="image")})
    with pytest.raises(UsageError) as caught:
        resolve_files(takes, {"page": tmp_path / name})
    assert caught.value.fix.endswith("the input 'page'")  # the same in code and in a batch's line


@pytest.mark.parametrize("name", ["book.pdf", "book.pdf#page=3"])
def test_a_pdf_file_is_no_image_and_what_draws_its_pages_is_said(tmp_path, name):
    (tmp_path / "book.pdf").write_bytes(b"%PDF-1.7\n")
    takes = SimpleNamespace(inputs={"page": Input(type="image"), "files": Input(type="file")})
    with pytest.raises(UsageError, match="is a PDF file, and the input") as raised:
        resolve_files(takes, {"page": str(tmp_path / name)})
    assert "mm run" in raised.value.fix
    assert resolve_files(takes, {"files": tmp_path / "book.pdf"})
