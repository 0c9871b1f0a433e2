"""DeepSeek-OCR-2 by MLX on the CPU, on a tiny checkpoint of its architecture."""

import json
import shutil
from contextlib import contextmanager
from functools import partial

import pytest
from PIL import Image, ImageDraw

import orchestrator
from orchestrator.comparison import run_traced
from orchestrator.jobs.job import Job
from tests.integration.conftest import CHECKPOINTS, ROOT, run_mm

MODEL = "deepseek-ocr-2-mlx"
ERROR = 1e-3
"""By how much numbers may differ between torch and MLX, in float32."""

BY_TORCH = {
    "sam_whole": (0.29355, -0.33914, -0.18826, 0.09285, 0.0535, 0.01144),
    "sam_tiles": (-0.27946, 0.22751, 0.07875, 0.25916, -0.37524, 0.0558),
    "vision_whole": (-0.13122, -0.30218, 1.81408, 0.7166, -0.75784, -2.2408),
    "vision_tiles": (-0.36679, 0.0022, -1.55639, -0.46448, 0.99697, -0.79072),
    "projector_whole": (-0.18878, -0.40215, 0.28284, 0.12795, -0.78361, -0.58302),
    "projector_tiles": (0.2952, -0.45399, -1.55172, -0.47076, 1.30283, -0.31339),
    "logits": (-0.0588, -0.02651, -0.20574, 1.33508, -0.90318, 0.39011),
}
"""Numbers at each seventh of what the port in transformers gives for `page`; the test in
tests/manual/test_deepseek_ocr2_native.py compares all of them."""


