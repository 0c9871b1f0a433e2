"""Chinese text to the phonemes of Kokoro: numbers, readings, tones, syllables, Latin words."""
# ruff: noqa: RUF001 - full-width marks are what this is about

import importlib

import pytest

from tests.unit.envs.runners import load_runner

runner = load_runner("kokoro")
phonemes, pinyin, spoken, syllables, tones, written = (
    importlib.import_module(f"{runner.__name__}.{name}")
    for name in ("phonemes", "pinyin", "spoken", "syllables", "tones", "written")
)


def said(text):
    return spoken.spoken(written.readable(text)[0])


def read(text):
    return " ".join(syllable for word in pinyin.syllables(text) for syllable in word)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3个人，14亿，1,234,567", "三个人，十四亿，一百二十三万四千五百六十七"),
        ("３４５元", "三百四十五元"),
        ("-5℃，25°C，5-10℃", "负五摄氏度，二十五摄氏度，五到十摄氏度"),
        ("2024年10月15日下午3:30", "二零二四年十月十五日下午三点三十分"),
        ("2024-10-15", "二零二四年十月十五日"),
        ("12:00:05", "十二点零分五秒"),
        ("9:05开始", "九点零五分开始"),
        ("1998-2004年", "一九九八到二零零四年"),
        ("￥1,280元", "一千二百八十元"),
        ("￥99和$49.99", "九十九元和四十九点九九美元"),
        ("€12.5万", "十二点五万欧元"),
        ("增长12.5%", "增长百分之十二点五"),
        ("50%-60%", "百分之五十到百分之六十"),
        ("电话号码是010-62345678。", "电话号码是零一零六二三四五六七八。"),
        ("手机13812345678", "手机幺三八幺二三四五六七八"),
        ("手机138 1234 5678", "手机幺三八幺二三四五六七八"),
        ("身份证号：110101199003071234", "身份证号：一一零一零一一九九零零三零七一二三四"),
        ("第1-3章，½杯，①好", "第一到三章， 二分之一杯， 一好"),
        ("第3页，No.1，№5", "第三页，第一， 五号"),
        ("1,2、3，4", "一， 二， 三， 四"),
        ("1/2，3:2，比分是3-0", "二分之一， 三比二，比分是三比零"),
        ("100~200人，10-15天", "一百到两百人，十到十五天"),
        ("5kg，25m²，100km/h", "五千克，二十五平方米，每小时一百公里"),
        ("1.2.3版本", "一点二点三版本"),
        ("GPT-4，ISO9001，B2B", "GPT 四，ISO九零零一，B二B"),
        ("7×24小时", "七乘二十四小时"),
        ("a+b=c", "a加b等于c"),
        ("见 https://www.example.com/a?b=1。", "见 example点com。"),
        ("写信给 li@mail.cn", "写信给 li at mail点cn"),
        ("會議結束後乾淨", "会议结束后干净"),
    ],
)
def test_written_forms_are_spelled_out_as_they_are_spoken(text, expected):
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("银行的行长", "yin2 hang2 de5 hang2 zhang3"),
        ("音乐快乐", "yin1 yue4 kuai4 le4"),
        ("他长得很高", "ta1 zhang3 de5 hen3 gao1"),
        ("路很长", "lu4 hen3 chang2"),
        ("慢慢地走", "man4 man4 de5 zou3"),
        ("走在地上", "zou3 zai4 di4 shang4"),
        ("你得去", "ni2 dei3 qu4"),
        ("三只猫", "san1 zhi1 mao1"),
        ("第二行", "di4 er4 hang2"),
        ("我们种了很多种树", "wo3 men5 zhong4 le5 hen3 duo1 zhong4 shu4"),
        ("距离为一千公里", "ju4 li2 wei2 yi4 qian1 gong1 li3"),
        ("妈妈喜欢朋友", "ma1 ma5 xi3 huan5 peng2 you5"),
        ("头发", "tou2 fa5"),
        ("二〇二四", "er4 ling2 er4 si4"),
    ],
)
def test_characters_with_several_readings_are_read_by_their_words(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好", "ni2 hao3"),
        ("我也很好", "wo2 ye3 hen2 hao3"),
        ("老板很好", "lao2 ban3 hen2 hao3"),
        ("展览馆", "zhan2 lan2 guan3"),
        ("一个一天一年一起", "yi2 ge4 yi4 tian1 yi4 nian2 yi4 qi3"),
        ("第一", "di4 yi1"),
        ("统一", "tong3 yi1"),
        ("十月一日", "shi2 yue4 yi1 ri4"),
        ("一九四九年", "yi1 jiu3 si4 jiu3 nian2"),
        ("零一零六", "ling2 yi1 ling2 liu4"),
        ("看一看", "kan4 yi5 kan4"),
        ("不是", "bu2 shi4"),
        ("不好", "bu4 hao3"),
        ("好不好", "hao3 bu5 hao3"),
    ],
)
def test_tones_change_before_other_tones(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一点儿", "yi4 dianr3"),
        ("这儿玩儿", "zher4 wanr2"),
        ("女儿", "nv3 er2"),
        ("儿子", "er2 zi5"),
    ],
)
def test_er_joins_the_syllable_before_it_where_it_is_no_child(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("syllable", "expected"),
    [
        ("zhong1", "ꭧʊ→ŋ"),
        ("qu4", "ʨʰy↘"),
        ("xue2", "ɕɥe↗"),
        ("yuan2", "ɥɛ↗n"),
        ("you3", "jou↓"),
        ("yong4", "jʊ↘ŋ"),
        ("wen2", "wə↗n"),
        ("weng1", "wə→ŋ"),
        ("lü4", "ly↘"),
        ("nv3", "ny↓"),
        ("lve4", "lɥe↘"),
        ("shi4", "ʂɨ↘"),
        ("zi5", "ʦɨ"),
        ("er2", "ɚ↗"),
        ("dianr3", "tjɛ↓ɻ"),
        ("har1", "xa→ɻ"),
        ("blah4", None),
        ("", None),
        ("ma", None),
    ],
)
def test_a_syllable_has_the_phonemes_of_its_initial_its_final_and_its_tone(syllable, expected):
    assert syllables.phonemes(syllable) == expected


