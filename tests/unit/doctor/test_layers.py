"""One fault in a clean model in miniature, layer by layer: found, and nothing else with it."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest
from msgspec.structs import replace

from orchestrator.core.manifest import Source
from orchestrator.doctor import Effect, Finding, Layer, examine
from orchestrator.doctor.rules.config_rules import check_configuration
from tests import models
from tests.unit.doctor.conftest import TRANSFORMERS, packages, safetensors, write


def facts(report, layer):
    return [fact.text for fact in report.facts if fact.layer.value == layer]


def without(name, module):
    """Return transformers without a class."""
    text = TRANSFORMERS[module]
    kept = "".join(line for line in text.splitlines(True) if f"class {name}" not in line)
    assert kept != text
    return {**TRANSFORMERS, module: kept}


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_the_clean_model_has_no_finding(mini, device):
    report = mini.look(device)
    assert report.findings == ()
    text = f"all 3 names that the code imports are in transformers 4.46.3 ({mini.python})"
    assert facts(report, "environment") == [text]


# 1. environment

LLAMA = """
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaFlashAttention2,
)
"""
GONE = without("LlamaFlashAttention2", "models/llama/modeling_llama.py")


def site(mini):
    return mini.python.parent.parent / "lib" / "python3.12" / "site-packages"


def test_a_name_that_is_gone(mini, another_environment):
    mini.edit("modeling_x.py", "import torch\n", f"import torch\n{LLAMA}")
    other = another_environment("4.57.3", GONE)
    report = mini.look()
    assert report.findings == ()
    own, others = facts(report, "environment")
    assert own == f"all 5 names that the code imports are in transformers 4.46.3 ({mini.python})"
    assert others.startswith("of 5 names that the code imports, in transformers 4.57.3 ")
    assert others.endswith(f"(the environment {other.name}): LlamaFlashAttention2 missing")
    packages(site(mini), "4.57.3", GONE)
    (site(mini) / "transformers-4.46.3.dist-info" / "METADATA").unlink()
    found = mini.only("environment")
    assert found.effect is Effect.STOPS
    assert found.finding.startswith("transformers 4.57.3 has no LlamaFlashAttention2 in transfo")
    assert [(each.where, each.quote) for each in found.evidence] == [
        ("modeling_x.py:7", "LlamaFlashAttention2,")
    ]
    assert found.patch.python.rename == {"LlamaFlashAttention2": "LlamaAttention"}
    assert found.patch.when == {"transformers": ">=4.48"}


def test_a_directory_whose_names_no_environment_has(mini, another_environment):
    mini.edit("modeling_x.py", "import torch\n", f"import torch\n{LLAMA}")
    mini.python = None
    report = mini.look()
    assert report.findings == ()
    assert facts(report, "environment")[0].startswith("no environment is built")
    bare = another_environment("1.0", {}, "bare")
    marker = json.loads((bare / "mm-environment.json").read_text())
    del marker["packages"]["transformers"]
    (bare / "mm-environment.json").write_text(json.dumps(marker))
    assert mini.findings() == []
    another_environment("4.57.3", GONE)
    found = mini.only("environment")
    assert "in transformers 4.57.3 LlamaFlashAttention2 missing" in found.finding
    another_environment("4.46.3", TRANSFORMERS)
    assert mini.findings() == []


def test_two_environments_with_one_transformers_are_one_fact(mini, another_environment):
    another_environment("4.57.3", GONE, "one")
    another_environment("4.57.3", GONE, "two")
    versions = [fact.split("transformers ")[1] for fact in facts(mini.look(), "environment")]
    assert [version.split()[0] for version in versions] == ["4.46.3", "4.57.3"]


def test_a_pin_is_offered_where_an_environment_has_every_name(mini, another_environment):
    mini.edit("modeling_x.py", "import torch\n", f"import torch\n{LLAMA}")
    another_environment("4.46.3", TRANSFORMERS)
    packages(site(mini), "4.57.3", GONE)
    (site(mini) / "transformers-4.46.3.dist-info" / "METADATA").unlink()
    assert "pin transformers==4.46.3" in mini.only("environment").remedy


@pytest.mark.parametrize(
    "guarded",
    [
        "try:\n    from transformers import Gone\nexcept ImportError:\n    Gone = None\n",
        "if is_new():\n    from transformers import Gone\n",
        "if TYPE_CHECKING:\n    from transformers import Gone\nelse:\n    Gone = None\n",
    ],
)
def test_a_name_behind_a_guard_is_told_apart(mini, guarded):
    mini.edit("modeling_x.py", "import torch\n", f"import torch\n{guarded}")
    report = mini.look()
    assert report.findings == ()
    assert "Gone absent, behind a test or a try" in facts(report, "environment")[0]


def test_a_name_that_a_function_imports_fails_when_it_is_called(mini):
    mini.edit(
        "modeling_x.py",
        "        return self.line(x)",
        "        from transformers import Gone\n        return self.line(x)",
    )
    found = mini.only("environment")
    assert found.effect is Effect.RISK
    assert "when the function that imports it is called" in found.consequence


@pytest.mark.parametrize(
    "use",
    [
        "Gone = getattr(transformers.cache_utils, 'Gone')",
        "Gone = transformers.cache_utils.Gone",
    ],
)
def test_a_name_that_is_reached_through_its_module(mini, use):
    mini.edit("modeling_x.py", "import torch\n", f"import torch\nimport transformers\n{use}\n")
    assert "has no Gone in transformers.cache_utils" in mini.only("environment").finding


@pytest.mark.parametrize(
    "module",
    [
        "def __getattr__(name): ...\n",
        "globals().update(Gone=1)\n",
        "from ._compiled import *\n",
        "exec('Gone = 1')\n",
        "def broken(:\n",
    ],
)
def test_what_a_module_makes_while_it_runs_is_unknown_and_never_missing(mini, module):
    write(site(mini) / "transformers", {"odd.py": module, "_compiled.cpython-312.so": b""})
    mini.edit(
        "modeling_x.py", "import torch\n", "import torch\nfrom transformers.odd import Gone\n"
    )
    report = mini.look()
    assert report.findings == ()
    assert "Gone not known from the text" in facts(report, "environment")[0]


def test_names_of_a_structure_that_is_made_from_files(mini):
    files = {
        **TRANSFORMERS,
        "__init__.py": TRANSFORMERS["__init__.py"]
        .replace(
            "    sys.modules", "    structure = define_import_structure('models')\n    sys.modules"
        )
        .replace("import _LazyModule", "import _LazyModule, define_import_structure"),
        "models/new/configuration_new.py": '__all__ = ["NewConfig"]\nclass NewConfig: pass\n',
    }
    packages(site(mini), files=files)
    mini.edit(
        "modeling_x.py", "import torch\n", "import torch\nfrom transformers import NewConfig\n"
    )
    assert mini.findings() == []
    mini.edit("modeling_x.py", "import NewConfig", "import OldConfig")
    assert "no OldConfig" in mini.only("environment").finding


def test_a_module_that_nothing_brings(mini):
    mini.edit("modeling_x.py", "import torch\n", "import torch\nimport einops\nimport os.path\n")
    found = mini.only("environment")
    assert found.finding == "nothing in the environment brings the module einops"
    assert found.evidence[0].where == "modeling_x.py:4"


CHECKERS = {
    "patterns": "",
    "patterns-and-flash": "re.sub(r'if is_flash_attn[a-zA-Z0-9_]+available')",
    "tree": "ast.parse(content)",
    "tree-and-own-tests": "ast.parse(content)\nhasattr(transformers.utils.import_utils, name)",
}
"""What is in the text of transformers' own check, from the oldest release to the newest."""


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("def f():\n    import drawing.tools", {*CHECKERS}),
        ("def f():\n    import drawing.tools as tools", {"tree", "tree-and-own-tests"}),
        ("try:\n    import drawing\nexcept ImportError:\n    pass", set()),
        (
            "if is_flash_attn_2_available():\n    from flash_attn import flash_attn_func",
            {"patterns"},
        ),
        ("if is_drawing_available():\n    import drawing", {*CHECKERS} - {"tree-and-own-tests"}),
        ("if is_new():\n    import drawing", {*CHECKERS}),
    ],
)
@pytest.mark.parametrize("checker", CHECKERS)
def test_modules_that_transformers_asks_for_before_it_loads_a_model(mini, code, refused, checker):
    own_test = "def is_drawing_available(): ...\n"
    more = {"dynamic_module_utils.py": CHECKERS[checker], "utils/import_utils.py": own_test}
    write(site(mini) / "transformers", more)
    mini.edit("modeling_x.py", "import torch\n", f"import torch\n{code}\n")
    found = mini.look().findings
    stops = [each for each in found if each.consequence.startswith("ImportError: This modeling")]
    assert [each.effect for each in stops] == [Effect.STOPS] * (checker in refused)


