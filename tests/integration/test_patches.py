"""The patch set of DeepSeek-OCR-2 on a model in miniature with the same faults, in the real
environment: transformers 4.46.3, torch 2.6.0, torchvision 0.21.0.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from PIL import Image

from tests.hub import LARGE, serving
from tests.integration.conftest import MM, READER, ROOT
from tests.integration.miniature_model import BRIGHT, DARK, build

MODEL = READER
TRY = ROOT / "tests" / "integration" / "try_miniature.py"
SMALL = "{cpu: {float32: 1 GiB, bfloat16: 1 GiB, float16: 1 GiB}}"


@pytest.fixture(scope="module")
def declared(tmp_path_factory):
    """The real declaration, for a small model, as a function of the patches that are left out."""
    root = tmp_path_factory.mktemp("declared")
    made = {}

    def declare(*without):
        if without not in made:
            base = root / ("-".join(without) or "all")
            shutil.copytree(ROOT / "envs" / MODEL, base / "envs" / MODEL)
            (base / "manifests" / "patches").mkdir(parents=True)
            text = (ROOT / "manifests" / f"{MODEL}.yaml").read_text()
            text = re.sub(r"memory:\n(  .*\n)+", f"memory: {SMALL}\n", text)
            text = re.sub(r"(repo|revision): .*", lambda m: HUB[m[1]], text)
            (base / "manifests" / f"{MODEL}.yaml").write_text(text)
            patches = (ROOT / "manifests" / "patches" / f"{MODEL}.yaml").read_text()
            head, *each = re.split(r"(?m)^(?=  - id: )", patches)
            kept = [one for one in each if one.split()[2] not in without]
            (base / "manifests" / "patches" / f"{MODEL}.yaml").write_text("".join([head, *kept]))
            made[without] = str(base / "manifests")
        return made[without]

    return declare


@pytest.fixture(scope="module")
def newer_transformers(tmp_path_factory):
    """What answers as the interpreter of an environment with transformers 4.57.3 would."""
    path = tmp_path_factory.mktemp("newer") / "python"
    path.write_text('#!/bin/sh\necho \'{"Transformers": "4.57.3"}\'\n')
    path.chmod(0o755)
    return path


HUB = {"repo": "repo: owner/model", "revision": "revision: main"}


@pytest.fixture
def images(tmp_path):
    for name, color in (("bright", "white"), ("dark", "black")):
        Image.new("RGB", (200, 100), color).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture
def read(mm, declared, images):
    """Return a function that reads a bright or a dark image with a model."""

    def read(image="bright", *options, without=(), dtype="float32", variables=None):
        path = images / f"{image}.png"
        return mm(
            "run", MODEL, "--manifests", declared(*without), "--image", path, "--dtype", dtype,
            "--no-crop", "--image-size", "768", *options, variables=variables,
        )  # fmt: skip

    return read


@pytest.fixture
def add(mm, declared):
    """Return a function that adds a directory as the model's; the other tests never see it."""

    def add(directory, without=()):
        ended = mm("model", "add", MODEL, directory, "--manifests", declared(*without))
        assert ended.code == 0, ended
        return directory

    yield add
    ended = mm("model", "remove", MODEL, "--manifests", declared())
    assert ended.code == 0, ended


def hashes(directory):
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


# Each fault, shown before its patch: one process for all of them, because torch takes seconds


HOSTILE = "__import__('pathlib').Path('hacked').touch()"
VARIANTS = {
    "whole": {},
    "unpatched": {"without": None},
    "no-device": {"without": ["device"]},
    "no-dtype": {"without": ["patch-embed-dtype", "image-dtype"]},
    "no-feature-dtype": {"without": ["feature-dtype"], "dtype": "bfloat16"},
    "hostile": {"hostile": True},
    "hostile-no-eval": {"hostile": True, "without": ["no-eval"]},
    "newer": {"newer": True},
    "newer-no-rename": {"newer": True, "without": ["llama-attention"]},
}
"""Directories by name: which patches are left out (None for no patches at all), what the model
writes, and whether transformers is one without LlamaFlashAttention2."""


