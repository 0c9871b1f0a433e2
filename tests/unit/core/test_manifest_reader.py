"""Manifests: what is read, and every refusal with its file, line and key."""

from __future__ import annotations

import textwrap

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.input_rules import RESERVED_OPTIONS, value_problem
from orchestrator.core.manifest import Input, Manifest, Timeouts, option_name
from orchestrator.core.manifest_reader import examine, read_manifest
from orchestrator.core.names import name_problem
from orchestrator.errors import ManifestError

SMALL = """\
name: reader
task: read
summary: Read
environment:
  python: ">=3.10"
  dependencies: [pillow]
inputs:
  page: {type: image, required: true}
outputs:
  text: {type: text}
"""
"""The smallest manifest; its lines are numbered in the tests."""

FULL = """\
name: full
env: shared
task: ocr
summary: Document images to Markdown
license: Apache-2.0
homepage: https://example.org
environment:
  python: ">=3.10,<3.13"
  platforms: [linux-x86_64, linux-aarch64, macos-arm64]
  dependencies: [transformers==4.46.3, torch==2.6.0]
  overrides: ["numpy<2"]
  build: [sox]
  probe: [torch, PIL.Image]
  variables: {OMP_NUM_THREADS: "2"}
  pass: [CUDA_HOME]
source:
  repo: some-one/Some-Model.2
  revision: refs/heads/main
  include: ["*.json", "sub/*.py"]
  size: 6.8 GB
patches: [full, more-patches]
family: fulls
preference: {default: 20, macos-arm64: 30}
devices: [cuda, cpu]
memory: {cpu: {float32: 21 GiB, bfloat16: 8 GiB}, cuda: {bfloat16: 9 GiB}}
options: {beams: 1, nested: {a: [1, 2.5, null, no]}}
timeouts: {load: 90}
keep_alive: forever
inputs:
  image: {type: image, required: true, help: Image to read}
  mode: {type: choice, choices: [markdown, free], default: markdown}
  zoom: {type: number, minimum: 0.5, maximum: 4, default: 1}
  pages: {type: integer, list: true, default: [1, 2]}
  clean: {type: boolean, default: no}
  image_size: {type: integer}
outputs:
  text: {type: text, primary: true, help: Markdown}
  boxes: {type: json}
""".replace("default: no}", "default: false}")


def read(text: str, stem: str = "reader") -> Manifest:
    return read_manifest(text.encode(), file=f"manifests/{stem}.yaml", stem=stem)


def refusals(text: str, stem: str = "reader") -> list[str]:
    _, problems = examine(text.encode(), file="m.yaml", stem=stem)
    return [str(problem) for problem in problems]


def changed(**parts: str) -> str:
    """Return SMALL with the lines of top-level keys replaced, added, or (empty) taken out."""
    blocks: dict[str, str] = {}
    for line in SMALL.splitlines(keepends=True):
        if not line.startswith(" "):
            key = line.partition(":")[0]
            blocks[key] = ""
        blocks[key] += line
    for key, text in parts.items():
        blocks[key] = textwrap.dedent(text).strip("\n") + "\n" if text else ""
    return "".join(blocks.values())


def test_the_smallest_manifest_gets_its_defaults():
    manifest = read(SMALL)
    assert manifest.env == "reader"
    assert manifest.devices == ("cpu",)
    assert manifest.timeouts == Timeouts(load=900, run=1800)
    assert manifest.keep_alive_seconds == 300
    assert manifest.source is None
    assert manifest.environment.platforms == ()
    assert manifest.primary_output == "text"
    assert manifest.inputs["page"].default is msgspec.UNSET
    assert manifest.smallest_memory("cpu") == 0