def test_a_file_that_is_imported_only_for_some_is_not_loaded(mini):
    text = (
        "import bitsandbytes\nfrom transformers import Gone\n\n\ndef f(x):\n    return x.cuda()\n"
    )
    write(mini.directory, {"quantizer.py": text})
    mini.edit("modeling_x.py", "x = x.cuda()", "from .quantizer import f")
    report = mini.look()
    assert [(each.layer, each.effect) for each in report.findings] == [(Layer.DEVICE, Effect.RISK)]
    assert any("Gone absent, behind a test" in fact for fact in facts(report, "environment"))
    mini.edit("modeling_x.py", "if torch.cuda.is_available():", "with torch.no_grad():")
    effects = [each.effect for each in mini.look(layers=[Layer.ENVIRONMENT]).findings]
    assert effects == [Effect.RISK, Effect.RISK]
    with (mini.directory / "modeling_x.py").open("a") as stream:
        stream.write("\n\nfrom .quantizer import f\n")
    assert {each.effect for each in mini.look().findings} == {Effect.STOPS}


@pytest.mark.parametrize(
    "code",
    [
        "transformers.Mine = torch\n",
        "transformers.Mine = torch\nmine = transformers.Mine\n",
    ],
)
def test_a_name_that_the_code_itself_puts_there_is_not_missing(mini, code):
    mini.edit("modeling_x.py", "import torch\n", f"import torch\nimport transformers\n{code}")
    assert mini.findings() == []


