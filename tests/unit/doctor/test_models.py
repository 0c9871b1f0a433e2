"""A model with a manifest, a lock and patch sets: looked at as a job would load it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

import pytest

from orchestrator.backends.installed import installed, record_digest
from orchestrator.comparison.smallest_inputs import smallest_inputs, write_image, write_tone
from orchestrator.core.canonical import digest_bytes
from orchestrator.core.lockfile import render_lock, shape_digest
from orchestrator.doctor import CheckOptions, Layer, draft, examine, explain, hint
from orchestrator.doctor.gather import model_subject
from orchestrator.doctor.rules.module_rules import may_be_brought
from orchestrator.environments import Environments
from orchestrator.environments.interpreters import Interpreters
from orchestrator.errors import EnvironmentFailure, JobFailed, UsageError
from orchestrator.locking.compatibility import LockFinding
from orchestrator.sources.model_files import SourceRecord, describe, save_record
from tests import models
from tests.unit.doctor.conftest import packages, table, write
from tests.unit.doctor.rules.traces import TRACES

MANIFEST = """\
name: mini
task: try
summary: A model in miniature
environment:
  python: ">=3.10"
  platforms: [linux-x86_64]
  dependencies: [transformers==4.46.3, torch==2.6.0]
source: {repo: owner/mini, revision: main}
patches: [mini]
devices: [cpu, cuda]
memory: {cpu: {float32: 1 GiB, float16: 1 GiB}, cuda: {bfloat16: 1 GiB}}
inputs:
  image: {type: image, required: true}
  voice: {type: audio, required: true}
  text: {type: text, required: true}
  many: {type: integer, required: true, minimum: 3, list: true}
  mode: {type: choice, required: true, choices: [a, b]}
  max_tokens: {type: integer, default: 8192, minimum: 1, maximum: 8192}
outputs: {text: {type: text}}
"""
PATCHES = """\
name: mini
proved: {transformers: "==4.46.3"}
patches:
  - id: device
    why: The author assumed a GPU.
    file: modeling_x.py
    python: {replace: {.cuda(): .to(self.device)}}
    expect: 2
"""
LOCK = """\
transformers==4.46.3 \\
    --hash=sha256:{0}
    # via mini
torch==2.6.0 \\
    --hash=sha256:{0}
    # via mini
"""


EMBEDDED = (
    f"source: {{size: 1 MB, archives: [{{url: 'https://files.example/a', sha256: '{'0' * 64}', "
    "files: {.: voice.bin}}]}"
)


RUNNER = """\
import json


def load(context):
    import torch

    return torch


def run(model, job, *, image, voice, text, many, mode, max_tokens):
    try:
        import accelerate
    except ImportError:
        accelerate = None
    return {"text": text}