def test_every_key_is_read():
    manifest = read(FULL, "full")
    assert manifest.env == "shared"
    assert manifest.environment.python == ">=3.10,<3.13"
    assert manifest.environment.variables == {"OMP_NUM_THREADS": "2"}
    assert manifest.environment.pass_ == ("CUDA_HOME",)
    assert manifest.source is not None
    assert manifest.source.size == "6.8 GB"
    assert manifest.patches == ("full", "more-patches")
    assert manifest.family == "fulls"
    assert manifest.preference == {"default": 20, "macos-arm64": 30}
    assert manifest.smallest_memory("cpu") == 8 * 1024**3
    assert manifest.smallest_memory("mps") == 0
    assert manifest.options == {"beams": 1, "nested": {"a": [1, 2.5, None, "no"]}}
    assert manifest.timeouts == Timeouts(load=90, run=1800)
    assert manifest.inputs["pages"].default == [1, 2]
    assert manifest.inputs["clean"].default is False
    assert manifest.primary_output == "text"


def test_a_record_cannot_be_changed():
    with pytest.raises(AttributeError):
        read(SMALL).name = "other"


def test_a_name_with_a_dot_is_the_whole_stem():
    assert read(SMALL.replace("name: reader", "name: qwen3-tts-1.7b"), "qwen3-tts-1.7b")


WRONG_TYPES = [
    (
        changed(environment="environment:\n  python: 3.10\n  dependencies: []"),
        'm.yaml:5: environment.python: write the version as a string ("3.10")',
    ),
    (
        changed(
            environment="environment:\n  python: '>=3.10'\n  dependencies: []\n  variables: {A: 2}"
        ),
        'm.yaml:7: environment.variables.A: write the value as a string ("2")',
    ),
    (changed(license="license: true"), 'm.yaml:11: license: write the value as a string ("true")'),
    (
        changed(keep_alive="keep_alive: 0"),
        'm.yaml:11: keep_alive: write the value as a string ("0")',
    ),
    (changed(name="name: [a]"), "m.yaml:1: name: must be text, not a list"),
    (
        changed(license="license:"),
        "m.yaml:11: license: has no value; give it one, or remove the key",
    ),
    (
        changed(preference="preference: 1.5"),
        "m.yaml:11: preference: must be a whole number, not the number 1.5",
    ),
    (
        changed(preference="preference: true"),
        "m.yaml:11: preference: must be a whole number, not true",
    ),
    (
        changed(preference="preference: {macos-arm64: 30, default: high}"),
        "m.yaml:11: preference.default: must be a whole number, not the text 'high'",
    ),
    (
        changed(preference="preference: {macos: 30}"),
        (
            "m.yaml:11: preference.macos: must be one of default, linux-aarch64, linux-x86_64, "
            "macos-arm64, macos-x86_64, not the text 'macos'"
        ),
    ),
    (
        changed(family="family: A b"),
        (
            "m.yaml:11: family: 'A b' is not a name: lower-case letters, digits and single hyphens "
            "or dots between"
        ),
    ),
    (
        changed(timeouts="timeouts: {run: 5m}"),
        "m.yaml:11: timeouts.run: must be a number, not the text '5m'",
    ),
    (changed(timeouts="timeouts: {run: .inf}"), "m.yaml:11: timeouts.run: must be a finite number"),
    (changed(options="options: {a: [.nan]}"), "m.yaml:11: options.a[0]: must be a finite number"),
    (
        changed(devices="devices: cpu"),
        "m.yaml:11: devices: must be a list, not the text 'cpu'; write [cpu]",
    ),
    (
        changed(devices="devices: [cdua]"),
        "m.yaml:11: devices[0]: must be one of cpu, cuda, mlx, mps, not the text 'cdua'",
    ),
    (
        changed(memory="memory: {gpu: {}}"),
        "m.yaml:11: memory.gpu: must be one of cpu, cuda, mlx, mps, not the text 'gpu'",
    ),
    (
        changed(inputs="inputs: {page: image}"),
        "m.yaml:7: inputs.page: must be a mapping, not the text 'image'",
    ),
    (
        changed(inputs="inputs: {page: {type: image, required: yes}}"),
        "m.yaml:7: inputs.page.required: must be true or false, not the text 'yes'",
    ),
    (
        changed(environment="environment: []"),
        "m.yaml:4: environment: must be a mapping, not a list",
    ),
    ("- a\n", "m.yaml:1: must be a mapping, not a list"),
    ("", "m.yaml:1: the file is empty; give it one"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_TYPES)
def test_wrong_types(text, message):
    assert refusals(text) == [message]


def test_unknown_keys_are_offered_the_nearest_one():
    assert refusals(SMALL + "inptus: {}\n") == [
        "m.yaml:11: inptus: unknown key; did you mean inputs?"
    ]
    assert refusals(changed(inputs="inputs: {page: {type: image, hepl: x}}")) == [
        "m.yaml:7: inputs.page.hepl: unknown key; did you mean help?"
    ]
    (message,) = refusals(changed(timeouts="timeouts: {xyz: 1}"))
    assert message == "m.yaml:11: timeouts.xyz: unknown key; the keys here are load, run"


@pytest.mark.parametrize("key", ["name", "task", "summary", "environment", "inputs", "outputs"])
def test_required_keys(key):
    assert refusals(changed(**{key: ""})) == [f"m.yaml:1: {key}: this key is missing"]


@pytest.mark.parametrize("key", ["python", "dependencies"])
def test_required_keys_of_the_environment(key):
    kept = {"python": "  python: '>=3.10'", "dependencies": "  dependencies: []"}
    del kept[key]
    text = changed(environment="environment:\n" + kept.popitem()[1])
    assert refusals(text) == [f"m.yaml:4: environment.{key}: this key is missing"]


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "A", "a..b", ".a", "-a", "a-", "", "a b", "ä", "a\n"]
)
def test_names_that_could_leave_their_place_are_refused(name):
    (message,) = refusals(changed(name=f"name: {name!r}"))
    assert message.startswith("m.yaml:1: name: ")
    assert "is not a name" in message