def test_what_the_code_imports_is_listed_where_there_is_no_environment(mini):
    mini.edit("modeling_x.py", "import torch\n", "import torch\nimport einops\n")
    mini.python = None
    wanted = "the code imports einops, torch, transformers; behind a test or a try flash_attn"
    assert wanted in facts(mini.look(), "environment")


def test_the_release_in_use_is_no_remedy(mini, another_environment):
    mini.configure(transformers_version="4.46.3")
    mini.edit("modeling_x.py", "import torch\n", f"import torch\n{LLAMA}")
    packages(site(mini), "4.46.3", GONE)
    another_environment("4.46.3", TRANSFORMERS)
    assert "4.46.3" not in mini.only("environment").remedy.partition("or ")[2]
    assert "pin transformers==" not in mini.only("environment").remedy


# What packages have themselves


@pytest.mark.parametrize(
    ("architecture", "own_code", "platform", "found"),
    [
        ("DeepseekOcr2ForConditionalGeneration", True, "linux-x86_64", {"transformers"}),
        ("DeepseekOcr2ForConditionalGeneration", True, "macos-arm64", {"transformers", "mlx-vlm"}),
        ("DeepseekOcr2ForConditionalGeneration", False, "macos-arm64", set()),
        ("UnknownForCausalLM", True, "macos-arm64", set()),
    ],
)
def test_a_model_that_packages_implement_themselves(mini, architecture, own_code, platform, found):
    mini.configure(architectures=[architecture])
    if not own_code:
        mini.configure(auto_map=None)
    subject = mini.subject()
    subject.platform = platform
    notes = examine(subject).findings
    assert {each.id.removeprefix("native-") for each in notes} == found
    assert {each.effect for each in notes} <= {Effect.NOTE}
    assert all("trust_remote_code" in each.remedy for each in notes)


def test_a_package_at_hand_that_implements_the_model(mini):
    mini.configure(architectures=["LlamaForCausalLM"])
    note = mini.look().findings[0]
    assert note.finding.startswith("transformers 4.46.3, which the environment has, implements")
    assert note.remedy == "load it without trust_remote_code"


def test_what_packages_implement_stands_first(mini):
    mini.configure(architectures=["LlamaForCausalLM"])
    mini.edit("modeling_x.py", "import torch\n", "import torch\nimport einops\n")
    found = [each.id for each in mini.look().findings if "-mlx-" not in each.id]
    assert found == ["native-transformers", "module-einops"]


def test_a_file_that_is_imported_and_not_there(mini):
    (mini.directory / "configuration_x.py").unlink()
    mini.edit("config.json", '"AutoConfig": "configuration_x.XConfig",', "")
    assert "imports configuration_x.py, which is not there" in mini.only("environment").finding


def test_a_neighbour_that_is_imported_as_if_it_were_a_package(mini):
    mini.edit("modeling_x.py", "from .configuration_x", "from configuration_x")
    found = mini.only("environment")
    assert "imports its neighbour configuration_x.py as if it were a package" in found.finding


def test_requirements_that_the_environment_does_not_meet(mini):
    lines = "# ours\ntransformers==4.57.3\ntorch>=2.0  # any\n-r more.txt\nnot a requirement!\n"
    write(mini.directory, {"requirements.txt": lines})
    found = mini.only("environment")
    assert found.finding == "the model asks for transformers==4.57.3, and 4.46.3 is locked"
    assert found.evidence[0].where == "requirements.txt:2"


def test_a_file_that_is_no_python(mini):
    mini.edit("configuration_x.py", "class XConfig", "class class")
    found = mini.only("environment")
    assert found.finding.startswith("configuration_x.py is not Python")
    assert found.evidence[0].line == 4


def test_files_that_import_each_other(mini):
    mini.edit("configuration_x.py", "class", "from .modeling_x import XModel\n\n\nclass")
    assert mini.findings() == []


def test_files_that_nobody_imports_are_left_alone(mini):
    write(mini.directory, {"infer.py": "import nowhere\nmodel.cuda().half()\n", "old.py": "def (:"})
    assert mini.findings() == []