@pytest.fixture(scope="module")
def trials(workplace, environments, declared, newer_transformers, tmp_path_factory):
    """How each variant ended: the text or the error, and whether what was written has run."""
    root = tmp_path_factory.mktemp("trials")
    variables = {**os.environ, **workplace, "HF_MODULES_CACHE": str(root / "modules")}

    def run(*words):
        subprocess.run([*MM, *map(str, words)], env=variables, check=True, stdout=sys.stderr)

    for name, wanted in VARIANTS.items():
        directory = build(root / name)
        if wanted.get("hostile"):
            tokenizer = directory / "tokenizer.json"
            tokenizer.write_text(tokenizer.read_text().replace("[[0, 0, 999, 499]]", HOSTILE))
        if wanted.get("without", []) is not None:
            newer = ["--python", newer_transformers] if wanted.get("newer") else []
            manifests = declared(*wanted.get("without", []))
            dtype = wanted.get("dtype", "float32")
            run(
                "patch", "apply", MODEL, "--in-place", directory, "--manifests", manifests,
                "--dtype", dtype, *newer,
            )  # fmt: skip
    Image.new("RGB", (200, 100), "white").save(root / "page.png")
    tried = {name: wanted.get("dtype", "float32") for name, wanted in VARIANTS.items()}
    (root / "tried.json").write_text(json.dumps(tried))
    run("env", "exec", MODEL, "--", "python", "-I", TRY, root)
    return json.loads((root / "ended.json").read_text())


def test_unpatched_or_without_the_device_patch_it_asks_for_a_gpu(trials):
    # The first with a build of torch for CPUs, the second with one for CUDA and no driver.
    wanted = r"not compiled with CUDA enabled|Found no NVIDIA driver"
    assert re.search(wanted, trials["unpatched"]["error"])
    assert re.search(wanted, trials["no-device"]["error"])


def test_without_the_dtype_patches_the_image_does_not_fit_the_weights(trials):
    error = trials["no-dtype"]["error"]
    assert re.search(r"Input type .*BFloat16.* should be the same", error)


def test_without_the_feature_patch_features_do_not_fit_the_embeddings(trials):
    assert "masked_scatter" in trials["no-feature-dtype"]["error"]


def test_without_the_eval_patch_what_the_model_writes_is_run(trials):
    assert trials["hostile-no-eval"]["hacked"]
    assert "malformed node" in trials["hostile"]["error"]
    assert not trials["hostile"]["hacked"]


def test_without_the_rename_it_needs_a_class_that_newer_transformers_has_not(trials):
    assert "cannot import name 'LlamaFlashAttention2'" in trials["newer-no-rename"]["error"]
    assert trials["newer"]["text"].startswith(BRIGHT)


def test_patched_it_reads_also_without_mm(trials):
    assert trials["whole"]["text"].startswith(BRIGHT)


# And the right answer after


def test_the_patched_model_reads(read, add, tmp_path):
    directory = add(build(tmp_path / "model"))
    before = hashes(directory)
    out = tmp_path / "out.png"
    ended = read("bright", "--json", "-o", f"drawing={out}")
    assert ended.code == 0, ended
    outputs = json.loads(ended.out)["outputs"]
    assert outputs["text"] == BRIGHT
    assert outputs["raw"].startswith(f"{BRIGHT}<|ref|>title<|/ref|>")
    assert outputs["boxes"] == [{"label": "title", "box": [0, 0, 200, 49]}]
    with Image.open(out) as drawn:
        assert drawn.size == (200, 100)
    # The directory is the user's: nothing in it was touched.
    assert hashes(directory) == before


@pytest.fixture
def kept(mm):
    """Variables under which workers stay, until the test is over."""
    yield {"MM_KEEP_ALIVE": "60s"}
    mm("stop", MODEL)


def workers(mm):
    return [each["pid"] for each in json.loads(mm("ps", "--json").out)["workers"]]


