"""Chinese characters to syllables: words by jieba, readings by pypinyin's phrases, tones as spoken."""

import re
from functools import cache

from .tones import NUMERALS, spoken_tones

PHRASES = {
    "头发": "tou2 fa5", "大夫": "dai4 fu5", "落下": "luo4 xia4", "得了": "de2 le5", "行不行": "xing2 bu5 xing2",
    "长大": "zhang3 da4", "倒是": "dao4 shi4", "为的是": "wei4 de5 shi4", "只得": "zhi3 de2", "少不了": "shao3 bu5 liao3",
    "受不了": "shou4 bu5 liao3", "不得了": "bu4 de2 liao3", "了不起": "liao3 bu5 qi3", "跑得快": "pao3 de5 kuai4",
    "好得很": "hao3 de5 hen3", "还书": "huan2 shu1", "还钱": "huan2 qian2", "血液": "xue4 ye4", "乐曲": "yue4 qu3",
}  # fmt: skip
"""Readings of words that pypinyin has otherwise, or reads by their characters."""
RULES = [
    ("长", "", "[了着得大高满]", "zhang3"), ("长", "", "", "chang2"),
    ("得", "[我你他她它们都就还总也]", "(?![了到出])", "dei3"), ("得", "", "[了到出奖]", "de2"), ("得", "", "", "de5"),
    ("地", f"[^{NUMERALS}的在是此该本各两每]", "(?=[^的上下面里方图铁区])", "de5"), ("著", "", "", "zhe5"),
    ("还", "", "[了给清]|[书钱债款]", "huan2"), ("数", "", "[一了着]", "shu3"), ("切", "", "", "qie1"),
    ("只", f"[{NUMERALS}两几这那每]", "", "zhi1"), ("种", f"[^{NUMERALS}两几这那每各多]", "[了着上下树花地菜田]", "zhong4"),
    ("行", f"[{NUMERALS}]", "人", "xing2"), ("行", f"[{NUMERALS}两几每这那]", "", "hang2"), ("为", "[^因以]", f"[{NUMERALS}]", "wei2"),
    ("弹", "", "", "tan2"), ("调", "", "", "tiao2"), ("背", "", "[着了起]", "bei1"), ("血", "", "", "xue3"),
    ("扇", "", "[了着]", "shan1"), ("转", "", "[了个]", "zhuan4"), ("间", "", "", "jian1"), ("当", "", "[作成做]", "dang4"),
    ("重", "", "[新来做写读复]", "chong2"), ("曾", "", "", "ceng2"), ("和", "", "", "he2"), ("圈", "", "", "quan1"),
]  # fmt: skip
"""A character that is a word alone: what stands before and after it, and how it is then read."""
NEUTRAL = frozenset(
    "爸爸 妈妈 哥哥 弟弟 姐姐 妹妹 爷爷 奶奶 叔叔 舅舅 姑姑 公公 婆婆 太太 娃娃 宝宝 星星 谢谢 看看 试试 想想"
    " 说说 听听 走走 坐坐 朋友 东西 喜欢 知道 告诉 认识 明白 漂亮 先生 学生 事情 时候 地方 消息 衣服 窗户"
    " 眼睛 耳朵 豆腐 葡萄 萝卜 玻璃 力气 脾气 客气 舒服 聪明 清楚 糊涂 热闹 凉快 关系 休息 打听 商量 收拾"
    " 麻烦 月亮 早上 晚上 行李 钥匙 护士 师傅 丈夫 亲戚 故事 笑话 名字 生意 本事 心思 主意 打扮 招呼 称呼"
    " 咳嗽 道理 厉害 运气 福气 和尚 抽屉 规矩 芝麻 棉花 庄稼 骆驼 狐狸 胳膊 脑袋 指甲 嘴巴 下巴 屁股 头发"
    " 干净 结实 老实 便宜 暖和 含糊 马虎 迷糊 讲究 将就 应付 委屈 冤枉 态度 困难 部分 答应 吓唬 唠叨 似的 妻子"
    " 怎么 什么 那么 这么 多么 里面 外面 上面 下面 前面 后面 里边 外边 石头 木头 骨头 舌头 馒头 枕头 拳头".split()
)
"""Words whose second syllable has no tone."""
COUNTED = re.compile(f"[第{NUMERALS}两几]+[只行]")
OWN_SYLLABLE = re.compile("[女婴幼孤胎健宠少育托新生混血男小患]+儿")
"""Words in which 儿 means a child, and does not join the syllable before it."""


def syllables(text):
    """Returns the words of a run of Chinese characters, each as a list of syllables with tones.

    A syllable is pinyin with the number of its tone; 儿 that only colours the syllable before it is
    an "r" in that: "dianr3". A character without a reading is an empty syllable.
    """
    import rjieba

    words, found, start = rjieba.cut(text, False), [], 0
    for word in words:
        before, after = text[:start], text[start + len(word) :]
        found.append(readings(word, before, after))
        start += len(word)
    return [
        with_er(word, each) for word, each in zip(words, spoken_tones(words, found), strict=True)
    ]


def readings(word, before="", after=""):
    """Returns the reading of each character of a word in its text."""
    if word in PHRASES:
        return PHRASES[word].split()
    if len(word) == 1:
        for character, ending, beginning, reading in RULES:
            if word == character and re.search(f"{ending}$", before) and re.match(beginning, after):
                return [reading]
    if COUNTED.fullmatch(word):
        number, measure = word[:-1], word[-1]
        return [*readings(number, before, measure), *readings(measure, before + number, after)]
    found = pinyin()(word)
    if word in NEUTRAL:
        found[-1] = found[-1][:-1] + "5"
    return found


def with_er(word, found):
    """Returns the syllables of a word with 儿 at its end joined to the one before."""
    if len(word) < 2 or word[-1] != "儿" or OWN_SYLLABLE.fullmatch(word):
        return found
    return [*found[:-2], f"{found[-2][:-1]}r{found[-2][-1]}"]


@cache
def pinyin():
    """Returns what reads a word: its characters as pinyin with the numbers of their tones."""
    from pypinyin import Style, lazy_pinyin

    def read(word):
        return lazy_pinyin(
            word,
            style=Style.TONE3,
            neutral_tone_with_five=True,
            errors=lambda unknown: [""] * len(unknown),
        )

    return read