"""


@dataclass
class Model:
    """The miniature with a manifest; `look` looks at it anew."""

    workspace: object
    manifests: object
    mini: object

    @property
    def declared(self):
        self.workspace.__dict__.pop("catalog", None)
        return self.workspace.catalog.model("mini")

    def add(self):
        self.workspace.sources.add(self.declared, self.mini.directory)

    def subject(self, device="cpu", dtype="auto"):
        return model_subject(self.workspace, self.declared, CheckOptions(device, dtype), table())

    def look(self, *arguments, layers=tuple(Layer)):
        return examine(self.subject(*arguments), layers)

    def only(self, layer, *arguments):
        report = self.look(*arguments)
        assert [each.layer.value for each in report.findings] == [layer], report.findings
        return report.findings[0]

    def declare(self, old, new, file="mini.yaml"):
        path = self.manifests / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def model(mini, workspace, tmp_path):
    """A sound model whose environment is built and whose patches fit."""
    mini.edit(
        "modeling_x.py",
        "        return self.part(x.to",
        "        x = x.cuda()\n        return self.part(x.to",
    )
    manifests = tmp_path / "given" / "manifests"
    write(manifests, {"mini.yaml": MANIFEST, "patches/mini.yaml": PATCHES})
    workspace.manifests = (manifests,)
    interpreters = Interpreters(
        workspace.variables, tmp_path / "facts", asking=lambda path: models.facts()
    )
    workspace.environments = Environments(
        workspace.home, workspace.variables, models.Notes(), interpreters=interpreters
    )
    made = Model(workspace, manifests, mini)
    shape = shape_digest(made.declared.manifest.environment)
    lock = render_lock(LOCK.format("0" * 64), shape=shape, command="mm env lock mini")
    write(made.declared.lock.parent, {"requirements.lock": lock})
    target = workspace.environments.target(made.declared)
    path = models.built(workspace.environments.store, target.digest, "mini")
    packages(path / "lib" / "python3.12" / "site-packages")
    write(made.declared.env_directory, {"runner.py": RUNNER})
    marker = models.marker(path, target.digest, "mini")
    there = installed(path).values()
    marker.packages.clear()
    marker.packages.update({each.name: each.version for each in there})
    marker.records.update({each.name: record_digest(each) for each in there})
    workspace.environments.store.publish(path, marker)
    made.add()
    return made


def facts(report, layer):
    return [fact.text for fact in report.facts if fact.layer.value == layer]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_patched_model_has_no_finding(model, device):
    if device == "cuda":
        model.mini.configure(torch_dtype="bfloat16", text_config={})
        model.add()
    report = model.look(device)
    assert report.findings == ()
    assert facts(report, "patches") == ["mini: 1 applied"]
    assert facts(report, "environment") == [
        "all 3 names that the code imports are in transformers 4.46.3 (its own environment)"
    ]
    # What the patch took away is not counted either.
    assert facts(report, "device") == []


def test_a_model_without_its_patches(model):
    model.declare("patches: [mini]\n", "")
    assert "calls .cuda() once" in model.only("device").finding


def test_a_patch_that_does_not_fit(model):
    model.declare("expect: 2", "expect: 3", "patches/mini.yaml")
    report = model.look()
    found = next(each for each in report.findings if each.layer is Layer.PATCHES)
    assert "the patch set mini does not fit: the patch device looked for '.cuda()'" in found.finding


def test_versions_that_were_not_proved(model):
    model.declare("==4.46.3", "==4.40", "patches/mini.yaml")
    assert "was proved with transformers==4.40, and transf" in model.only("patches").finding


def test_a_patch_set_that_is_missing(model):
    (model.manifests / "patches" / "mini.yaml").unlink()
    assert [each.layer.value for each in model.look().findings] == ["device", "patches"]


def test_files_that_changed_since_they_were_added(model):
    with (model.mini.directory / "modeling_x.py").open("a") as stream:
        stream.write("# edited\n")
    found = model.only("weights")
    assert "changed since it was pulled or added" in found.finding
    assert found.remedy.startswith("run: mm model add mini")


def test_files_that_the_first_job_fetches_are_no_finding(model):
    model.workspace.sources.remove("mini")
    model.declare("source: {repo: owner/mini, revision: main}", EMBEDDED)
    report = model.look(layers=(Layer.WEIGHTS,))
    assert report.findings == ()
    assert "its files are fetched for its first job" in [fact.text for fact in report.facts]


def test_weights_that_were_never_fetched(model):
    model.workspace.sources.remove("mini")
    found = model.only("weights")
    assert (found.finding, found.remedy) == ("mini needs its weights", "run: mm model pull mini")


def test_a_lock_that_no_longer_fits(model):
    model.declare("torch==2.6.0", "torch==2.7.0")
    assert model.look().findings[0].layer is Layer.ENVIRONMENT


def test_an_environment_that_is_not_built_is_a_fact(model, workspace):
    for stored in workspace.environments.store.all():
        workspace.environments.store.clear(stored.path)
    report = model.look()
    assert report.findings == ()
    assert facts(report, "environment")[0].startswith("its environment is not built yet")


# The runner, and the environment itself


def edit(model, old, new):
    path = model.declared.runner
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "effect", "finding", "line"),
    [
        ("def load(", "def load", "stops", "is not valid Python: ", 4),
        ("def load(context)", "def loads(context)", "stops", "defines no function load", 0),
        ("voice, text,", "voice,", "stops", "run does not take the input 'text'", 10),
        ("import json", "import einops", "stops", "brings the module einops", 1),
        ("import torch", "import einops", "stops", "brings the module einops", 5),
        ("return torch", "return torch\n\n\ndef later():\n    import einops", "risk", "einops", 11),
        ("import json", "PATH = hf_hub_download('a/b', 'c')", "stops", "downloads while", 1),
    ],
)
def test_a_runner_that_cannot_work(model, old, new, effect, finding, line):
    edit(model, old, new)
    (found,) = model.look().findings
    assert (found.effect.value, found.evidence[0].line) == (effect, line)
    assert finding in found.finding
    assert found.evidence[0].file == str(model.declared.runner)


def test_a_runner_that_is_not_there(model):
    model.declared.runner.unlink()
    assert model.only("runner").remedy == "write it beside requirements.lock"


@pytest.mark.parametrize(
    ("module", "found"), [("transformers.utils", 0), ("cv2", 1), ("PIL", 1), ("torchvision", 1)]
)
def test_modules_of_a_model_that_is_only_locked(model, workspace, module, found):
    for stored in workspace.environments.store.all():
        workspace.environments.store.clear(stored.path)
    edit(model, "import json", f"import {module}")
    said = [each.finding for each in model.look().findings]
    top = module.partition(".")[0]
    assert said == [f"no package of the lock has a name like that of the module {top}"] * found


@pytest.mark.parametrize(
    ("module", "package", "found"),
    [
        ("cv2", "opencv-python", True),
        ("PIL", "pillow", True),
        ("yaml", "pyyaml", True),
        ("onnxruntime", "onnxruntime-gpu", True),
        ("dateutil", "python-dateutil", True),
        ("torchvision", "torch", False),
        ("sklearn", "scikit-learn", True),
    ],
)
def test_which_package_may_bring_a_module(module, package, found):
    assert may_be_brought(module, {package: "1.0"}) is found


@pytest.mark.parametrize(
    ("found", "said", "fix"),
    [
        (None, "the index has the wheels of its lock", ""),
        (EnvironmentFailure("no network"), "whether its lock has wheels is not known: no netw", ""),
        (LockFinding("mini", "the lock is old"), "the lock is old", "run: mm env lock mini"),
        (
            LockFinding("mini", missing=(("av", "18.1.0", "linux-aarch64"),), fix="platforms: []"),
            "the index has no wheels of av 18.1.0 (linux-aarch64)",
            "write platforms: [] in the manifest, then run: mm env lock mini",
        ),
    ],
    ids=["whole", "not-asked", "unfit", "missing"],
)
def test_the_index_is_asked_for_the_wheels_of_a_lock_that_is_not_built(
    model, workspace, found, said, fix
):
    def ask(_, declared):
        assert declared.name == "mini"
        if isinstance(found, EnvironmentFailure):
            raise found
        return found

    def look():
        options = CheckOptions("cpu", "auto", ask_index=ask)
        report = examine(model_subject(workspace, model.declared, options, table()))
        assert [each.remedy for each in report.findings] == ([fix] if fix and not built else [])
        texts = [*facts(report, "environment"), *(each.finding for each in report.findings)]
        return any(text.startswith(said) for text in texts)

    built = True
    assert not look()
    for stored in workspace.environments.store.all():
        workspace.environments.store.clear(stored.path)
    built = False
    assert look()


def damaged(model, *names):
    (stored,) = model.workspace.environments.store.all()
    for name in names:
        shutil.rmtree(stored.path / "lib" / "python3.12" / "site-packages" / name)


def test_a_package_that_was_deleted_is_not_missing_from_the_manifest(model):
    damaged(model, "torch", "torch-2.6.0.dist-info")
    report = model.look()
    assert [each.id for each in report.findings] == ["environment-damaged", "module-torch"]
    assert report.findings[0].finding == "its environment is damaged: torch is missing"
    assert report.findings[1].finding.startswith("the package torch is in the lock, and its")
    remedies = {each.remedy for each in report.findings}
    assert remedies == {"run: mm env check mini; then: mm env sync mini"}


def test_a_file_that_was_deleted(model):
    damaged(model, "transformers/models")
    finding = model.only("environment").finding
    assert finding.startswith("its environment is damaged: transformers: ")


@pytest.mark.parametrize(("more", "found"), [("", 1), ("INFO: done\n", 0), ("\n\n", 1)])
def test_the_last_failure_of_a_model(model, workspace, more, found):
    assert "last-failure" not in [each.id for each in model.look().findings]
    log = workspace.worker_logs / "mini.abc.log"
    write(log.parent, {"mini.abc.log": TRACES["cuda-assumed"] + more, "minimal.abc.log": "x"})
    notes = [each for each in model.look().findings if each.id == "last-failure"]
    assert [each.remedy for each in notes] == [f"run: mm doctor mini --error {log}"] * found
    assert model.look().wrong == ()
    os.utime(log, (0, 0))
    assert "last-failure" not in [each.id for each in model.look().findings]


def test_files_without_a_configuration_are_not_examined(model):
    (model.mini.directory / "config.json").unlink()
    model.declare("patches: [mini]\n", "")
    model.add()
    report = model.look()
    assert report.wrong == ()
    assert any("are not examined" in fact for fact in facts(report, "configuration"))


def test_a_draft_names_the_release_that_it_is_for(model):
    model.declare("patches: [mini]\n", "")
    model.declare("transformers==4.46.3", "transformers==4.51.0")
    shape = shape_digest(model.declared.manifest.environment)
    body = LOCK.format("0" * 64).replace("4.46.3", "4.51.0")
    lock = render_lock(body, shape=shape, command="mm env lock mini")
    write(model.declared.lock.parent, {"requirements.lock": lock})
    text = draft(model.subject(), "mine").text
    assert 'proved: {transformers: "==4.51.0"}' in text
    assert "4.46.3" not in text


def test_a_dtype_that_the_manifest_lists_is_somebody_s_choice(model):
    model.mini.configure(torch_dtype="float16", text_config={})
    model.add()
    assert model.look("cpu", "float16").findings == ()


def test_a_device_that_the_manifest_does_not_list(model):
    with pytest.raises(UsageError, match="does not run on mps"):
        model.look("mps")


def test_two_local_models_of_one_name(model, tmp_path):
    other = tmp_path / "elsewhere" / "mini"
    write(other, {"config.json": "{}"})
    again = MANIFEST.replace("name: mini", "name: other\nenv: mini").replace(
        "patches: [mini]\n", ""
    )
    write(model.manifests, {"other.yaml": again})
    assert model.declared
    model.workspace.sources.add(model.workspace.catalog.model("other"), other)
    found = model.only("caches")
    assert f"{other} has the same name as {model.mini.directory}" in found.finding


def pulled(model, commit):
    """Record the miniature's files as if they had been pulled."""
    directory = model.mini.directory
    files = {
        path.name: describe(path, digest_bytes(path.read_bytes())) for path in directory.iterdir()
    }
    record = SourceRecord(
        path=str(directory), files=files, repo="owner/mini", revision="main", commit=commit
    )
    save_record(model.workspace.home, "mini", record)