@pytest.fixture(scope="module")
def variables(workplace, tmp_path_factory):
    """Variables for all that runs here; a tiny model needs less memory than the manifest says."""
    root = tmp_path_factory.mktemp("declared")
    shutil.copytree(ROOT / "envs" / MODEL, root / "envs" / MODEL)
    (root / "manifests").mkdir()
    manifest = (ROOT / "manifests" / f"{MODEL}.yaml").read_text()
    assert "9 GiB" in manifest
    (root / "manifests" / f"{MODEL}.yaml").write_text(manifest.replace(" GiB", "0 MiB"))
    return {**workplace, "MM_MANIFESTS": str(root / "manifests"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def mm(mm, variables):
    """Return the function that runs `mm`, with our variables."""
    return partial(mm, variables=variables)


@pytest.fixture(scope="module")
def checkpoints(variables, tmp_path_factory):
    """The directory of the tiny checkpoints: original and port."""
    root = tmp_path_factory.mktemp("saved")
    run_mm(variables, "env", "sync", MODEL)
    script = CHECKPOINTS / "deepseek_ocr2.py"
    run_mm(variables, "env", "exec", MODEL, "--", "python", "-I", script, root)
    return root


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """An image that is read whole and in two tiles."""
    image = Image.new("RGB", (1000, 500), "white")
    pen = ImageDraw.Draw(image)
    for number in range(40):
        left, top = number * 97 % 900, number * 61 % 440
        pen.rectangle((left, top, left + 60, top + 25), fill=(number * 6, 90, 250 - number * 5))
    path = tmp_path_factory.mktemp("page") / "page.png"
    image.save(path)
    return path


@pytest.fixture(scope="module")
def opened(variables, checkpoints):
    """Return a function that gives a session with one of the checkpoints."""

    @contextmanager
    def opened(kind):
        run_mm(variables, "model", "add", MODEL, checkpoints / kind)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            with orchestrator.Session() as session:
                yield session
        run_mm(variables, "model", "remove", MODEL)

    return opened


@pytest.fixture(scope="module")
def session(opened):
    """A session with the checkpoint as the port describes it."""
    with opened("port") as session:
        yield session


@pytest.fixture
def small(page):
    """Inputs that take little time: the whole image alone, and few tokens."""
    return {"image": page, "image_size": "768", "crop": False, "max_tokens": 4}


def test_it_computes_what_the_port_does_with_torch(opened, page):
    given = {"image": page, "mode": "free", "max_tokens": 4}
    with opened("original") as session:
        model = session.workspace.catalog.model(MODEL)
        found = run_traced(session, model, Job(MODEL, given), runs=False)
    assert list(found.arrays) == list(BY_TORCH)
    for name, wanted in BY_TORCH.items():
        values = found.arrays[name].values
        numbers = [values[len(values) * part // 7] for part in range(1, 7)]
        assert numbers == pytest.approx(wanted, abs=ERROR), name


ROUTE = """
import sys
import mlx.core as mx
from mlx_vlm.models.deepseekocr.language import MoEGate
from mlx_vlm.models.deepseekocr_2 import TextConfig
sys.path.insert(0, sys.argv[1])
from runner.repairs import repair

gate = MoEGate(TextConfig(hidden_size=512, n_routed_experts=64, num_experts_per_tok=6))
mx.random.seed(0)
gate.weight = mx.random.normal((64, 512)).astype(mx.bfloat16)
values = mx.random.normal((1, 200, 512)).astype(mx.bfloat16)
exact, _ = gate(values.astype(mx.float32))
repair()
chosen, shares = gate(values)
print(mx.array_equal(mx.sort(chosen, -1), mx.sort(exact, -1)).item(), shares.dtype == values.dtype)
"""


def test_experts_are_chosen_in_float32(variables, checkpoints):
    words = ("env", "exec", MODEL, "--", "python", "-I", "-c", ROUTE, ROOT / "envs" / MODEL)
    assert run_mm(variables, *words).split() == ["True", "True"]


def test_text_is_streamed_and_is_the_whole_in_the_end(session, small):
    chunks = list(session.stream(MODEL, **small))
    whole = session.run(MODEL, **small)
    assert "".join(chunks) == whole["text"]
    assert len(chunks) > 1
    assert whole.receipt["warnings"] == ["cut off after 4 tokens, as many as may be written"]
    made = whole.receipt["produced_by"]
    assert (made["device"], made["dtype"]) == ("mlx", "float32")


def test_a_job_that_is_given_up_leaves_the_model_as_it_was(session, small, variables):
    def workers():
        listed = json.loads(run_mm(variables, "ps", "--json"))["workers"]
        return [each["pid"] for each in listed]

    before, loaded = session.run(MODEL, **small)["raw"], workers()
    stream = session.stream(MODEL, **{**small, "max_tokens": 8000})
    next(stream)
    stream.close()
    assert session.run(MODEL, **small)["raw"] == before
    assert workers() == loaded


def read(mm, page, out, precision):
    size = ("--no-crop", "--image-size", "768", "--max-tokens", "2")
    return mm("run", MODEL, "--image", page, *size, "--precision", precision, "-o", f"raw={out}")


def test_weights_are_converted_once_and_read_with(mm, checkpoints, page, tmp_path):
    mm("model", "add", MODEL, checkpoints / "original")
    converted = mm("model", "convert", MODEL, "--precision", "4bit")
    assert converted.code == 0, converted.err
    assert read(mm, page, tmp_path / "raw.txt", "4bit").code == 0
    assert (tmp_path / "raw.txt").read_text().startswith("<unused ")


def test_a_checkpoint_that_is_not_whole_is_refused(mm, checkpoints, page, tmp_path):
    shutil.copytree(checkpoints / "original", tmp_path / "lacking")
    weights = tmp_path / "lacking" / "model.safetensors"
    data = weights.read_bytes()
    assert data.count(b"view_seperator") == 1
    weights.write_bytes(data.replace(b"view_seperator", b"view_seperatoX"))
    mm("model", "add", MODEL, tmp_path / "lacking")
    ended = read(mm, page, tmp_path / "raw.txt", "float32")
    assert ended.code == 1
    assert "Received 1 parameters not in model: model.view_seperatoX." in ended.sentence
