"""`mm doctor` on real environments: no false alarm on what is sound, and what is broken mended by
the patches that it drafts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
from PIL import Image

from tests.integration.conftest import READER, ROOT, SPEAKER
from tests.integration.miniature_model import BRIGHT, build

SMALL = "{cpu: {float32: 1 GiB, bfloat16: 1 GiB}}"

LOOK = """\
import importlib, json, sys
found = {}
for module, name in json.load(sys.stdin):
    try:
        found[f"{module}:{name}"] = hasattr(importlib.import_module(module), name)
    except Exception:
        found[f"{module}:{name}"] = None
print(json.dumps(found))
"""


def declare(root, model, patches):
    """Write a model's real declaration, for small weights and with other patches, below `root`."""
    shutil.copytree(ROOT / "envs" / model, root / "envs" / model)
    (root / "manifests" / "patches").mkdir(parents=True)
    text = (ROOT / "manifests" / f"{model}.yaml").read_text()
    text = re.sub(r"(?m)^memory:.*\n(  .*\n)*", f"memory: {SMALL}\n", text)
    text = re.sub(r"(?m)^patches: .*\n", "", text) + f"patches: {patches}\n"
    (root / "manifests" / f"{model}.yaml").write_text(text)
    return root / "manifests"


@pytest.fixture
def reader(mm, environments, tmp_path):
    """Return a function that adds the miniature and returns its manifests, with some patches."""
    directory = build(tmp_path / "model")
    added = []

    def add(patches="[]"):
        manifests = declare(tmp_path / f"declared-{len(added)}", READER, patches)
        added.append(manifests)
        ended = mm("model", "add", READER, directory, "--manifests", manifests)
        assert ended.code == 0, ended
        return manifests

    yield add
    mm("model", "remove", READER, "--manifests", added[0])


def report_of(ended):
    assert ended.code in (0, 1), ended
    return json.loads(ended.out)


def sentences(ended):
    """Return the findings that are more than notes."""
    return [each["finding"] for each in report_of(ended)["findings"] if each["effect"] != "note"]


# No false alarms


@pytest.mark.parametrize("model", ["rapidocr", "hibari", "kokoro"])
def test_the_embedded_models_have_no_finding(mm, model):
    ended = mm("doctor", model, "--json")
    assert (ended.code, sentences(ended)) == (0, [])


def test_a_tiny_checkpoint_of_qwen3_tts_has_no_finding(mm, environments, saved):
    directory = saved(SPEAKER) / "custom_voice"
    assert mm("model", "add", SPEAKER, directory).code == 0
    ended = mm("doctor", SPEAKER, "--json")
    mm("model", "remove", SPEAKER)
    assert (ended.code, sentences(ended)) == (0, [])
    facts = [fact["text"] for fact in report_of(ended)["facts"] if fact["layer"] == "weights"]
    assert any("parameters in" in fact for fact in facts)
    ended = mm("doctor", directory, "--json", "--python", environments[SPEAKER] / "bin" / "python")
    assert (ended.code, sentences(ended)) == (0, [])


@pytest.mark.parametrize("model", [READER, SPEAKER])
def test_directories_that_transformers_saved_have_no_finding(mm, environments, saved, model):
    for name in ("bert", "gpt2", "llama"):
        directory = saved(model) / name
        ended = mm(
            "doctor", directory, "--json", "--python", environments[model] / "bin" / "python"
        )
        assert (ended.code, sentences(ended)) == (0, []), name
    assert len(list((saved(model) / "gpt2").glob("*.safetensors"))) > 1


def test_the_patched_miniature_has_no_finding(mm, reader, tmp_path):
    manifests = reader(f"[{READER}]")
    shutil.copy(ROOT / "manifests" / "patches" / f"{READER}.yaml", manifests / "patches")
    ended = mm("doctor", READER, "--json", "--dtype", "float32", "--manifests", manifests)
    assert (ended.code, sentences(ended)) == (0, [])
    assert [each["id"] for each in report_of(ended)["findings"]] == ["native-transformers"]


# What is looked up is what is there


NAMES = [
    ("transformers", "LlamaForCausalLM"), ("transformers", "Qwen2Config"),
    ("transformers", "TextStreamer"), ("transformers", "AutoModel"), ("transformers", "models"),
    ("transformers", "BitsAndBytesConfig"), ("transformers", "DynamicCache"),
    ("transformers", "LlamaFlashAttention2"), ("transformers", "NoSuchName"),
    ("transformers", "Qwen3Model"), ("transformers", "Qwen3Config"), ("transformers", "AdamW"),
    ("transformers.models.llama", "LlamaModel"), ("transformers.models.llama", "LlamaAttention"),
    ("transformers.models.llama.modeling_llama", "LlamaAttention"),
    ("transformers.models.llama.modeling_llama", "LlamaFlashAttention2"),
    ("transformers.models.llama.modeling_llama", "LlamaSdpaAttention"),
    ("transformers.models.qwen3.modeling_qwen3", "Qwen3Model"),
    ("transformers.cache_utils", "DynamicCache"), ("transformers.cache_utils", "SinkCache"),
    ("transformers.cache_utils", "StaticCache"), ("transformers.cache_utils", "NoCache"),
    ("transformers.pytorch_utils", "is_torch_greater_or_equal_than_1_13"),
    ("transformers.pytorch_utils", "ALL_LAYERNORM_LAYERS"),
    ("transformers.utils", "is_flash_attn_2_available"), ("transformers.utils", "logging"),
    ("transformers.utils", "add_start_docstrings"), ("transformers.utils", "no_such_name"),
    ("transformers.utils.import_utils", "is_torch_fx_available"),
    ("transformers.generation", "GenerationMixin"), ("transformers.generation", "NoMixin"),
    ("transformers.modeling_utils", "PreTrainedModel"), ("torch", "nn"), ("torch", "float32"),
    ("torch.nn", "Linear"), ("torch.nn", "NoLayer"), ("torch.nn.functional", "conv2d"),
    ("torch.nn.functional", "gelu"), ("torch.utils.checkpoint", "checkpoint"),
    ("transformers.modeling_rope_utils", "ROPE_INIT_FUNCTIONS"),
    ("transformers.modeling_flash_attention_utils", "_flash_attention_forward"),
    ("transformers.processing_utils", "Unpack"), ("transformers.integrations", "no_such_name"),
]  # fmt: skip