def test_a_stale_copy_of_a_download(model):
    pulled(model, "abc")
    home = model.workspace.variables["HOME"]
    modules = f"{home}/.cache/huggingface/modules/transformers_modules"
    text = (model.mini.directory / "modeling_x.py").read_text()
    write(f"{modules}/owner/mini/abc", {"modeling_x.py": text})
    write(f"{modules}/owner/mini/other", {"modeling_x.py": "# of another commit"})
    write(f"{modules}/mini", {"modeling_x.py": "# of a directory"})
    assert model.look().findings == ()
    write(f"{modules}/owner/mini/abc", {"modeling_x.py": "# older"})
    found = model.only("caches")
    assert [each.file for each in found.evidence] == [f"{modules}/owner/mini/abc/modeling_x.py"]


def test_a_file_that_is_not_the_commit_s(model):
    commit = "a" * 40
    pulled(model, commit)
    known = f"commits: {{{commit}: {{configuration_x.py: {{before: {'ab' * 32}}}}}}}\npatches:"
    model.declare("patches:", known, "patches/mini.yaml")
    found = model.only("patches")
    assert found.effect.value == "risk"
    assert "configuration_x.py is not the file of aaaaaaaaaaaa that mini" in found.finding


# Failures, against this very model


def test_the_hint_of_a_failed_job_is_what_the_model_confirms(model):
    model.declare("patches: [mini]\n", "")
    error = JobFailed("AssertionError: Torch not compiled", detail=TRACES["cuda-assumed"])
    line = hint(model.workspace, model.declared, error, "cpu", "auto")
    assert line.startswith("hint: The code asks for a CUDA GPU")
    assert "(modeling_x.py:71); a patch that replaces .cuda() by .to(self.device)" in line
    assert line.endswith("more: mm doctor mini")