def test_a_name_is_the_files():
    (message,) = refusals(SMALL, "other")
    assert message == (
        "m.yaml:1: name: 'reader' is not the file's name; "
        "write name: other, or rename the file to reader.yaml"
    )


def test_names_have_a_limit():
    assert name_problem("a" * 64) is None
    assert name_problem("a" * 65) == "a name may have 64 characters"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ocr", "m.yaml:1: name: 'ocr' is the name of a task; choose another"),
        ("tts-clone", "m.yaml:1: name: 'tts-clone' is the name of a task; choose another"),
        (
            "read",
            (
                "m.yaml:2: task: 'read' is the model's own name, and a task needs another; "
                "rename the task or the model"
            ),
        ),
        (
            "plain-text",
            "m.yaml:1: name: 'plain-text' is the name of a built-in step; choose another",
        ),
    ],
)
def test_names_of_tasks_and_steps_are_refused(name, message):
    assert refusals(changed(name=f"name: {name}"), name) == [message]


@pytest.mark.parametrize("option", sorted(RESERVED_OPTIONS))
def test_options_of_mm_itself_are_refused(option):
    name = option.replace("-", "_")
    (message,) = refusals(changed(inputs=f"inputs:\n  {name}: {{type: text}}"))
    assert message == f"m.yaml:8: inputs.{name}: mm itself has {name!r}; rename the input"


def environment(line: str) -> str:
    return changed(environment=f"environment:\n  python: '>=3.10'\n  dependencies: []\n  {line}")


def one_input(declaration: str) -> str:
    return changed(inputs=f"inputs:\n  x: {{{declaration}}}")


INTEGRITY = "sha512-" + "A" * 86 + "=="


def archived(*, size="1 MB", revision="", **keys: str) -> str:
    """Return SMALL with a source of one archive of npm; `keys` replace or add its keys."""
    keys = {"npm": "a@1", "integrity": INTEGRITY, "files": "{a: b}", **keys}
    archive = ", ".join(
        f"{key}: {value if key == 'files' else repr(value)}" for key, value in keys.items() if value
    )
    more = "".join(f", {k}: {v}" for k, v in {"size": size, "revision": revision}.items() if v)
    return changed(source=f"source: {{archives: [{{{archive}}}]{more}}}")


def test_small_archives_are_embedded_and_large_ones_and_repositories_are_not():
    assert read(SMALL).is_embedded
    assert read(archived(size="100 MB")).is_embedded
    assert not read(archived(size="101 MB")).is_embedded
    repository = "source: {repo: a/b, revision: main, size: 1 MB}"
    assert not read(changed(source=repository)).is_embedded


