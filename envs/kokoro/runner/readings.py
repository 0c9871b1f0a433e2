"""Readings that pypinyin lacks or has otherwise: words, single characters, neutral tones."""

from .tones import NUMERALS

COUNT = f"[{NUMERALS}两几]"
EACH = f"[{NUMERALS}两几这那每]"

PHRASES = {
    "头发": "tou2 fa5", "大夫": "dai4 fu5", "落下": "luo4 xia4", "得了": "de2 le5",
    "长大": "zhang3 da4", "倒是": "dao4 shi4", "只得": "zhi3 de2", "还书": "huan2 shu1",
    "还钱": "huan2 qian2", "血液": "xue4 ye4", "乐曲": "yue4 qu3", "了不起": "liao3 bu5 qi3",
    "少不了": "shao3 bu5 liao3", "受不了": "shou4 bu5 liao3", "不得了": "bu4 de2 liao3",
    "跑得快": "pao3 de5 kuai4", "行不行": "xing2 bu5 xing2",
}  # fmt: skip

RULES = [
    ("长", "", "[了着得大高满]", "zhang3"),
    ("长", "", "", "chang2"),
    ("得", "[我你他她它们都就还总也]", "(?![了到出])", "dei3"),
    ("得", "", "[了到出奖]", "de2"),
    ("得", "", "", "de5"),
    ("地", f"[^{NUMERALS}的在是此该本各两每]", "(?=[^的上下面里方图铁区])", "de5"),
    ("著", "", "", "zhe5"),
    ("还", "", "[了给清书钱债款]", "huan2"),
    ("数", "", "[一了着]", "shu3"),
    ("切", "", "", "qie1"),
    ("只", EACH, "", "zhi1"),
    ("种", f"[^{NUMERALS}两几这那每各多]", "[了着上下树花地菜田]", "zhong4"),
    ("行", COUNT, "人", "xing2"),
    ("行", EACH, "", "hang2"),
    ("为", "[^因以]", f"[{NUMERALS}]", "wei2"),
    ("背", "", "[着了起]", "bei1"),
    ("扇", "", "[了着]", "shan1"),
    ("转", "", "[了个]", "zhuan4"),
    ("当", "", "[作成做]", "dang4"),
    ("重", "", "[新来做写读复]", "chong2"),
    ("弹", "", "", "tan2"),
    ("调", "", "", "tiao2"),
    ("血", "", "", "xue3"),
]
"""A character that is a word alone: what stands before and after it, and how it is then read."""

NEUTRAL = frozenset(
    """
    爸爸 妈妈 哥哥 弟弟 姐姐 妹妹 爷爷 奶奶 叔叔 舅舅 姑姑 公公 婆婆 太太 娃娃 宝宝
    星星 谢谢 看看 试试 想想 说说 听听 走走 坐坐 朋友 东西 喜欢 知道 告诉 认识 明白
    漂亮 先生 学生 事情 时候 地方 消息 衣服 窗户 眼睛 耳朵 豆腐 葡萄 萝卜 玻璃 力气
    脾气 客气 舒服 聪明 清楚 糊涂 热闹 凉快 关系 休息 打听 商量 收拾 麻烦 月亮 早上
    晚上 行李 钥匙 护士 师傅 丈夫 妻子 亲戚 故事 笑话 名字 生意 本事 心思 主意 打扮
    招呼 称呼 咳嗽 道理 厉害 运气 福气 和尚 抽屉 规矩 芝麻 棉花 庄稼 骆驼 狐狸 胳膊
    脑袋 指甲 嘴巴 下巴 屁股 干净 结实 老实 便宜 暖和 含糊 马虎 讲究 将就 应付 委屈
    冤枉 态度 困难 部分 答应 吓唬 唠叨 似的 怎么 什么 那么 这么 多么 里面 外面 上面
    下面 前面 后面 里边 外边 石头 木头 骨头 舌头 馒头 枕头 拳头
    """.split()  # noqa: SIM905 - as a list it is three times as long
)
"""Words whose second syllable has no tone."""
