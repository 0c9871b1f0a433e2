"""Words at the ends of lines, sentences and pieces of a text."""
# ruff: noqa: RUF001 - Chinese marks are full width

import pytest

from orchestrator.book.hyphens import joined, vocabulary
from orchestrator.book.sentences import pieces, sentences


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["the arrange-", "ment of it"], "the arrangement of it"),
        (["a well-", "known man"], "a well-known man"),
        (["a long-", "distance line"], "a long-distance line"),
        (["the Anglo-", "Saxon king"], "the Anglo-Saxon king"),
        (["from 1914-", "18 on"], "from 1914-18 on"),
        (["a soft\u00ad", "ness"], "a softness"),
        (["he said -", "and left"], "he said - and left"),
        (["self-", "taught"], "self-taught"),
        (["没有人要", "求看它。"], "没有人要求看它。"),
        (["经理John", "买下了"], "经理John买下了"),
        (["said “Go”", "and left"], "said “Go” and left"),
        (["한국어", "문장"], "한국어 문장"),
    ],
)
def test_lines_that_run_on_are_joined(lines, text):
    others = ["an arrangement, a well-known long distance", "and well known things self-taught"]
    assert joined(lines, vocabulary([*lines, *others])) == text


def test_what_the_book_itself_writes_decides():
    assert joined(["co-", "operate"], vocabulary(["they co-operate"])) == "co-operate"
    assert joined(["co-", "operate"], vocabulary(["they cooperate"])) == "cooperate"


def test_a_broken_word_is_no_evidence_of_itself():
    words = vocabulary(["the arrange-", "ment of it"])
    assert (words["arrange"], words["ment"], words["of"]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Mr. J. R. Smith came. He left.", ["Mr. J. R. Smith came.", "He left."]),
        ("It cost $3.50 at No. 7. Why?", ["It cost $3.50 at No. 7.", "Why?"]),
        ("He ate, e.g. fish. “Go!” he said.", ["He ate, e.g. fish.", "“Go!” he said."]),
        ("Rope, tar, etc. The end.", ["Rope, tar, etc.", "The end."]),
        ("他说：“走吧！”然后走了。很好。", ["他说：“走吧！”", "然后走了。", "很好。"]),
        ("1. First. Second.", ["1. First.", "Second."]),
        ("Well... yes. It was", ["Well... yes.", "It was"]),
    ],
)
def test_abbreviations_and_numbers_end_no_sentence(text, found):
    assert sentences(text) == found


def test_long_texts_are_cut_between_sentences_then_at_marks_then_anywhere():
    text = "One two three. Four five six. Seven."
    assert pieces(text, 30) == ["One two three. Four five six.", "Seven."]
    assert pieces("one two, three four, five six", 22) == ["one two, three four,", "five six"]
    assert pieces("没有人要求看它。他也从来不念。", 8) == ["没有人要求看它。", "他也从来不念。"]
    assert pieces("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]
    assert pieces(" ", 10) == []
