"""What Kokoro is given to speak: readable text, in pieces, and what is done with its speech."""
# ruff: noqa: RUF001 - full-width marks are what this is about

import importlib

import numpy as np
import pytest

from tests.unit.envs.runners import Job, Rejection, load_runner

runner = load_runner("kokoro")
written, sentences, sound, graph = (
    importlib.import_module(f"{runner.__name__}.{name}")
    for name in ("written", "sentences", "sound", "onnx_graph")
)


def readable(text):
    return " ".join(written.readable(text)[0].split())


@pytest.mark.parametrize(
    ("text", "expected", "left_out"),
    [
        ("你好 hello 12", "你好 hello 12", 0),
        ("你好😀👍🏽Привет", "你好", 9),
        ("สวัสดี", "", 6),
        ("かな漢字", "漢字", 2),
        ("ＡＢＣ１２：３０％", "ABC12:30%", 0),
        ("café ½ ① Ⅳ ㎡ 5℃", "café 1/2 1 IV m2 5℃", 0),
        ("零\u200b宽\ufeff", "零宽", 0),
        ("# 标题 #\n正文", "标题 正文", 0),
        ("**粗**、*斜*、~~删~~、__下__、`码`", "粗、斜、删、下、码", 0),
        ("snake_case_name 2*3*4", "snake_case_name 2*3*4", 0),
        ("- 一\n* 二\n> 三", "一 二 三", 0),
        ("[文字](https://a.cn/x) ![图](y.png)", "文字 图", 0),
        ("| 名 | 数 |\n|---|:-:|\n| 甲 | 1 |", "名，数 甲，1", 0),
        ("前\n```python\nprint(1)\n```\n后", "前 后", 20),
        ("前\n```\n没有结尾", "前", 7),
        ("<p>段落<br/>二</p>&amp;", "段落 二 &", 0),
        ("见https://www.example.com/a?b=c#d。好", "见example.com。好", 0),
        ("www.example.org/x 和 http://localhost:80/", "example.org 和 localhost", 0),
        ("a" * 30 + "0123456789abcdef", "", 46),
        ("a<b 且 c>d <https://a.cn/b>", "a<b 且 c>d <a.cn", 0),
        ("---\n好\n***", "好", 0),
    ],
)
def test_what_can_be_spoken_is_kept_and_the_rest_is_counted(text, expected, left_out):
    assert readable(text) == expected
    assert written.readable(text)[1] == left_out


def said(text):
    return [piece for piece, _ in sentences.pieces(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一。二！三？四", ["一。", "二！", "三？", "四"]),
        ("他说：“好。”然后走了。", ["他说：“好。”", "然后走了。"]),
        ("等等……好", ["等等……", "好"]),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met Mr. J. Jones.", ["Dr. Smith met Mr. J. Jones."]),
        ("Look at Fig. 3. Then go.", ["Look at Fig. 3.", "Then go."]),
        ("价格是3.5元。", ["价格是3.5元。"]),
        ("他用Python. 很好", ["他用Python.", "很好"]),
        ("看example.com。", ["看example.com。"]),
        ("这一行没有写\n完。", ["这一行没有写完。"]),
        ("a long line that runs\nout of width", ["a long line that runs out of width"]),
        ("标题\n\n正文。", ["标题", "正文。"]),
        ("苹果 3.50\n梨 2.00", ["苹果 3.50", "梨 2.00"]),
        ("", []),
        ("。", ["。"]),
    ],
)
def test_a_text_is_cut_at_the_ends_of_its_sentences(text, expected):
    assert said(text) == expected


def test_pauses_are_longer_between_sentences_and_longest_between_paragraphs():
    pauses = [pause for _, pause in sentences.pieces("一。二。\n\n三，" + "好" * 100)]
    assert pauses == ["sentence", "paragraph", "clause", "paragraph"]