# 2. API


def test_an_attribute_that_is_gone(mini):
    mini.edit(
        "modeling_x.py",
        "return self.part",
        "n = past_key_values.seen_tokens\n        return self.part",
    )
    assert mini.findings() == []
    packages(
        site(mini),
        "4.57.3",
        {**TRANSFORMERS, "cache_utils.py": "class Cache: pass\nclass DynamicCache(Cache): pass\n"},
    )
    (site(mini) / "transformers-4.46.3.dist-info" / "METADATA").unlink()
    found = mini.only("api")
    assert "uses Cache.seen_tokens, which transformers has no more from 4.54 on" in found.finding
    assert found.patch.python.replace == {".seen_tokens": ".get_seq_length()"}
    assert found.patch.expect == 1
    assert found.evidence[0].quote == "n = past_key_values.seen_tokens"


def test_an_inherited_method_that_is_gone(mini):
    before(mini, "past = self._extract_past_from_model_output(x)")
    assert mini.findings() == []
    packages(site(mini), "4.57.3", TRANSFORMERS)
    (site(mini) / "transformers-4.46.3.dist-info" / "METADATA").unlink()
    found = mini.only("api")
    assert found.remedy == "use outputs.past_key_values, or pin transformers<4.49"
    path = mini.directory / "modeling_x.py"
    own = "\n    def _extract_past_from_model_output(self, x):\n        return x\n"
    path.write_text(path.read_text() + own)
    assert mini.findings() == []


@pytest.mark.parametrize(
    "use",
    [
        "n = past_key_values.seen_tokens if hasattr(past_key_values, 'seen_tokens') else 0",
        "n = getattr(past_key_values, 'seen_tokens', 0)",
        "past_key_values.seen_tokens = 0",
        "n = 0 if version >= 4 else past_key_values.seen_tokens",
    ],
)
def test_a_use_of_it_behind_a_guard_is_no_fault(mini, use):
    mini.edit("modeling_x.py", "return self.part", f"{use}\n        return self.part")
    packages(
        site(mini),
        "4.57.3",
        {**TRANSFORMERS, "cache_utils.py": "class Cache: pass\nclass DynamicCache(Cache): pass\n"},
    )
    (site(mini) / "transformers-4.46.3.dist-info" / "METADATA").unlink()
    assert mini.findings() == []


def test_an_attribute_that_is_gone_from_another_environment_is_a_fact(mini, another_environment):
    mini.edit(
        "modeling_x.py", "return self.part", "past_key_values.seen_tokens\n        return self.part"
    )
    classes = "class Cache: pass\nclass DynamicCache(Cache): pass\n"
    other = another_environment("4.57.3", {**TRANSFORMERS, "cache_utils.py": classes})
    wanted = "Cache.seen_tokens, used at 1 place, is gone in transformers 4.57.3 "
    wanted += f"(the environment {other.name})"
    report = mini.look()
    assert report.findings == ()
    assert wanted in facts(report, "api")
    mini.python = None
    assert wanted in facts(mini.look(), "api")


# 3. device


def before(mini, statement):
    """Put a statement before the last of XModel.forward."""
    last = "        return self.part(x.to(self.dtype))"
    mini.edit("modeling_x.py", last, f"        {statement}\n{last}")


@pytest.mark.parametrize(
    ("statement", "old", "new"),
    [
        ("x = x.cuda()", ".cuda()", ".to(self.device)"),
        ("x = x.cuda(non_blocking=True)", ".cuda(non_blocking=True)", ".to(self.device)"),
        ("x = x.to('cuda:0')", ".to('cuda:0')", ".to(self.device)"),
        (
            "x = torch.zeros(1, device='cuda')",
            "torch.zeros(1, device='cuda')",
            "torch.zeros(1, device=self.device)",
        ),
        ("d = torch.device('cuda')", "torch.device('cuda')", "self.device"),
        (
            "x = torch.zeros(1, device=torch.device('cuda'))",
            "torch.zeros(1, device=torch.device('cuda'))",
            "torch.zeros(1, device=self.device)",
        ),
        (
            "torch.cuda.synchronize()",
            "torch.cuda.synchronize()",
            "torch.cuda.is_available() and torch.cuda.synchronize()",
        ),
    ],
)
def test_a_gpu_that_is_assumed(mini, statement, old, new):
    before(mini, statement)
    found = mini.only("device")
    assert found.effect is Effect.STOPS
    assert "once, in XModel.forward; self is at hand" in found.finding
    assert found.patch.id == found.id
    assert found.patch.python.replace == {old: new}
    assert mini.findings("cuda") == []


def test_a_gpu_that_is_assumed_in_a_module_that_knows_no_device(mini):
    mini.edit("modeling_x.py", "return self.line(x)", "return self.line(x.cuda())")
    wanted = {".cuda()": ".to(next(self.parameters()).device)"}
    assert mini.only("device").patch.python.replace == wanted