@pytest.mark.parametrize("model", [READER, SPEAKER])
def test_what_is_read_of_packages_is_what_an_import_finds(environments, model):
    from orchestrator.backends.installed import site_packages
    from orchestrator.doctor.rules.packages import Answer
    from orchestrator.doctor.site_packages import packages_of

    command = [environments[model] / "bin" / "python", "-I", "-c", LOOK]
    said = subprocess.run(
        command, input=json.dumps(NAMES), capture_output=True, text=True, check=True
    ).stdout
    truth = json.loads(said)
    packages = packages_of(model, {}, site_packages(environments[model]))
    unknown = []
    for module, name in NAMES:
        answer = packages.find(module, name)
        if answer is Answer.UNKNOWN:
            unknown.append(f"{module}.{name}")
        else:
            there = bool(truth[f"{module}:{name}"])
            assert (answer is Answer.OFFERED) == there, f"{module}.{name}: {answer}"
    # Names of torch come from compiled code; of transformers next to nothing may stay unknown.
    assert [each for each in unknown if not each.startswith("torch")] == []


# What is broken


def test_the_names_that_the_miniature_imports_in_both_environments(mm, reader):
    manifests = reader()
    ended = mm("doctor", READER, "--json", "--manifests", manifests)
    facts = [f["text"] for f in report_of(ended)["facts"] if f["layer"] == "environment"]
    assert any(
        "names that the code imports are in transformers 4.46.3 (its own" in f for f in facts
    )
    other = next(fact for fact in facts if "transformers 4.57.3" in fact)
    assert other.endswith("LlamaFlashAttention2 missing")


def test_a_draft_mends_the_miniature(mm, reader, tmp_path):
    manifests = reader()
    Image.new("RGB", (200, 100), "white").save(tmp_path / "page.png")
    run = [
        "run", READER, "--image", tmp_path / "page.png", "--no-crop", "--image-size", "768",
        "--dtype", "float32", "--manifests",
    ]  # fmt: skip
    failed = mm(*run, manifests)
    assert failed.code == 1
    hint = next(line for line in failed.err.splitlines() if line.startswith("mm: hint: "))
    assert "a patch that replaces .cuda() by .to(self.device) (12 places)" in hint
    assert failed.sentence.startswith("mm: ")

    looked = mm("doctor", READER, "--dtype", "float32", "--manifests", manifests)
    assert looked.code == 1
    assert "STOPS: modeling_deepseekocr2.py calls .cuda() 12 times" in looked.out
    drafted = mm(
        "patch", "new", READER, "--dtype", "float32", "--manifests", manifests,
        "-o", manifests / "patches" / "draft.yaml",
    )  # fmt: skip
    assert drafted.code == 0, drafted

    declared = reader("[draft]")
    shutil.copy(manifests / "patches" / "draft.yaml", declared / "patches")
    checked = mm("patch", "check", READER, "--dtype", "float32", "--manifests", declared)
    assert checked.code == 0, checked
    again = mm("doctor", READER, "--dtype", "float32", "--json", "--manifests", declared)
    assert (again.code, sentences(again)) == (0, [])
    assert mm(*run, declared).out == f"{BRIGHT}\n"


def test_the_smallest_job_is_run_and_its_failure_explained(mm, reader):
    manifests = reader()
    options = ["--run", "--dtype", "float32", "--manifests", manifests]
    ended = mm("doctor", READER, *options, "--json")
    run = report_of(ended)["run"]
    assert ended.code == 1
    assert (run["device"], run["dtype"], run["seconds"]) == ("cpu", "float32", None)
    assert run["explanations"][0]["id"] == "cuda-assumed"
    assert run["explanations"][0]["confirmed"][0]["layer"] == "device"
    assert run["explanations"][0]["where"]["file"].endswith("modeling_deepseekocr2.py")


def test_the_smallest_job_of_a_sound_model(mm):
    ended = mm("doctor", "rapidocr", "--run")
    assert ended.code == 0, ended
    assert "run: rapidocr on cpu in float32: done in" in ended.out


def test_the_installation(mm):
    ended = mm("doctor", "--json")
    assert ended.code == 0, ended
    facts = [fact["text"] for fact in report_of(ended)["facts"]]
    assert any(fact.startswith("uv: uv ") for fact in facts)
    offline = mm("doctor", variables={"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"})
    assert offline.code == 0, offline
    assert "package index: not reached" in offline.out


@pytest.mark.parametrize("arguments", [["--version"], ["run", "ocr", "--help"]])
def test_nothing_of_the_doctor_is_imported_by_others(arguments, workplace):
    import sys

    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orchestrator", *arguments],
        env={**os.environ, **workplace},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "orchestrator.cli.main" in ended.stderr
    assert "orchestrator.doctor" not in ended.stderr