def test_no_hint_for_a_failure_that_nobody_knows(model):
    error = JobFailed("ValueError: no", detail="Traceback …\nValueError: no")
    assert hint(model.workspace, model.declared, error, "cpu", "auto") is None


def test_no_hint_for_words_that_do_no_harm(model):
    error = JobFailed("ValueError: no", detail=f"{TRACES['sox-missing']}ValueError: no")
    assert hint(model.workspace, model.declared, error, "cpu", "auto") is None


def test_a_table_that_is_broken_hides_no_failure(model):
    write(model.manifests / "doctor", {"mine.yaml": "name: yours\n"})
    error = JobFailed("AssertionError", detail=TRACES["cuda-assumed"])
    line = hint(model.workspace, model.declared, error, "cpu", "auto")
    assert line.startswith("no hint: ")


def test_the_place_of_a_failure_is_the_innermost_of_the_models_own_code(model):
    frame = '  File "/models/mini/modeling_x.py", line 9, in forward\n    x = x.cuda()\n'
    text = TRACES["cuda-assumed"].replace("AssertionError", f"{frame}AssertionError")
    (found,) = explain(text, table(), model.subject())
    assert found.where.where == "/models/mini/modeling_x.py:9"


def test_what_the_model_does_not_confirm_is_said_in_general(model):
    text = TRACES["input-and-weight-dtypes"]
    (found,) = explain(text, table(), model.subject())
    assert found.confirmed == ()
    assert found.remedy.endswith("by a patch of your own")