def test_a_gpu_that_is_assumed_where_there_is_no_self(mini):
    code = "\n\ndef move(x):\n    return x.cuda()\n"
    (mini.directory / "modeling_x.py").write_text(
        (mini.directory / "modeling_x.py").read_text() + code
    )
    found = mini.only("device")
    assert "in move; self is not at hand" in found.finding
    # Where the author asked for the GPU, the same edit would change nothing but be right on a CPU.
    assert found.patch.python.replace == {".cuda()": '.to("cpu")'}
    assert found.patch.when == {"device": "cpu"}


def test_cuda_autocast_is_a_risk(mini):
    before(mini, "with torch.autocast('cuda', dtype=torch.bfloat16):\n            x = self.part(x)")
    found = mini.only("device")
    assert found.effect is Effect.RISK
    assert found.patch.when == {"device": "cpu"}


@pytest.mark.parametrize(
    "code",
    [
        "x = x.cuda() if torch.cuda.is_available() else x",
        "use = torch.cuda.is_available()\n        if use:\n            x = x.cuda()",
        "if x.device.type == 'cuda':\n            torch.cuda.synchronize()",
        "torch.cuda.is_available() and torch.cuda.synchronize()",
        "if not torch.cuda.is_available():\n            return x\n        x = x.cuda()",
        "try:\n            x = x.cuda()\n        except RuntimeError:\n            pass",
        "torch.cuda.empty_cache()",
        "if x.device.type != 'cpu':\n            x = x.cuda()",
        "with torch.autocast(device_type='cuda', enabled=False):\n            x = self.part(x)",
        "torch.cuda.manual_seed_all(0)",
        "s = 'x.cuda()'  # x.cuda()",
        "x = x.to(device)",
    ],
)
def test_a_gpu_that_is_asked_for_first_is_no_fault(mini, code):
    mini.edit(
        "modeling_x.py", "        return self.part", f"        {code}\n        return self.part"
    )
    assert mini.findings() == []


def test_a_kernel_that_is_optional_is_no_fault(mini):
    before(mini, "d = 0 if flash_attn_func is None else torch.cuda.current_device()")
    assert mini.findings() == []
    mini.edit("modeling_x.py", "flash_attn_func is None", "self.training")
    assert mini.only("device").patch is None


def test_a_function_that_is_called_for_cuda_is_no_fault(mini):
    path = mini.directory / "modeling_x.py"
    path.write_text(f"{path.read_text()}\n\ndef forward_cuda(x):\n    return x.cuda()\n")
    assert mini.findings() == []


def test_what_only_a_script_does_is_no_fault(mini):
    path = mini.directory / "modeling_x.py"
    path.write_text(
        path.read_text() + '\n\nif __name__ == "__main__":\n    XModel().cuda().half()\n'
    )
    assert mini.findings() == []


@pytest.mark.parametrize(
    ("code", "dtype", "found"),
    [
        ("if x.dtype == torch.float16:\n            x = x.cuda()", "float32", False),
        ("if x.dtype == torch.float16:\n            x = x.cuda()", "float16", True),
        ("if x.dtype in (torch.half, torch.bfloat16):\n            x = x.cuda()", "float32", False),
        ("if x.dtype in (torch.half, torch.bfloat16):\n            x = x.cuda()", "float16", True),
        ("if x.dtype != torch.float32:\n            x = x.cuda()", "float32", False),
        ("if x.dtype == torch.float32:\n            x = x.cuda()", "float16", True),
        (
            "if self.dtype != torch.float16:\n            return x\n        x = x.cuda()",
            "float32",
            False,
        ),
        (
            "if self.dtype != torch.float16:\n            return x\n        x = x.cuda()",
            "float16",
            True,
        ),
        ("x = x.cuda() if x.dtype == torch.half and self.training else x", "float32", False),
        ("x = x.cuda() if x.dtype == torch.half or self.training else x", "float32", True),
        ("x = x if not x.dtype == torch.half else x.cuda()", "float32", False),
        ("if x.dtype == torch.long:\n            x = x.cuda()", "float32", True),
    ],
)
def test_a_gpu_that_is_assumed_in_another_dtype_is_no_fault(mini, code, dtype, found):
    before(mini, code)
    assert len(mini.look("cpu", dtype, layers=[Layer.DEVICE]).findings) == found


# 4. configuration


def test_a_directory_without_a_configuration_is_not_examined(mini):
    (mini.directory / "config.json").unlink()
    found = mini.only("configuration")
    assert found.effect is Effect.RISK
    assert found.finding.endswith("has no config.json, and is not examined")


