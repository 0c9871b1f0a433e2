"""The scripts of a text, and which models speak them."""
# ruff: noqa: RUF001 - letters that look alike are what this is about

import pytest

from orchestrator.core.languages import (
    Wanted,
    coverage,
    language_input,
    language_tag,
    scripts_of,
    wanted,
)
from orchestrator.core.manifest import Environment, Input, Manifest, Output


def voice(*languages, **inputs):
    return Manifest(
        name="voice",
        task="tts",
        summary="A voice",
        environment=Environment(python=">=3.10", dependencies=()),
        inputs={"text": Input(type="text", required=True), **inputs},
        outputs={"audio": Output(type="audio")},
        languages=languages,
    )


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ("hello", "Latin"),
        ("naïve Ürün nǐ hǎo", "Latin"),
        ("“curly” — and ❤ 🎉", "Latin"),
        ("Ａｌｌ ｗｉｄｅ １２３", "Latin"),
        ("𝐁𝐨𝐥𝐝 ﬁsh", "Latin"),
        ("你好，世界", "Han"),
        ("臺灣繁體中文", "Han"),
        ("人々 ㄅㄆㄇ", "Han"),
        ("東京都渋谷区の天気", "Kana"),
        ("日銀、金利据え置きを決定", "Kana"),
        ("ｱｲｳ ー", "Kana"),
        ("안녕하세요", "Hangul"),
        ("Привет, мир", "Cyrillic"),
        ("สวัสดี", "Thai"),
        ("हिन्दी में", "Devanagari"),
        ("مرحبا", "Arabic"),
        ("Price: 今天 hello", "Latin Han"),
        ("我爱 JavaScript", "Han Latin"),
        ("一二三四五六 hello", "Han Latin"),
        ("a long sentence of ten English words with 道教哲学 in it", "Latin Han"),
        ("それはvery良いですね", "Kana Latin"),
        ("中文一句话很长很长很长，还有很多很多汉字の", "Han Kana"),
        ("", ""),
        ("  \n\t", ""),
        ("…!? — 。，", ""),
        ("😀🎉", ""),
        ("123 １２３ ٣", ""),
        ("\ud800 ʼ ́ \ufe0f", ""),
    ],
)
def test_the_scripts_of_a_text(text, scripts):
    assert " ".join(scripts_of(text)) == scripts


def test_a_few_letters_of_another_script_do_not_count_in_a_long_text():
    page = "word " * 200
    assert scripts_of(f"{page}道可道") == ("Latin",)
    assert scripts_of(f"{page}道可道非") == ("Latin", "Han")
    assert scripts_of("word " * 5 + "道") == ("Latin", "Han")


def test_the_whole_of_a_long_text_counts():
    assert scripts_of("hello " * 20_000 + "你好" * 10_000) == ("Latin", "Han")
    assert scripts_of("你好" * 50_000 + "hello") == ("Han", "Latin")


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"text": "hello"}, Wanted(("Latin",))),
        ({"text": "hello", "language": "auto"}, Wanted(("Latin",))),
        ({"text": "hello", "language": "de"}, Wanted(("Latin",), "de")),
        ({"text": "12", "language": "zh"}, Wanted((), "zh")),
        ({"text": "12"}, None),
        ({"text": ["你好"]}, None),
        ({"text": None, "language": None}, None),
        ({}, None),
    ],
)
def test_what_a_job_asks_for(inputs, expected):
    assert wanted(inputs) == expected


def test_a_language_that_is_known_of_the_text_chooses_as_well():
    assert wanted({"text": "hello"}, "de") == Wanted(("Latin",), "de", given=False)
    assert wanted({"text": "hello", "language": "en"}, "de") == Wanted(("Latin",), "en")
    assert coverage(voice("de"), wanted({"text": "hello"}, "de")) == (True, True)
    assert coverage(voice("en"), wanted({"text": "hello"}, "de")) == (False, True)


@pytest.mark.parametrize(
    ("model", "tag", "expected"),
    [
        (voice("de", "en", language=Input(type="text")), "de-AT", "de"),
        (voice("zh", language=Input(type="choice", choices=("auto", "zh"))), "zh-CN", "zh"),
        (voice("zh-TW", language=Input(type="choice", choices=("zh-TW",))), "zh-TW", "zh-TW"),
        (voice("de", language=Input(type="choice", choices=("auto", "zh"))), "de", ""),
        (voice("en", language=Input(type="text")), "de", ""),
        (voice("de"), "de", ""),
    ],
    ids=["by its first part", "among choices", "in whole", "no choice", "not spoken", "no input"],
)
def test_a_model_is_given_a_language_that_it_takes(model, tag, expected):
    assert language_input(model, tag) == expected


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("en", "en"),
        ("EN-us", "en-us"),
        ("zh_CN", "zh-CN"),
        ("ger", "de"),
        ("und", ""),
        ("la", "la"),
    ],
)
def test_a_tag_is_written_as_models_list_it(text, tag):
    assert language_tag(text) == tag


@pytest.mark.parametrize("text", ["", "English", "d", "de/at", "zh-"])
def test_what_is_no_tag_is_refused(text):
    with pytest.raises(ValueError, match="no tag of a language"):
        language_tag(text)


@pytest.mark.parametrize(
    ("languages", "scripts", "expected"),
    [
        (("en",), ("Latin",), (True,)),
        (("de",), ("Latin",), (True,)),
        (("zh",), ("Latin",), (False,)),
        (("zh",), ("Kana",), (False,)),
        (("ja",), ("Kana",), (True,)),
        (("ja",), ("Han",), (False,)),
        (("zh-Hant", "pt-BR"), ("Han", "Latin"), (True, True)),
        (("sr-Latn",), ("Latin", "Cyrillic"), (True, False)),
        (("sr",), ("Latin", "Cyrillic"), (False, True)),
        (("any",), ("Thai",), (True,)),
        ((), ("Thai",), (True,)),
        (("en", "zh"), ("Latin", "Thai", "Han"), (True, False, True)),
    ],
)
def test_what_a_model_speaks(languages, scripts, expected):
    assert coverage(voice(*languages), Wanted(scripts)) == expected


@pytest.mark.parametrize(
    ("languages", "asked", "expected"),
    [
        (("de", "en"), "de", (True, True)),
        (("en",), "de", (False, True)),
        (("pt-BR",), "pt", (True, True)),
        (("pt",), "pt-BR", (True, True)),
        (("zh",), "ZH", (True, False)),
        (("en",), "english", (True, True)),  # the model's own name
        ((), "th", (True, True)),
    ],
)
def test_a_language_that_is_given_decides(languages, asked, expected):
    takes = voice(*languages, language=Input(type="text"))
    assert coverage(takes, Wanted(("Latin",), asked)) == expected
    assert coverage(voice(*languages), Wanted(("Latin",), asked))[0] is False
