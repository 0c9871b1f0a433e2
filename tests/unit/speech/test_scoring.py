"""How recognised speech is compared with what was said."""
# ruff: noqa: RUF001 - full-width marks and digits are what this is about

import pytest

from tests.speech.scoring import characters, error_rate, sentences, syllables, words


@pytest.mark.parametrize("language", ["en", "zh"])
def test_there_are_thirty_sentences_of_each_language(language):
    assert len(set(sentences(language))) == 30


@pytest.mark.parametrize(
    ("said", "recognised"),
    [
        ("They meet at 3:30 p.m.", "they meet at 3.30 PM"),
        ("It costs $49.99.", "It costs forty-nine point nine nine dollars"),
        ("a café, 12.5%", "A cafe 12.5 percent!"),
        ("Call 555-0142.", "call 5 5 5 0 1 4 2"),
        ("on October 15, 2024", "on October 15th, 2024"),
        ("at 8:05 and 10:45", "at 805 and 1045"),
        ("Let's go", "Lets go"),
    ],
)
def test_english_numbers_may_be_written_either_way(said, recognised):
    assert words(said) == words(recognised)


@pytest.mark.parametrize(
    ("said", "recognised"),
    [
        ("2024年10月15日下午3:30", "二零二四年十月十五日下午三点三十分"),
        ("原价￥1,280元", "原價一千二百八十元"),
        ("电话010-62345678。", "電話01062345678"),
        ("增长了12.5%", "增长了百分之十二点五"),
        ("内存16GB的CPU", "內存16 g b的C P U。"),
        ("3瓶ＡＢ", "三瓶AB"),
    ],
)
def test_chinese_numbers_and_characters_may_be_written_either_way(said, recognised):
    assert characters(said) == characters(recognised)


def test_what_sounds_the_same_is_no_error_by_syllables():
    assert error_rate(["他在那里。"], ["她再那里"], characters) == 2 / 4
    assert error_rate(["他在那里。"], ["她再那里"], syllables) == 0


def test_the_rate_is_over_all_sentences_together():
    assert error_rate(["a b c", "d"], ["a b", "d e"], words) == 2 / 4