@pytest.mark.parametrize(
    ("keys", "said", "path", "value"),
    [
        (
            {"torch_dtype": "float16", "text_config": {}},
            "names the dtype float16, and the model is to run on cpu",
            "torch_dtype",
            "float32",
        ),
        (
            {"torch_dtype": "float8_e4m3fn", "text_config": {}},
            "in which cpu does not compute",
            "torch_dtype",
            "float32",
        ),
        ({"dtype": "bfloat32"}, "torch has no such dtype", "dtype", "float32"),
        (
            {"vision_config": {"torch_dtype": "bfloat16"}},
            "names bfloat16 inside vision_config, and float32 for the whole",
            "vision_config.torch_dtype",
            "float32",
        ),
        (
            {"attn_implementation": "flash_attention_2"},
            "asks for flash_attention_2, and flash-attn is not in the environment",
            "attn_implementation",
            "eager",
        ),
        (
            {"vision_config": {"_attn_implementation": "flash_attention_2"}},
            "flash_attention_2",
            "vision_config._attn_implementation",
            "eager",
        ),
    ],
)
def test_a_configuration_that_does_not_fit(mini, keys, said, path, value):
    mini.edit("modeling_x.py", "Part(config)", "Part(config.vision_config)")
    mini.configure(**keys)
    found = mini.only("configuration")
    assert said in found.finding
    assert found.patch.json.set == {path: value}
    # A dtype of the whole is wrong on this device alone.
    assert found.patch.when == ({"device": "cpu"} if path in ("torch_dtype", "dtype") else {})
    assert found.evidence[0].line > 1
    assert found.evidence[0].quote.startswith(f'"{path.rpartition(".")[2]}": ')


def test_a_part_that_nobody_reads_may_have_any_dtype(mini):
    mini.configure(language_config={"torch_dtype": "bfloat16"})
    assert mini.findings() == []


@pytest.mark.parametrize(
    ("method", "effect", "said"),
    [("awq", Effect.RISK, "usually needs"), ("fp8", Effect.STOPS, "needs")],
)
def test_quantised_weights_need_a_gpu(mini, method, effect, said):
    mini.configure(quantization_config={"quant_method": method, "bits": 4})
    found = mini.only("configuration")
    assert found.effect is effect
    assert f"are quantised by {method}, which {said} CUDA" in found.finding
    assert found.evidence[0].quote == f'"quant_method": "{method}",'
    assert mini.findings("cuda") == []


def test_code_from_another_repository(mini):
    mapping = {
        "AutoConfig": "configuration_x.XConfig",
        "AutoModel": "owner/other--modeling_x.XModel",
    }
    mini.configure(auto_map=mapping)
    found = mini.only("configuration")
    assert "takes AutoModel from another repository, owner/other" in found.finding
    assert found.patch.json.set == {"auto_map.AutoModel": "modeling_x.XModel"}


def test_two_classes_from_one_other_repository_keep_their_own_modules(mini):
    mapping = {
        "AutoConfig": "owner/other--configuration_x.XConfig",
        "AutoModel": "owner/other--modeling_x.XModel",
    }
    mini.configure(auto_map=mapping)
    found = mini.look(layers=[Layer.CONFIGURATION]).findings
    assert [each.patch.json.set for each in found] == [
        {"auto_map.AutoConfig": "configuration_x.XConfig"},
        {"auto_map.AutoModel": "modeling_x.XModel"},
    ]


def test_code_that_is_not_there(mini):
    mini.configure(auto_map={"AutoModel": "modeling_y.YModel"})
    assert "modeling_y.py, which is not there" in mini.only("configuration").finding


@pytest.mark.parametrize(
    ("include", "runner", "found"),
    [
        (("*.json",), "load(directory)", 0),
        (("*.json",), "load(directory, trust_remote_code=True)", 1),
        (("*.json", "*.py"), "load(directory)", 1),
    ],
)
def test_code_that_a_model_does_without(mini, tmp_path, include, runner, found):
    mini.configure(auto_map={"AutoModel": "modeling_y.YModel"})
    manifest = models.model(tmp_path, "port").manifest
    manifest = replace(manifest, source=Source(repo="a/b", revision="main", include=include))
    subject = dataclasses.replace(mini.subject(), manifest=manifest, runner={"runner.py": runner})
    results = [each for each in check_configuration(subject) if isinstance(each, Finding)]
    assert len(results) == found


@pytest.mark.parametrize("text", ["{", "[]", "\xff", '{"a": 1} x'])
def test_a_configuration_that_is_no_json(mini, text):
    write(mini.directory, {"config.json": text.encode("latin-1")})
    assert "config.json is " in mini.only("configuration").finding


# 5. weights


def index(mini, mapping):
    write(mini.directory, {"model.safetensors.index.json": json.dumps({"weight_map": mapping})})


def test_facts_from_headers(mini):
    write(mini.directory, {"model-2.safetensors": safetensors({"b": 3_000_000}, "BF16", 2)})
    assert facts(mini.look(), "weights") == [
        "3.00 million parameters in 3 tensors (BF16 3.00 million, F32 20), 6 MB in 2 files"
    ]