def test_voices_are_the_choices_of_the_input_that_chooses_one():
    manifest = read(
        changed(
            languages="languages: [en, zh]",
            voices="voices: {anna: en-GB, li: zh}",
            inputs="inputs:\n  voice: {type: choice, default: li}",
        )
    )
    assert manifest.inputs["voice"].choices == ("anna", "li")
    assert manifest.voices == {"anna": "en-GB", "li": "zh"}


REFUSED = [
    (changed(task="task: Read it"), "2: task: 'Read it' is not a name"),
    (changed(env="env: ../other"), "11: env: '../other' is not a name"),
    (changed(patches="patches: [../x]"), "11: patches[0]: '../x' is not a name"),
    (changed(summary="summary: ' '"), "3: summary: is empty"),
    (changed(summary='summary: "a\\eb"'), "3: summary: holds a control character"),
    (one_input('type: text, help: "\\x9b2J"'), "8: inputs.x.help: holds a control character"),
    # The environment.
    (
        changed(environment="environment:\n  python: '3.10'\n  dependencies: []"),
        "5: environment.python: '3.10' is not a range of versions",
    ),
    (
        changed(environment="environment:\n  python: <3.13\n  dependencies: []"),
        "5: environment.python: '<3.13' has no lower bound",
    ),
    (
        changed(environment="environment:\n  python: '>=3.8'\n  dependencies: []"),
        "5: environment.python: '>=3.8' allows a Python older than 3.9",
    ),
    (
        changed(environment="environment:\n  python: '>=3.10'\n  dependencies:\n  - a\n  - b b"),
        "8: environment.dependencies[1]: 'b b' is not a requirement",
    ),
    (
        changed(
            environment="environment:\n  python: '>=3.10'\n  dependencies: ['a @ https://e.org/a']"
        ),
        "6: environment.dependencies[0]: 'a @ https://e.org/a' names a URL",
    ),
    (environment("overrides: [./a]"), "7: environment.overrides[0]: './a' is not a requirement"),
    (environment("build: [a==1]"), "7: environment.build[0]: 'a==1' is not the name of a package"),
    (environment("probe: [a-b]"), "7: environment.probe[0]: 'a-b' is not the name of a module"),
    (
        environment("platforms: [linux-x86_64, linux-x86_64]"),
        "7: environment.platforms[1]: 'linux-x86_64' stands here twice",
    ),
    (environment("platforms: [linux]"), "7: environment.platforms[0]: must be one of"),
    (
        environment("variables: {PYTHONPATH: x}"),
        "7: environment.variables.PYTHONPATH: PYTHONPATH has no effect",
    ),
    (environment("variables: {'A=B': x}"), "7: environment.variables.A=B: 'A=B' is not the name"),
    (
        environment('variables: {A: "x\\ny"}'),
        "7: environment.variables.A: holds a control character",
    ),
    (environment("pass: [PYTHONHOME]"), "7: environment.pass[0]: PYTHONHOME has no effect"),
    (environment("pass: [A B]"), "7: environment.pass[0]: 'A B' is not the name of a variable"),
    # The source.
    (
        changed(source="source: {repo: a, revision: main}"),
        "11: source.repo: 'a' is not a repository such as owner/name",
    ),
    (changed(source="source: {repo: a/../b, revision: main}"), "11: source.repo: 'a/../b' is not"),
    (
        changed(source="source: {repo: a/b, revision: ../x}"),
        "11: source.revision: '../x' is neither",
    ),
    (
        changed(source="source: {repo: a/b, revision: main, size: big}"),
        "11: source.size: 'big' is not a size; write 21 GiB or 6.8 GB",
    ),
    (
        changed(source="source: {repo: a/b, revision: main, include: [../x]}"),
        "11: source.include[0]: '../x' does not stay inside the repository",
    ),
    (
        changed(source="source: {repo: a/b, revision: main, include: [/etc/x]}"),
        "11: source.include[0]: '/etc/x' does not stay inside the repository",
    ),
    (changed(source="source: {repo: a/b}"), "11: source.revision: this key is missing"),
    (changed(source="source: {revision: main}"), "11: source.repo: this key is missing"),
    (archived(size=""), "11: source.size: is missing, and there is no repository"),
    (archived(revision="main"), "11: source.revision: belongs to a repository"),
    (
        changed(weights="weights: {4bit: {repo: a/b, revision: main}}"),
        "11: weights.4bit: is converted from a repository, and source has none",
    ),
    (
        changed(
            source="source: {repo: a/b, revision: main}",
            weights="weights: {4bit: {repo: a/b, revision: main}}",
        ),
        "12: weights.4bit: memory does not list it; write what 4bit needs there",
    ),
    (archived(url="https://x/y"), "11: source.archives[0]: an archive has a package of npm or"),
    (archived(npm="a"), "11: source.archives[0].npm: 'a' is not a package such as"),
    (archived(npm="../a@1"), "11: source.archives[0].npm: '../a@1' is not a package such as"),
    (archived(integrity="sha512-AAAA"), "11: source.archives[0].integrity: a package of npm is"),
    (archived(integrity="md5-AAAA"), "11: source.archives[0].integrity: a package of npm is"),
    (archived(files="{}"), "11: source.archives[0].files: nothing is taken"),
    (archived(files="{a: ../b}"), "11: source.archives[0].files.a: '../b' does not stay inside"),
    (archived(files="{a: /b}"), "11: source.archives[0].files.a: '/b' does not stay inside"),
    (archived(files="{a: b, c: b}"), "11: source.archives[0].files.c: b is taken from two places"),
    (
        archived(npm="", url="ftp://x/y", sha256="0" * 64, integrity=""),
        "11: source.archives[0].url: is not an http or https URL",
    ),
    (
        archived(npm="", url="https://user:word@x/y", sha256="0" * 64, integrity=""),
        "11: source.archives[0].url: is not an http or https URL without credentials",
    ),
    (
        archived(npm="", url="https://x/y", sha256="0", integrity=""),
        "11: source.archives[0].sha256: what lies at a URL",
    ),
    # Languages.
    (changed(languages="languages: [english]"), "11: languages[0]: 'english' is not a language"),
    (changed(languages="languages: [en, en]"), "11: languages[1]: 'en' stands here twice"),
    (
        changed(voices="voices: {a: en}", inputs="inputs:\n  speaker: {type: text}"),
        "11: voices.a: languages does not have 'en'",
    ),
    (
        changed(languages="languages: [en]", voices="voices: {a: en-GB}"),
        "12: voices: no input chooses one",
    ),
    # Inputs.
    (
        changed(inputs="inputs:\n  a-b: {type: text}"),
        "8: inputs.a-b: 'a-b' is not letters, digits and _, beginning with a letter",
    ),
    (changed(inputs="inputs:\n  _a: {type: text}"), "8: inputs._a: '_a' is not letters"),
    (
        changed(inputs="inputs:\n  class: {type: text}"),
        "8: inputs.class: 'class' is a word of Python",
    ),
    (changed(inputs="inputs:\n  job: {type: text}"), "8: inputs.job: every runner has 'job'"),
    (changed(inputs="inputs:\n  Keep_Alive: {type: text}"), "8: inputs.Keep_Alive: mm itself has"),
    (
        changed(inputs="inputs:\n  x: {type: boolean}\n  no_x: {type: text}"),
        "9: inputs.no_x: --no-x is also an option of the input 'x'",
    ),
    (one_input("type: choice"), "8: inputs.x.choices: an input of type choice lists its choices"),
    (one_input("type: choice, default: a"), "8: inputs.x.choices: an input of type choice lists"),
    (one_input("type: text, choices: [a]"), "8: inputs.x.choices: an input of type text has no"),
    (one_input("type: choice, choices: [a, a]"), "8: inputs.x.choices[1]: 'a' stands here twice"),
    (one_input("type: choice, choices: ['']"), "8: inputs.x.choices[0]: '' cannot be typed"),
    (
        one_input("type: choice, choices: [1]"),
        '8: inputs.x.choices[0]: write the value as a string ("1")',
    ),
    (
        one_input("type: choice, choices: [a], default: b"),
        "8: inputs.x.default: 'b' is not one of a",
    ),
    (one_input("type: boolean, list: true"), "8: inputs.x.list: an option of type boolean cannot"),
    (
        one_input("type: text, minimum: 1"),
        "8: inputs.x.minimum: an input of type text has no minimum",
    ),
    (one_input("type: integer, maximum: 1.5"), "8: inputs.x.maximum: must be a whole number"),
    (
        one_input("type: number, minimum: 2, maximum: 1"),
        "8: inputs.x.minimum: 2 is above the maximum, 1",
    ),
    (
        one_input("type: number, minimum: 2, default: 1"),
        "8: inputs.x.default: 1 is below the minimum, 2",
    ),
    (
        one_input("type: integer, maximum: 2, list: true, default: [1, 3]"),
        "8: inputs.x.default[1]: 3 is above the maximum, 2",
    ),
    (one_input("type: integer, default: 1.5"), "8: inputs.x.default: must be an integer"),
    (one_input("type: integer, default: true"), "8: inputs.x.default: must be an integer"),
    (one_input("type: number, default: .nan"), "8: inputs.x.default: must be a finite number"),
    (one_input("type: text, default: 1"), "8: inputs.x.default: must be text"),
    (one_input("type: text, default: null"), "8: inputs.x.default: must be text"),
    (one_input("type: boolean, default: yes"), "8: inputs.x.default: must be a boolean"),
    (one_input("type: text, list: true, default: a"), "8: inputs.x.default: must be a list"),
    (
        one_input("type: text, required: true, default: a"),
        "8: inputs.x.default: an input that is required has no default",
    ),
    (
        one_input("type: image, default: a.png"),
        "8: inputs.x.default: an input of type image has no default",
    ),
    (one_input("type: picture"), "8: inputs.x.type: must be one of"),
    (one_input("help: x"), "8: inputs.x.type: this key is missing"),
    # Outputs.
    (changed(outputs="outputs: {}"), "9: outputs: a model returns at least one output"),
    (
        changed(outputs="outputs:\n  a: {type: text}\n  b: {type: json}"),
        "9: outputs: none of the outputs is primary",
    ),
    (
        changed(
            outputs="outputs:\n  a: {type: text, primary: true}\n  b: {type: json, primary: true}"
        ),
        "11: outputs.b.primary: 'a' is the primary output already",
    ),
    (changed(outputs="outputs:\n  a-b: {type: text}"), "10: outputs.a-b: 'a-b' is not letters"),
    (changed(outputs="outputs:\n  a: {type: choice}"), "10: outputs.a.type: must be one of"),
    # What tasks promise.
    (changed(task="task: ocr"), "7: inputs: every model of the task ocr takes 'image'"),
    (
        changed(task="task: ocr", inputs="inputs:\n  image: {type: file}"),
        "8: inputs.image.type: in the task ocr it is one image",
    ),
    (
        changed(task="task: ocr", inputs="inputs:\n  image: {type: image, list: true}"),
        "8: inputs.image.list: in the task ocr it is one image",
    ),
    (
        changed(
            task="task: ocr",
            inputs="inputs:\n  image: {type: image}",
            outputs="outputs:\n  words: {type: text}",
        ),
        "9: outputs: every model of the task ocr returns 'text'",
    ),
    (
        changed(
            task="task: tts",
            inputs="inputs:\n  text: {type: text}",
            outputs="outputs:\n  audio: {type: file}",
        ),
        "10: outputs.audio.type: in the task tts it is audio",
    ),
    # Resources.
    (changed(devices="devices: []"), "11: devices: a model runs on at least one device"),
    (changed(devices="devices: [cpu, cpu]"), "11: devices[1]: 'cpu' stands here twice"),
    (
        changed(memory="memory: {cpu: {float32: 21}}"),
        '11: memory.cpu.float32: write the value as a string ("21")',
    ),
    (
        changed(memory="memory: {cpu: {float32: lots}}"),
        "11: memory.cpu.float32: 'lots' is not a size",
    ),
    (changed(memory="memory: {cpu: {int8: 1 GB}}"), "11: memory.cpu.int8: must be one of"),
    (changed(timeouts="timeouts: {load: 0}"), "11: timeouts.load: must be more than 0 seconds"),
    (changed(timeouts="timeouts: {run: 1e18}"), "11: timeouts.run: must be more than 0 seconds"),
    (changed(keep_alive="keep_alive: soon"), "11: keep_alive: 'soon' is not a duration"),
    (changed(keep_alive="keep_alive: 40000d"), "11: keep_alive: '40000d' is more than 36500d"),
    # What the document refuses.
    (changed(options="options: !!python/object x"), "11: options: a YAML tag (!!python/object) is"),
    (
        changed(name="name: reader\nname: reader"),
        "2: name: the key stands here twice (first on line 1)",
    ),
    (SMALL.replace("  python", "\tpython"), "5: a tab indents this line"),
]