def test_a_job_that_is_interrupted_leaves_its_worker_ready(
    read, add, tmp_path, declared, mm, kept, workplace
):
    add(build(tmp_path / "model"))
    assert read("dark", variables=kept, dtype="bfloat16").out == f"{DARK}\n"
    before = workers(mm)
    # After a prompt that it does not know the miniature writes as many tokens as it may.
    job = subprocess.Popen(
        [
            *MM, "run", MODEL, "--manifests", declared(), "--image", tmp_path / "dark.png",
            "--dtype", "bfloat16", "--no-crop", "--image-size", "768", "--prompt", "<image>?",
        ],
        env={**os.environ, **workplace, **kept}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    next(line for line in job.stderr if "looking at the image" in line)
    job.send_signal(signal.SIGINT)
    err = job.communicate()[1]
    assert (job.returncode, err) == (130, f"mm: {MODEL} was cancelled\n")
    assert read("bright", variables=kept, dtype="bfloat16").out == f"{BRIGHT}\n"
    assert workers(mm) == before


def test_a_text_that_is_cut_off_is_said_to_be(read, add, tmp_path):
    add(build(tmp_path / "model"))
    cut, whole = read("dark", "--max-tokens", "2", "--json"), read("dark", "--json")
    warning = "cut off after 2 tokens, as many as may be written"
    assert json.loads(cut.out)["receipt"]["warnings"] == [warning], cut
    assert f"mm: {MODEL}: {warning}\n" in cut.err
    assert json.loads(whole.out)["receipt"]["warnings"] == [], whole


def test_a_kept_worker_never_meets_an_edited_patch_set(read, add, tmp_path, declared, mm, kept):
    add(build(tmp_path / "model"))
    assert read("dark", variables=kept).out == f"{DARK}\n"
    removed = mm("model", "remove", MODEL, "--manifests", declared())
    assert removed.code == 4
    assert removed.sentence.endswith(f"is in use; run: mm stop {MODEL}")
    assert read("dark", without=("device",), variables=kept).code == 1


def test_links_of_a_hub_cache_are_never_written_through(read, mm, declared, tmp_path):
    files = build(tmp_path / "origin")
    content = {path.name: path.read_bytes() for path in files.iterdir() if path.is_file()}
    assert any(len(data) >= LARGE for data in content.values())
    with serving(content) as hub:
        variables = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url}
        pulled = mm(
            "model", "pull", MODEL, "--manifests", declared(), variables=variables
        )  # fmt: skip
        assert pulled.code == 0, pulled
    before = hashes(tmp_path / "hf")
    assert read("dark", variables=variables).out == f"{DARK}\n"
    assert hashes(tmp_path / "hf") == before
    snapshot = mm(
        "model", "path", MODEL, "--manifests", declared(), variables=variables
    ).out.strip()
    in_place = mm("patch", "apply", MODEL, "--manifests", declared(), "--in-place", snapshot)
    assert in_place.code == 4
    assert "is a link to" in in_place.sentence
    assert hashes(tmp_path / "hf") == before


def test_two_models_of_one_base_name_whatever_it_is(read, add, tmp_path):
    first = build(tmp_path / "one" / "my modèl.v2 (ünsafe)")
    second = build(tmp_path / "two" / "my modèl.v2 (ünsafe)")
    code = second / "modeling_deepseekocr2.py"
    code.write_text(
        code.read_text().replace("BRIGHT, DARK = 3, 4, 10, 20", "BRIGHT, DARK = 3, 4, 20, 10")
    )
    add(first)
    assert read("bright").out == f"{BRIGHT}\n"
    add(second)
    assert read("bright").out == f"{DARK}\n"


# Files in every state, without loading them


def patched_code(mm, declared, directory):
    """Return what `mm patch apply` makes of a copy of `directory`, the copy, and what it said."""
    copy = directory.parent / f"{directory.name}-copy"
    shutil.copytree(directory, copy)
    ended = mm(
        "patch", "apply", MODEL, "--manifests", declared(), "--in-place", copy, "--dtype", "float32"
    )
    assert ended.code == 0, ended
    return {name: (copy / name).read_bytes() for name in NAMES}, copy, ended


NAMES = ("modeling_deepseekocr2.py", "deepencoderv2.py", "config.json")


def edit(directory, change):
    for name in NAMES:
        (directory / name).write_bytes(change((directory / name).read_bytes()))


