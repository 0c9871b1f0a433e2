"""What the runners of DeepSeek-OCR-2 do without the model: prompts, marks, boxes, streaming."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from orchestrator.core.manifest_reader import read_manifest
from tests.unit.envs.runners import ENVS, load_runner

ORIGINAL, PORT, MLX = "deepseek-ocr-2", "deepseek-ocr-2-native", "deepseek-ocr-2-mlx"


@pytest.fixture(scope="module", params=[ORIGINAL, PORT, MLX])
def runner(request):
    """All runners do the same before and after the model."""
    return load_runner(request.param)


class Rejected(Exception):
    pass


class Job:
    def __init__(self):
        self.chunks = {"raw": [], "text": []}
        self.warnings = []
        self.cancelled = False

    def reject(self, message):
        raise Rejected(message)

    def emit(self, output, chunk):
        self.chunks[output].append(chunk)

    def warn(self, text):
        self.warnings.append(text)

    def progress(self, *told):
        pass


RAW = (
    "<|ref|>title<|/ref|><|det|>[[10, 20, 999, 40]]<|/det|>\n# A < B\n\n"
    "<|ref|>image<|/ref|><|det|>[[0, 0, 1, 1], [5,6,7,8]]<|/det|>\n\n"
    "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nIt reads.\n"
)
TEXT = "# A < B\n\n\nIt reads."


def test_a_document_loses_its_marks(runner):
    assert runner.plain(RAW, labels=False) == TEXT


def test_where_places_were_asked_for_the_labels_are_the_text(runner):
    raw = "<|ref|>Hello<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n<|ref|>world<|/ref|><|det|>[]<|/det|>"
    assert runner.plain(raw, labels=True) == "Hello\nworld"
    assert runner.plain(raw, labels=False) == "Hello\nworld"


@pytest.mark.parametrize("raw", ["", "plain", "a <b> c", "<|ref|>cut", "<|/det|>"])
def test_text_without_whole_marks(runner, raw):
    assert "<|" not in runner.plain(raw, labels=False)
    assert runner.boxes(raw, 10, 10) == []


def test_boxes_are_pixels(runner):
    assert runner.boxes(RAW, 1998, 999)[:2] == [
        {"label": "title", "box": [20, 20, 1998, 40]},
        {"label": "image", "box": [0, 0, 2, 1]},
    ]


@pytest.mark.parametrize(
    "inside", ["__import__('os').system('x')", "[[1, 2, 3]]", "[[1, 2, 3, 99999]]", "[" * 10000]
)
def test_what_is_no_box_is_passed_over_and_never_evaluated(runner, inside):
    assert runner.boxes(f"<|ref|>a<|/ref|><|det|>{inside}<|/det|>", 10, 10) == []


def test_numbers_beyond_the_scale_stay_in_the_image(runner):
    (box,) = runner.boxes("<|ref|>a<|/ref|><|det|>[[0, 0, 1200, 1200]]<|/det|>", 10, 20)
    assert box["box"] == [0, 0, 10, 20]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_chunks_of_text_add_up_to_the_text(runner, size):
    job = Job()
    watch = runner.Watch(job, None, 10, labels=False)
    for start in range(0, len(RAW), size):
        watch.text(RAW[start : start + size])
    assert "".join(job.chunks["raw"]) == RAW.strip()
    watch.end(runner.plain(RAW, labels=False))
    assert "".join(job.chunks["text"]) == TEXT
    assert size == 50 or len(job.chunks["text"]) > 2


@pytest.mark.parametrize(
    ("tokens", "ended", "said"),
    [
        (9, False, []),
        (10, True, []),
        (10, False, ["cut off after 10 tokens, as many as may be written"]),
    ],
)
def test_a_text_that_ends_at_the_limit_of_tokens_is_said_to_be_cut_off(runner, tokens, ended, said):
    job = Job()
    watch = runner.Watch(job, None, 10, labels=False)
    for _ in range(tokens):
        watch.token()
    watch.ended = ended
    watch.end("text")
    assert job.warnings == said


def test_prompts(runner):
    job = Job()
    assert runner.prompt_for(job, "free", None, None) == "<image>\nFree OCR."
    located = runner.prompt_for(job, "locate", "the {date}", None)
    assert located == "<image>\nLocate <|ref|>the {date}<|/ref|> in the image."
    assert runner.prompt_for(job, "markdown", None, "<image>\nMine") == "<image>\nMine"


@pytest.mark.parametrize(
    ("mode", "locate", "prompt", "said"),
    [
        ("locate", None, None, "--mode locate needs --locate TEXT"),
        ("locate", " ", None, "--mode locate needs --locate TEXT"),
        ("free", "x", None, "--locate TEXT goes with --mode locate"),
        ("free", None, "no image", "the prompt must hold <image> once"),
    ],
)
def test_combinations_without_a_meaning_are_rejected(runner, mode, locate, prompt, said):
    with pytest.raises(Rejected, match=said):
        runner.prompt_for(Job(), mode, locate, prompt)


def test_inputs_are_looked_at_before_the_model_is_loaded(runner, tmp_path):
    page = tmp_path / "page.png"
    Image.new("RGB", (10, 10)).save(page)
    runner.check(Job(), image=page, mode="markdown", crop=True)
    with pytest.raises(Rejected, match="--mode locate needs --locate TEXT"):
        runner.check(Job(), image=page, mode="locate")
    with pytest.raises(Rejected, match="must hold <image> once"):
        runner.check(Job(), image=page, mode="markdown", prompt="Read this.")
    page.write_text("no picture")
    with pytest.raises(Rejected, match="not an image that can be read"):
        runner.check(Job(), image=page, mode="markdown")


def test_a_file_that_is_no_image_is_rejected(runner, tmp_path):
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(Rejected, match="not an image that can be read"):
        runner.opened(Job(), tmp_path / "x.png")


def test_the_drawing_has_the_boxes(runner, tmp_path):
    picture = Image.new("RGB", (200, 100), "white")
    found = [{"label": "тitle", "box": [150, 20, 50, 80]}]
    path = runner.drawing(picture, found, tmp_path / "drawing.png")
    with Image.open(path) as drawn:
        assert drawn.size == (200, 100)
        assert drawn.getpixel((100, 20)) != (255, 255, 255)
        assert drawn.getpixel((100, 50)) == (255, 255, 255)
    assert picture.getpixel((100, 20)) == (255, 255, 255)


def test_a_cancelled_job_stops_at_the_next_layer(runner):
    job = Job()
    watch = runner.Watch(job, None, 10, labels=False)
    watch.step()
    job.cancelled = True
    for stop in (watch.step, watch.check, watch.token):
        with pytest.raises(runner.Stopped):
            stop()


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((1000, 500), (2, 1)),
        ((800, 3000), (1, 4)),
        ((1000, 1000), (2, 2)),
        ((5000, 700), (6, 1)),
        ((1000, 1400), (2, 3)),
    ],
)
def test_an_image_is_cut_into_the_tiles_of_the_nearest_grid(size, grid):
    native = load_runner(PORT)
    whole, tiles = native.views(Image.new("RGB", size, "white"), 1024, crop=True)
    assert whole.size == (1024, 1024)
    assert whole.getpixel((0, 0)) == ((255,) * 3 if size[0] == size[1] else (127,) * 3)
    assert [tile.size for tile in tiles] == [(768, 768)] * (grid[0] * grid[1])


def test_without_tiles_the_whole_is_squeezed_or_padded():
    native = load_runner(PORT)
    wide = Image.new("RGB", (1000, 500), "white")
    for size, corner in ((768, 255), (1024, 127)):
        whole, tiles = native.views(wide, size, crop=False)
        assert (whole.size, tiles) == ((size, size), [])
        assert whole.getpixel((0, 0)) == (corner,) * 3
    assert native.views(Image.new("RGB", (700, 768)), 1024, crop=True)[1] == []


@pytest.mark.parametrize("name", ["marks", "pictures", "watch"])
def test_the_port_and_mlx_share_what_stands_around_the_model(name):
    mine, twins = (ENVS / each / "runner" / f"{name}.py" for each in (MLX, PORT))
    assert mine.read_bytes() == twins.read_bytes()


def test_all_take_and_return_the_same():
    first, port, mlx = (
        read_manifest((ENVS.parent / "manifests" / f"{name}.yaml").read_bytes(), file="", stem=name)
        for name in (ORIGINAL, PORT, MLX)
    )
    for each in (port, mlx):
        assert (each.inputs, each.outputs) == (first.inputs, first.outputs)
        assert (each.task, each.family) == (first.task, first.family)
    assert (mlx.source.repo, mlx.source.revision) == (first.source.repo, first.source.revision)
    assert mlx.preference_on("macos-arm64") > first.preference_on("macos-arm64")
    assert mlx.preference_on("linux-x86_64") < port.preference_on("linux-x86_64")


@pytest.mark.parametrize(
    "stored",
    [
        {"model_type": "deepseek_vl_v2", "architectures": ["DeepseekOCR2ForCausalLM"]},
        {"model_type": "deepseekocr_2"},
    ],
)
def test_mlx_finds_the_language_model_in_what_was_published_and_what_was_converted(stored):
    checkpoint = load_runner(MLX).checkpoint
    for key in ("language_config", "text_config"):
        assert checkpoint.language_of({**stored, key: {"hidden_size": 7}}) == {"hidden_size": 7}


def test_mlx_refuses_the_configuration_of_another_model():
    checkpoint = load_runner(MLX).checkpoint
    with pytest.raises(ValueError, match="is of qwen3_tts, not of DeepSeek-OCR-2"):
        checkpoint.language_of({"model_type": "qwen3_tts"})


def test_mlx_refuses_what_it_does_not_compute_on_a_cpu():
    check = load_runner(MLX).loading.check_dtype
    check("float32", "linux")
    check("4bit", "linux")
    check("bfloat16", "darwin")
    with pytest.raises(ValueError, match="run it with --dtype float32"):
        check("bfloat16", "linux")


def test_mlx_writes_no_long_sequence_twice():
    writing = load_runner(MLX).writing
    before = list(range(writing.REPEATED - 1))
    repeats = writing.Repeats([*before, 7])
    assert not repeats.banned()
    for token in before:
        repeats.add(token)
    assert repeats.banned() == {7}
    repeats.add(8)
    assert not repeats.banned()


def test_a_gpu_that_torch_cannot_use_is_said_before_the_files_are_read(monkeypatch, tmp_path):
    def empty(_size, *, device):
        raise RuntimeError(f"The {device} backend is supported on MacOS 14.0+")

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(empty=empty))
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(PreTrainedTokenizerFast=None))
    context = SimpleNamespace(model_dir=str(tmp_path), device="mps", dtype="float16")
    with pytest.raises(RuntimeError, match=r"supported on MacOS 14\.0"):
        load_runner("deepseek-ocr-2-native").load(context)