@pytest.mark.parametrize(("text", "start"), REFUSED, ids=[start for _, start in REFUSED])
def test_refusals(text, start):
    messages = refusals(text)
    assert [message[: len(f"m.yaml:{start}")] for message in messages] == [f"m.yaml:{start}"]


def test_all_problems_are_found_in_the_order_of_their_lines():
    text = (
        SMALL.replace("task: read", "task: Read").replace("[pillow]", "['?']") + "keep_alive: x\n"
    )
    lines = [message.split(":")[1] for message in refusals(text)]
    assert lines == ["2", "6", "11"]


def test_reading_raises_the_first_problem_with_the_exit_code_of_manifests():
    with pytest.raises(ManifestError) as caught:
        read(SMALL.replace("summary", "sumary"))
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "manifests/reader.yaml:3: sumary: unknown key; did you mean summary?"
    )


KEYS = st.sampled_from(
    [
        "name",
        "env",
        "task",
        "summary",
        "environment",
        "python",
        "platforms",
        "dependencies",
        "variables",
        "pass",
        "source",
        "repo",
        "revision",
        "include",
        "size",
        "patches",
        "preference",
        "devices",
        "memory",
        "options",
        "timeouts",
        "load",
        "run",
        "keep_alive",
        "inputs",
        "outputs",
        "type",
        "required",
        "default",
        "help",
        "choices",
        "minimum",
        "maximum",
        "list",
        "primary",
        "x",
    ]
)
SCALARS = st.sampled_from(
    [
        "reader",
        "read",
        "text",
        "image",
        "choice",
        "cpu",
        "float32",
        "5m",
        "1",
        "1.5",
        "-3",
        "true",
        "null",
        "''",
        '">=3.10"',
        ".inf",
        "../x",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(KEYS, inner, max_size=4).map(
            lambda entries: (
                "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
            )
        )
    ),
    max_leaves=12,
)
LIKE_MANIFESTS = st.dictionaries(KEYS, VALUES, max_size=8).map(
    lambda entries: "".join(f"{key}: {value}\n" for key, value in entries.items())
)


def overlaid(entries: dict[str, str]) -> str:
    return changed(**{key: f"{key}: {value}" for key, value in entries.items()})


@given(st.text() | LIKE_MANIFESTS | st.dictionaries(KEYS, VALUES, max_size=3).map(overlaid))
def test_no_text_gives_anything_but_a_manifest_or_errors_with_their_place(text):
    manifest, problems = examine(text.encode(), file="m.yaml", stem="reader")
    assert problems or isinstance(manifest, Manifest)
    assert all(isinstance(problem, ManifestError) for problem in problems)
    assert all(problem.where.startswith("m.yaml") for problem in problems)


@given(st.binary())
def test_no_bytes_do_either(data):
    manifest, problems = examine(data, file="m.yaml", stem="reader")
    assert problems or isinstance(manifest, Manifest)


def test_inputs_become_options():
    assert option_name("image_size") == "image-size"


@pytest.mark.parametrize("kind", ["json", "array", "image", "file", "audio"])
def test_values_that_are_checked_elsewhere_pass(kind):
    assert value_problem(Input(type=kind), {"any": "thing"}) is None