@pytest.mark.parametrize("unit", ["好", "好，", "word ", "a", "1", "，"])
def test_a_sentence_without_an_end_is_cut_into_pieces_and_nothing_is_lost(unit):
    text = unit * (100_000 // len(unit))
    found = said(text)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert max(map(sentences.width, found)) <= sentences.LONGEST


class Network:
    """Stands for the network: a phoneme lasts 10 ms, between 100 ms of silence."""

    def __init__(self):
        self.spoken = []

    def speak(self, phonemes, voice, speed):
        self.spoken.append((phonemes, voice))
        silence = np.zeros(2400, np.float32)
        loud = np.full(round(240 * len(phonemes) / speed), 0.5, np.float32)
        return np.concatenate([silence, loud, silence])


@pytest.fixture
def speaker():
    speaker = runner.Speaker.__new__(runner.Speaker)
    speaker.network = Network()
    speaker.readers = {british: lambda text: f"x{text}" for british in (False, True)}
    return speaker


def test_each_sentence_is_spoken_by_a_voice_of_its_language(speaker):
    runner.run(speaker, Job(), text="你好。Hello. 12。")
    assert [voice for _, voice in speaker.network.spoken] == ["zf_xiaobei", "af_heart", "af_heart"]


def test_one_voice_speaks_everything_where_it_is_asked_for(speaker):
    runner.run(speaker, Job(), text="你好。Hello.", voice="bm_lewis")
    assert {voice for _, voice in speaker.network.spoken} == {"bm_lewis"}


def test_the_language_of_numbers_can_be_said(speaker):
    runner.run(speaker, Job(), text="12.", language="zh")
    runner.run(speaker, Job(), text="12.")
    assert speaker.network.spoken == [("ʂɨ↗ɚ↘.", "zf_xiaobei"), ("x12.", "af_heart")]


def test_sentences_come_as_chunks_that_together_are_the_result(speaker):
    job = Job()
    samples, rate = runner.run(speaker, job, text="你好。再见。")["audio"]
    assert rate == 24_000
    assert len(job.chunks) == 2
    assert np.array_equal(np.concatenate([chunk for _, (chunk, _) in job.chunks]), samples)
    assert samples.dtype == np.int16


def test_speech_ends_between_sentences_when_it_is_cancelled(speaker):
    job = Job()
    speak = speaker.network.speak

    def cancelling(*arguments):
        job.cancelled = True
        return speak(*arguments)

    speaker.network.speak = cancelling
    assert runner.run(speaker, job, text="一。二。三。") == {}
    assert len(job.chunks) == 1


def test_characters_that_are_left_out_are_counted_in_one_line(speaker):
    job = Job()
    runner.run(speaker, job, text="你好😀。Привет。再见。")
    assert job.said == [("log", "left out 7 characters that this model does not speak")]


def test_a_long_sentence_is_spoken_in_parts_that_the_network_takes(speaker):
    runner.run(speaker, Job(), text="77 " * 80, language="zh")
    assert len(speaker.network.spoken) == 3
    assert all(len(part) <= 510 for part, _ in speaker.network.spoken)


@pytest.mark.parametrize("text", ["", " \n", "。！？", "😀👍", "สวัสดี", "— — —", "好" * 100_001])
def test_a_text_without_anything_to_speak_or_too_long_is_rejected_before_the_load(text):
    with pytest.raises(Rejection):
        runner.check(Job(), text=text, speed=1.0)


def test_speech_has_no_silence_around_it_and_begins_and_ends_at_nothing():
    voice = np.concatenate([np.zeros(9000), np.full(2400, 0.5), np.zeros(9000)]).astype(np.float32)
    trimmed = sound.trimmed(voice, 24_000)
    assert len(trimmed) == pytest.approx(2400 + 2 * 1200, abs=1)
    full = sound.trimmed(np.full(2400, 0.5, np.float32), 24_000)
    assert full[0] == full[-1] == 0
    assert full.max() == 0.5
    assert len(sound.trimmed(np.zeros(0, np.float32), 24_000)) == 0


def test_a_pause_comes_before_speech():
    samples = sound.after_pause(np.full(10, 2.0, np.float32), 0.1, 100)
    assert samples.tolist() == [0] * 10 + [32767] * 10


def test_convolutions_of_whole_numbers_become_plain_ones():
    nodes = [  # op_type, inputs, outputs: with a bias, and without one
        ("DynamicQuantizeLinear", ["x"], ["x_q", "x_s", "x_z"]),
        ("Mul", ["x_s", "w_scale"], ["b_s"]),
        ("Div", ["bias", "b_s"], ["b_d"]),
        ("Floor", ["b_d"], ["b_f"]),
        ("Cast", ["b_f"], ["b_q"]),
        ("Reshape", ["b_q", "shape"], ["b_r"]),
        ("ConvInteger", ["x_q", "w_quantized", "x_z", "w_zero"], ["c"]),
        ("Add", ["c", "b_r"], ["c_b"]),
        ("Cast", ["c_b"], ["c_f"]),
        ("Mul", ["c_f", "b_s"], ["y"]),
        ("DynamicQuantizeLinear", ["y"], ["y_q", "y_s", "y_z"]),
        ("Mul", ["y_s", "v_scale"], ["d_s"]),
        ("ConvInteger", ["y_q", "v_quantized", "y_z", "v_zero"], ["d"]),
        ("Cast", ["d"], ["d_f"]),
        ("Mul", ["d_f", "d_s"], ["z"]),
    ]
    model = graph.message_class()()
    for op_type, inputs, outputs in nodes:
        model.graph.node.add(op_type=op_type, input=inputs, output=outputs)
    model.graph.output.add(name="z")
    changed = type(model).FromString(graph.with_float_convolutions(model.SerializeToString()))
    assert [(n.op_type, list(n.input), list(n.output)) for n in changed.graph.node] == [
        ("DequantizeLinear", ["w_quantized", "w_scale", "w_zero"], ["w_quantized_as_float"]),
        ("DequantizeLinear", ["v_quantized", "v_scale", "v_zero"], ["v_quantized_as_float"]),
        ("Conv", ["x", "w_quantized_as_float", "bias"], ["y"]),
        ("Conv", ["y", "v_quantized_as_float"], ["z"]),
    ]


@pytest.mark.parametrize("part", ["这是一句话。", "很长没有标点", "a", "[", " *a", "**a ", "a.b."])
def test_the_longest_text_is_read_in_a_time_that_grows_with_it(part):
    text = (part * 100_000)[:100_000]  # by its square it would take minutes
    assert len(readable(text)) > 60_000