def test_shards_that_are_missing(mini):
    index(mini, {"part.line.weight": "model.safetensors", "b": "model-2.safetensors"})
    mapping = {"part.line.weight": "model.safetensors", "part.line.bias": "model.safetensors"}
    index(mini, {**mapping, "b": "model-2.safetensors"})
    assert "names model-2.safetensors, which is not there" in mini.only("weights").finding
    index(mini, mapping)
    assert mini.findings() == []


@pytest.mark.parametrize(
    ("mapping", "said", "effect"),
    [
        (
            {"part.line.weight": 0, "part.line.bias": 0, "lost": 0},
            "looks for lost in model",
            "stops",
        ),
        ({"part.line.weight": 0}, "does not know part.line.bias", "risk"),
    ],
)
def test_an_index_and_a_file_that_disagree(mini, mapping, said, effect):
    index(mini, dict.fromkeys(mapping, "model.safetensors"))
    found = mini.only("weights")
    assert said in found.finding
    assert found.effect.value == effect


def test_numbered_parts_that_an_index_misses_are_found_once(mini):
    (mini.directory / "model.safetensors").rename(
        mini.directory / "model-00001-of-00002.safetensors"
    )
    first = dict.fromkeys(
        ["part.line.weight", "part.line.bias"], "model-00001-of-00002.safetensors"
    )
    index(mini, {**first, "b": "model-00002-of-00002.safetensors"})
    assert "names model-00002-of-00002.safetensors" in mini.only("weights").finding


def test_an_index_that_is_none(mini):
    write(mini.directory, {"model.safetensors.index.json": '{"weight_map": 3}'})
    assert "is no index of weights: Expected `object`" in mini.only("weights").finding


def test_parts_that_are_missing_without_an_index(mini):
    (mini.directory / "model.safetensors").rename(
        mini.directory / "model-00001-of-00003.safetensors"
    )
    assert "has 1 of its 3 parts" in mini.only("weights").finding


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (safetensors({"a": 8})[:-3], "is cut short: its tensors take 32 bytes, and 29 are there"),
        (safetensors({"a": 8})[:20], "it is cut short, or no safetensors file"),
        (b"", "has 0 bytes"),
        (safetensors({"a": 8}) + b"x", "has 1 bytes that belong to no tensor"),
        (b"version https://git-lfs.example/v1\noid sha256:00\nsize 7\n", "is a pointer of Git LFS"),
        (b"PK\x03\x04" + bytes(100), "no safetensors file"),
    ],
)
def test_weights_that_are_damaged(mini, data, said):
    write(mini.directory, {"model.safetensors": data})
    assert said in mini.only("weights").finding


def test_pickled_weights_are_a_risk(mini):
    write(mini.directory, {"pytorch_model.bin": b"\x80"})
    assert mini.findings() == []
    (mini.directory / "model.safetensors").unlink()
    found = mini.only("weights")
    assert (found.effect, found.finding) == (Effect.RISK, "pytorch_model.bin is pickled")


def test_no_weights_at_all(mini):
    (mini.directory / "model.safetensors").unlink()
    assert mini.only("weights").finding == "config.json is here, and no weights are"


def test_what_a_training_leaves_is_no_weights(mini):
    (mini.directory / "model.safetensors").unlink()
    write(mini.directory, {"training_args.bin": b"", "optimizer.pt": b"", "rng_state_0.pth": b""})
    said = [each.finding for each in mini.look(layers=[Layer.WEIGHTS]).findings]
    assert "config.json is here, and no weights are" in said


def test_a_part_without_weights(mini):
    (mini.directory / "model.safetensors").rename(mini.directory / "other.txt")
    part = {"unet/config.json": '{"architectures": ["Net"]}', "vae/model.safetensors": b""}
    write(mini.directory, {**part, "vae/model.safetensors": safetensors({"a": 1})})
    assert mini.only("weights").finding == "unet/config.json is here, and no weights are"
    write(mini.directory, {"unet/model.safetensors": safetensors({"a": 1})})
    assert mini.findings() == []