def test_a_confirmed_finding_of_the_failure_s_own_layer_comes_first(model):
    model.mini.edit("modeling_x.py", "x.to(self.dtype)", "x.half()")
    model.mini.configure(attn_implementation="flash_attention_2")
    model.add()
    text = TRACES["input-and-weight-dtypes"]
    (found,) = explain(text, table(), model.subject())
    assert [each.layer for each in found.confirmed] == [Layer.DTYPES, Layer.CONFIGURATION]


def hint_of(model, trace):
    error = JobFailed("failed", detail=trace)
    return hint(model.workspace, model.declared, error, "cpu", "auto")


NO_MODULE = "Traceback …\nModuleNotFoundError: No module named '{}'"


def test_a_hint_about_a_module_is_true(model):
    wanted = "Nothing in the environment brings the module einops; add what brings it"
    assert wanted in hint_of(model, NO_MODULE.format("einops"))
    # What is there is not missing, wherever else it was looked for.
    assert hint_of(model, NO_MODULE.format("torch")) is None
    damaged(model, "torch", "torch-2.6.0.dist-info")
    line = hint_of(model, NO_MODULE.format("torch"))
    assert line.startswith("hint: its environment is damaged: torch is missing; run: mm env check")


def test_a_hint_does_not_name_what_is_wrong_elsewhere(model):
    edit(model, "import json", "import scipy")
    model.mini.edit("modeling_x.py", "import torch\n", "import torch\nimport scipy\n")
    model.declare("patches: [mini]\n", "")
    model.add()
    assert "scipy" not in hint_of(model, NO_MODULE.format("einops"))
    line = hint_of(model, NO_MODULE.format("scipy.linalg"))
    assert line.startswith("hint: nothing in the environment brings the module scipy; add scipy")


def test_no_hint_where_the_files_deny_it(model):
    trace = "OSError: Error no file named model.safetensors found in directory x"
    assert hint_of(model, trace) is None
    model.mini.directory.joinpath("model.safetensors").unlink()
    assert "mm model" in hint_of(model, trace)


# The smallest job


def test_the_smallest_inputs(model, tmp_path):
    inputs = smallest_inputs(model.declared.manifest, tmp_path)
    assert inputs == {
        "image": tmp_path / "image.png",
        "voice": tmp_path / "voice.wav",
        "text": "Hello.",
        "many": [3],
        "mode": "a",
        "max_tokens": 8,
    }


def test_an_input_that_nobody_can_make_up(model, tmp_path):
    model.declare("{type: text, required: true}", "{type: file, required: true}")
    with pytest.raises(UsageError, match="no file can be made up for the input text"):
        smallest_inputs(model.declared.manifest, tmp_path)


def test_the_image_and_the_sound_are_what_they_say(tmp_path):
    import wave

    from PIL import Image

    with Image.open(write_image(tmp_path / "image.png")) as image:
        assert (image.format, image.size) == ("PNG", (64, 64))
        assert sorted(color for _, color in image.getcolors()) == [(0, 0, 0), (255, 255, 255)]
    with wave.open(str(write_tone(tmp_path / "sound.wav"))) as sound:
        assert (sound.getnchannels(), sound.getnframes(), sound.getframerate()) == (1, 16000, 16000)