def test_every_syllable_of_the_common_characters_has_phonemes():
    from pypinyin.contrib.tone_convert import to_tone3
    from pypinyin.pinyin_dict import pinyin_dict

    found = {
        to_tone3(reading, neutral_tone_with_five=True)
        for number, readings in pinyin_dict.items()
        if 0x4E00 <= number <= 0x9FFF
        for reading in readings.split(",")
    }
    assert len(found) > 1400
    assert [syllable for syllable in found if not syllables.phonemes(syllable)] == []


def spelled(text):
    """Stands for the English front end."""
    return f"<{text}>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好，世界！", "ni↗xau↓, ʂɨ↘ʨje↘!"),
        ("我用Python写。", "wo↓ jʊ↘ŋ <Python> ɕje↓."),
        ("A股和CPU", "<A.> ku↓ xɤ↗ <CPU>"),
        ("他说：“Hello, you!”", "tʰa→ ʂwo→: “<Hello, you>!”"),
        ("（好）", "(xau↓)"),
        ("龘￥", "ta↗"),
    ],
)
def test_latin_words_go_through_the_english_front_end(text, expected):
    assert phonemes.of_chinese(text, spelled) == expected


def test_stops_of_english_words_have_a_breath_in_a_chinese_sentence():
    said = {"Peter": "pˈiTəɹ", "stop": "stˈɑp", "Tokyo": "tˈOkiO"}
    words = phonemes.of_chinese("叫Peter，别stop，在Tokyo", said.__getitem__).split()
    assert [word.strip(",") for word in words[1::2]] == ["pʰˈitəɹ", "stˈɑp", "tʰˈOkʰiO"]
    assert phonemes.of_english("Peter", said.__getitem__) == "pˈiTəɹ"


def test_chinese_in_an_english_sentence_is_read_as_chinese():
    assert phonemes.of_english("Say 你好 twice.", spelled) == "<Say > ni↗xau↓ < twice.>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我用Python写程序", "zh"),
        ("The word 你好 means hello", "en"),
        ("Price: 今天 hello", "zh"),
        ("12:30", ""),
    ],
)
def test_a_sentence_is_in_the_language_of_its_larger_part(text, expected):
    assert phonemes.main_language(text) == expected


def test_phonemes_beyond_what_the_network_takes_are_cut_at_a_mark_a_space_or_anywhere():
    assert phonemes.pieces_of("aa, bb cc", 6) == ["aa,", "bb cc"]
    assert phonemes.pieces_of("aaa bbb", 5) == ["aaa", "bbb"]
    assert phonemes.pieces_of("aaaaaaa", 3) == ["aaa", "aaa", "a"]
    assert phonemes.pieces_of("…", 3) == []