@pytest.mark.parametrize("index", [True, False])
def test_pickled_shards_that_are_missing(mini, index):
    (mini.directory / "model.safetensors").unlink()
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    write(mini.directory, {names[0]: b""})
    if index:
        mapping = {"weight_map": dict(zip("ab", names, strict=True))}
        write(mini.directory, {"pytorch_model.bin.index.json": json.dumps(mapping)})
    said = [each.finding for each in mini.look(layers=[Layer.WEIGHTS]).findings]
    missing = f"names {names[1]}, which is not there" if index else "has 1 of its 2 parts"
    assert sum(missing in each for each in said) == 1


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        ("hf_hub_download('a/b', 'c')", Effect.STOPS),
        ("urllib.request.urlretrieve('https://example.org/a')", Effect.STOPS),
        ("TOKENS = AutoTokenizer.from_pretrained('a/b')", Effect.STOPS),
        ("def get():\n    return snapshot_download('a/b')\n\n\nPATH = get()", Effect.STOPS),
        ("if not os.path.exists('c'):\n    hf_hub_download('a/b', 'c')", Effect.RISK),
        ("try:\n    nltk.data.find('c')\nexcept LookupError:\n    nltk.download('c')", Effect.RISK),
        ("try:\n    urlopen('https://example.org')\nexcept OSError:\n    pass", None),
        ("def get():\n    return snapshot_download('a/b')", None),
        ("PROCESSOR = AutoProcessor.from_pretrained('./here')", None),
    ],
)
def test_a_module_that_downloads_while_it_is_imported(mini, code, effect):
    mini.edit("modeling_x.py", "class Part", f"{code}\n\n\nclass Part")
    found = mini.look(layers=[Layer.WEIGHTS]).findings
    assert [each.effect for each in found] == ([effect] if effect else [])
    assert all("modeling_x.py downloads while it is imported" in each.finding for each in found)


# 6. code against data types


@pytest.mark.parametrize(
    ("cast", "pairs"),
    [
        (".to(torch.bfloat16)", {".to(torch.bfloat16)": ".to(self.dtype)"}),
        (".half()", {".half()": ".to(self.dtype)"}),
        (".to(dtype=torch.float16)", {".to(dtype=torch.float16)": ".to(self.dtype)"}),
    ],
)
def test_a_cast_to_a_fixed_dtype(mini, cast, pairs):
    mini.edit(
        "modeling_x.py",
        "        return self.part(x.to(self.dtype))",
        f"        return self.part(x{cast})",
    )
    found = mini.only("dtypes")
    assert "in XModel.forward, and the weights will be float32" in found.finding
    assert found.patch.python.replace == pairs


def test_a_cast_to_the_dtype_that_the_weights_have(mini):
    mini.edit("modeling_x.py", "x.to(self.dtype)", "x.to(torch.bfloat16)")
    mini.configure(torch_dtype="bfloat16", text_config={})
    report = mini.look()
    assert report.findings == ()
    assert facts(report, "dtypes") == ["modeling_x.py: 1 cast to bfloat16, as the weights are"]


@pytest.mark.parametrize(
    "code", ["x.float()", "x.to(torch.float32)", "x.half() if x.dtype == torch.float16 else x"]
)
def test_casts_that_keep_the_numbers_safe_or_ask_first(mini, code):
    mini.edit("modeling_x.py", "x.to(self.dtype)", code)
    assert mini.findings() == []


# 7. caches


def cached(mini, name, text, folder="mini"):
    home = mini.workspace.variables["HOME"]
    path = f"{home}/.cache/huggingface/modules/transformers_modules/{folder}"
    write(path, {name: text})
    return path


def test_a_stale_copy(mini):
    same = (mini.directory / "modeling_x.py").read_text()
    cached(mini, "modeling_x.py", same)
    assert mini.findings() == []
    path = cached(mini, "modeling_x.py", same + "# older\n")
    found = mini.only("caches")
    assert found.finding == "1 copy in transformers' module cache differs from the model's files"
    assert found.remedy == f"remove {path}"


def test_copies_of_another_model_of_the_same_name(mini):
    cached(mini, "modeling_other.py", "")
    assert "is no file of this model, and lies under its name" in mini.only("caches").finding


# Sizes


def test_a_directory_with_5000_files(mini):
    folder = mini.directory / "many"
    folder.mkdir()
    for number in range(5000):
        (folder / f"{number}.txt").touch()
    assert mini.findings() == []


@pytest.mark.parametrize(
    ("name", "layer"), [("configuration_x.py", "environment"), ("config.json", "configuration")]
)
def test_an_enormous_file_of_code_or_configuration_is_not_read(mini, name, layer):
    with (mini.directory / name).open("wb") as stream:
        stream.truncate(1 << 40)
    assert "has more than 16 MiB" in mini.only(layer).finding


def test_code_that_is_nested_too_deep(mini):
    terms = " + ".join(["x"] * 800)
    before(mini, f"x = ({terms}).to(torch.bfloat16)")
    assert {each.finding for each in mini.look().findings} == {
        "the code is nested too deep to be checked"
    }


def test_what_is_no_file_is_not_waited_for(mini):
    (mini.directory / "model.safetensors").unlink()
    os.mkfifo(mini.directory / "model.safetensors")
    assert "is no file" in mini.only("weights").finding


def test_a_link_that_leads_nowhere(mini):
    (mini.directory / "model-2.safetensors").symlink_to("gone")
    assert "a link that leads nowhere" in mini.only("weights").finding