def test_windows_line_ends_and_shifted_lines(mm, declared, tmp_path):
    plain, _, _ = patched_code(mm, declared, build(tmp_path / "plain"))
    windows = build(tmp_path / "windows")
    edit(windows, lambda data: data.replace(b"\n", b"\r\n"))
    made, _, _ = patched_code(mm, declared, windows)
    assert made == {name: data.replace(b"\n", b"\r\n") for name, data in plain.items()}
    shifted = build(tmp_path / "shifted")
    ten = b"# another line\n" * 10
    for name in NAMES[:2]:
        (shifted / name).write_bytes(ten + (shifted / name).read_bytes())
    made, _, _ = patched_code(mm, declared, shifted)
    assert [made[name] for name in NAMES[:2]] == [ten + plain[name] for name in NAMES[:2]]


def test_half_patched_and_patched_directories_end_alike(mm, declared, tmp_path):
    whole, copy, _ = patched_code(mm, declared, build(tmp_path / "model"))
    half = build(tmp_path / "half")
    code = half / NAMES[0]
    code.write_text(code.read_text().replace("mask.cuda()", "mask.to(self.device)"))
    made, _, ended = patched_code(mm, declared, half)
    assert made == whole
    assert f"{MODEL}/device  {NAMES[0]}  (11 changed, 1 there before)" in ended.out
    before = hashes(copy)
    again = mm(
        "patch", "status", MODEL, copy, "--manifests", declared(), "--dtype", "float32"
    )  # fmt: skip
    assert again.code == 0
    assert "applied " not in again.out
    mm("patch", "apply", MODEL, "--manifests", declared(), "--in-place", copy, "--dtype", "float32")
    assert hashes(copy) == before
    assert mm("patch", "revert", copy).code == 0
    assert hashes(copy) == hashes(tmp_path / "model")


def test_a_missing_anchor_changes_nothing(mm, read, add, declared, tmp_path):
    directory = build(tmp_path / "model")
    code = directory / NAMES[0]
    code.write_text(code.read_text().replace("mask.cuda()", "mask"))
    add(directory)
    before = hashes(directory)
    job = read()
    assert job.code == 4
    assert f"{NAMES[0]}: the patch device looked for '.cuda()' and found 11 places" in job.sentence
    checked = mm("patch", "check", MODEL, "--manifests", declared())
    assert (checked.code, checked.out.count("the patch device looked for")) == (4, 1)
    applied = mm("patch", "apply", MODEL, "--manifests", declared(), "--in-place", directory)
    assert applied.code == 4
    assert hashes(directory) == before


def test_the_patch_commands_on_a_model(mm, add, declared, tmp_path):
    add(build(tmp_path / "model"))
    named = ["--manifests", declared()]
    listed = mm("patch", "list", MODEL, *named)
    assert f"{MODEL}/llama-attention  modeling_deepseekv2.py  transformers >=4.48" in listed.out
    status = mm("patch", "status", MODEL, *named, "--dtype", "bfloat16")
    assert "(transformers is 4.46.3)" in status.out
    assert "(dtype is bfloat16)" in status.out
    difference = mm("patch", "diff", MODEL, *named).out
    assert "--- a/deepencoderv2.py\n+++ b/deepencoderv2.py\n" in difference
    assert "+        x = x.to(self.proj.weight.dtype)\n" in difference
    assert mm("patch", "check", MODEL, *named).code == 0


def test_another_transformers_is_warned_of_and_its_stale_copies_are_cleared(
    mm, declared, newer_transformers, tmp_path
):
    directory = build(tmp_path / "model")
    stale = tmp_path / "hf" / "modules" / "transformers_modules" / "model" / NAMES[0]
    stale.parent.mkdir(parents=True)
    stale.write_text("old")
    variables = {"HF_HOME": str(tmp_path / "hf")}
    command = ["patch", "apply", MODEL, "--manifests", declared(), "--in-place", directory]
    named = mm(*command, "--python", newer_transformers, variables=variables)
    assert named.code == 0, named
    assert "proved with transformers==4.46.3, and transformers is 4.57.3" in named.err
    assert "LlamaFlashAttention2" not in (directory / "modeling_deepseekv2.py").read_text()
    assert f"stale copy of the unpatched code: {stale}" in named.err
    mm(*command, "--python", newer_transformers, "--clear-cache", variables=variables)
    assert not stale.exists()
