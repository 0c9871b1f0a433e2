"""The real command on a Ray cluster: nodes of this machine, each with an `MM_HOME` of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

import orchestrator
from orchestrator.client.supervisors import is_alive, start_time
from orchestrator.engines.ray.cluster import QUIET
from orchestrator.system.userenv import during
from tests.guards import ray_at_work
from tests.hub import serving
from tests.integration.conftest import MM, ROOT
from tests.machine import can_build, only_where

ITEMS = 60
FEW = 20
STORE = 100_000_000
"""Bytes of each node's object store; the least that Ray takes is 75 MB."""

MANIFEST = """\
name: {name}
task: try-{name}
summary: A model that behaves as its name says
environment: {{python: ">=3.10", dependencies: []}}
devices: [cpu, cuda]
memory: {{cpu: {{float32: {memory}}}}}
timeouts: {{load: 60, run: 60}}
inputs:
  text: {{type: text, required: true, help: Any text}}
outputs:
  text: {{type: text, primary: true}}
"""

RUNNERS = {
    "slow": """\
        import os, time

        def load(context):
            return None

        def run(model, job, *, text):
            rays = [name for name in os.environ if name.startswith(("RAY_", "PYTHONPATH"))]
            time.sleep(0.2)
            node = os.environ["HOME"].split("/")[-2]
            return {"text": f"{os.getppid()} {text} {node} {rays}"}
        """,
    "huge": """\
        def load(context):
            return None

        def run(model, job, *, text):
            return {"text": text}
        """,
    "other": """\
        def load(context):
            return None

        def run(model, job, *, text):
            return {"text": "again " + text.split()[1]}
        """,
    "weighted": """\
        def load(context):
            with open(context.model_dir + "/weights.safetensors") as stream:
                return stream.read()

        def run(model, job, *, text):
            return {"text": f"{text} {len(model)}"}
        """,
    "fragile": """\
        import os, signal

        def load(context):
            return None

        def run(model, job, *, text):
            if text == "7":
                os.kill(os.getpid(), signal.SIGKILL)
            return {"text": text}
        """,
}


PIPELINE = """\
name: twice
inputs:
  words: {type: text, list: true, required: true}
steps:
  - {id: one, run: slow, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
  - {id: two, run: other, foreach: "${{ steps.one.text }}", with: {text: "${{ item }}"}}
outputs:
  texts: "${{ steps.two.text }}"
"""


@pytest.fixture(scope="module")
def manifests(declare):
    """A directory of models; one asks for more memory than there is, one needs weights."""
    directory = declare(RUNNERS, MANIFEST.replace("{memory}", "64 MiB"))
    huge = directory / "huge.yaml"
    huge.write_text(huge.read_text().replace("64 MiB", "5000 GiB"))
    weighted = directory / "weighted.yaml"
    source = "source: {repo: owner/model, revision: main, size: 1 kB}\n"
    weighted.write_text(weighted.read_text() + source)
    (directory / "pipelines").mkdir()
    (directory / "pipelines" / "twice.yaml").write_text(PIPELINE)
    return directory


@pytest.fixture(scope="module")
def hub():
    """A hub of models that every node asks."""
    with serving({"config.json": b"{}", "weights.safetensors": b"w" * 500}) as hub:
        yield hub


class Nodes:
    """Raylets on this machine, each with a home of its own, as if it were another."""

    def __init__(self, directory, hub):
        from ray.cluster_utils import Cluster

        self.directory = directory
        self._cluster = Cluster()
        self._hub = hub

    @property
    def homes(self):
        return list(self.directory.glob("node*[0-9]"))

    @property
    def address(self):
        return self._cluster.address

    def add(self, name, *, cpus=1, **variables):
        """Start a node; the first is the head."""
        own = {
            "MM_HOME": str(self.directory / name),
            "MM_RUNTIME_DIR": str(self.directory / f"{name}.run"),
            "HF_HOME": str(self.directory / name / "hub"),
            "HF_ENDPOINT": self._hub.url,
            **variables,
        }
        with during({**QUIET, **own}), ray_at_work():
            return self._cluster.add_node(
                num_cpus=cpus,
                memory=1 << 30,
                object_store_memory=STORE,
                include_dashboard=False,
                env_vars={**QUIET, **own},
            )

    def kill(self, node):
        with ray_at_work():
            self._cluster.remove_node(node, allow_graceful=False)

    def close(self):
        with ray_at_work():
            self._cluster.shutdown()


@pytest.fixture(scope="module")
def three(workplace, hub):
    """Three nodes of one core each."""
    nodes = Nodes(Path(workplace["MM_HOME"]).parent, hub)
    nodes.add("node0")  # the head
    nodes.workers = {name: nodes.add(name) for name in ("node1", "node2")}
    yield nodes
    nodes.close()


@pytest.fixture
def texts(tmp_path):
    for number in range(ITEMS):
        (tmp_path / f"{number}.txt").write_text(str(number))
    return [f"{number}.txt" for number in range(ITEMS)]


def lines_of(path):
    """Return the lines of a file of results; one that is not whole yet is left out."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def said(line):
    """Return what `slow` says: its supervisor's process id, the text, its node, Ray's variables."""
    return line["outputs"]["text"].split(maxsplit=3)


def test_a_model_that_asks_for_more_than_there_is_ends_with_a_sentence(mm, three, manifests, texts):
    ended = mm(
        *("batch", "huge", texts[0], "-o", "-", "--manifests", manifests),
        *("--engine", "ray", "--address", three.address),
    )
    assert ended.code == 7
    assert "huge needs 1 CPU and 4.88 TiB of memory on one node of the cluster" in ended.sentence
    assert "the largest of its 3 has 1 CPU and 1 GiB of memory" in ended.sentence


def test_a_node_with_another_mm_is_refused_and_both_versions_are_named(
    mm, three, manifests, texts, tmp_path
):
    other = tmp_path / "other" / "orchestrator"
    shutil.copytree(ROOT / "orchestrator", other, ignore=shutil.ignore_patterns("__pycache__"))
    version = orchestrator.__version__
    (other / "version.py").write_text('__version__ = "0.0.9"\n')
    node = three.add("other", cpus=4, PYTHONPATH=str(other.parent))
    ended = mm(
        *("batch", "slow", texts[0], "-o", "-", "--manifests", manifests),
        *("--engine", "ray", "--address", three.address),
        variables={"OMP_NUM_THREADS": "4"},  # only the new node has as many
    )
    three.kill(node)
    assert ended.code == 3
    assert f"it has mm 0.0.9, and the machine that runs this has {version}" in ended.sentence


def test_weights_are_pulled_by_each_node_once(mm, three, manifests, hub, texts, tmp_path):
    for out in ("first.jsonl", "second.jsonl"):
        ended = mm(
            *("batch", "weighted", *texts[:6], "-o", out, "--manifests", manifests),
            *("--workers", "3", "--engine", "ray", "--address", three.address),
        )
        assert ended.code == 0, ended
        lines = lines_of(tmp_path / out)
        assert {line["outputs"]["text"] for line in lines} == {f"{n} 500" for n in range(6)}
        assert len({line["receipt"] for line in lines}) == 1
    weights = [each for each in hub.downloads() if "weights" in each]
    nodes = [node for node in three.homes if (node / "models" / "weighted").is_dir()]
    assert 1 <= len(weights) == len(nodes) <= 3


def test_a_mount_with_the_weights_needs_no_hub(mm, three, manifests, hub, texts, tmp_path):
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "config.json").write_text("{}")
    (mount / "weights.safetensors").write_text("m" * 40)
    before = len(hub.requests)
    ended = mm(
        *("batch", "weighted", texts[0], "-o", "out.jsonl", "--manifests", manifests),
        *("--engine", "ray", "--address", three.address, "--model-dir", f"weighted={mount}"),
    )
    assert ended.code == 0, ended
    assert lines_of(tmp_path / "out.jsonl")[0]["outputs"]["text"] == "0 40"
    assert len(hub.requests) == before


def test_steps_of_a_pipeline_take_turns_on_one_core(mm, workplace, manifests):
    ended = mm(
        *("pipeline", "run", "twice", "--words", "a", "--words", "b", "--words", "c"),
        *("--json", "--manifests", manifests, "--engine", "ray", "--address", "local"),
        variables={"OMP_NUM_THREADS": str(os.cpu_count())},  # each model asks for all there are
    )
    assert ended.code == 0, ended
    assert json.loads(ended.out)["outputs"]["texts"] == ["again a", "again b", "again c"]
    assert "to make room" in ended.err


def test_every_item_is_there_once_though_a_node_is_killed(
    three, manifests, workplace, texts, tmp_path
):
    out = tmp_path / "out.jsonl"
    command = [*MM, "batch", "slow", *texts, "-o", "out.jsonl", "--workers", "3"]
    command += ["--manifests", str(manifests), "--engine", "ray", "--address", three.address]

    def seen():
        return {said(line)[2] for line in lines_of(out)}

    with subprocess.Popen(
        command,
        env={**os.environ, **workplace},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as batch:
        while not (busy := seen() & set(three.workers)) and batch.poll() is None:
            time.sleep(0.05)
        three.kill(three.workers.pop(next(iter(busy))))
        printed, told = batch.communicate(timeout=300)
    assert batch.returncode == 0, told
    assert printed == ""  # Ray says nothing among results
    assert "was lost; its item goes to another node" in told
    lines = lines_of(out)
    assert Counter(line["input"] for line in lines) == Counter(texts)
    assert {said(line)[3] for line in lines} == {"[]"}
    assert not any(alive(int(said(line)[0])) for line in lines)


def test_an_interrupt_frees_the_cluster_and_a_resumed_batch_is_whole(
    mm, three, manifests, workplace, texts, tmp_path
):
    out = tmp_path / "out.jsonl"
    common = [*texts, "-o", "out.jsonl", "--manifests", str(manifests), "--engine", "ray"]
    common += ["--address", three.address]
    with subprocess.Popen(
        [*MM, "batch", "slow", *common],
        env={**os.environ, **workplace},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as batch:
        while not lines_of(out) and batch.poll() is None:
            time.sleep(0.05)
        shown = mm("ps", "--json")
        batch.send_signal(signal.SIGINT)
        _, told = batch.communicate(timeout=120)
    assert batch.returncode == 130, told
    assert "go on with --resume" in told
    done = lines_of(out)
    supervisors = {int(said(line)[0]) for line in done}
    assert not any(alive(pid) for pid in supervisors)
    (row,) = json.loads(shown.out)["workers"]
    assert (row["model"], row["state"]) == ("slow", "ready")
    assert re.fullmatch(r".+/[0-9a-f]{6}", row["node"])
    ended = mm("batch", "slow", *common, "--resume", "--workers", "2")
    assert ended.code == 0, ended.err
    assert Counter(line["input"] for line in lines_of(out)) == Counter(texts)
    assert f"{len(done)} done before" in ended.err


def alive(pid):
    return is_alive(pid, start_time(pid)) if start_time(pid) else False


def test_a_crash_on_a_node_fails_its_item_alone(mm, three, manifests, texts, tmp_path):
    ended = mm(
        *("batch", "fragile", *texts[:12], "-o", "out.jsonl", "--manifests", manifests),
        *("--engine", "ray", "--address", three.address),
    )
    assert ended.code == 1
    failed = [line for line in lines_of(tmp_path / "out.jsonl") if line["status"] == "failed"]
    assert [line["input"] for line in failed] == ["7.txt"]
    assert "was killed by SIGKILL" in failed[0]["error"]["message"]
    assert failed[0]["error"]["message"].startswith("node ")
    assert len(lines_of(tmp_path / "out.jsonl")) == 12


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://127.0.0.1:1", "--address auto"),
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("head", "no Ray cluster answers at head"),
    ],
)
def test_without_a_cluster_there_its_address_is_named(mm, manifests, texts, address, words):
    ended = mm(
        *("batch", "slow", texts[0], "-o", "-", "--manifests", manifests),
        *("--engine", "ray", "--address", address),
    )
    assert ended.code == 2
    assert words in ended.sentence


def test_options_of_a_cluster_want_the_engine(mm, manifests, texts):
    ended = mm("batch", "slow", texts[0], "-o", "-", "--manifests", manifests, "--address", "auto")
    assert ended.code == 2
    assert ended.sentence == "mm: --address is for a cluster; add --engine ray"


def crops(directory, count):
    """Cut lines out of an example image."""
    directory.mkdir()
    with Image.open(ROOT / "examples" / "receipt.png") as image:
        for number in range(count):
            top = 20 + 20 * number
            image.crop((40, top, 240, top + 40)).save(directory / f"{number}.png")


@only_where(can_build("rapidocr"))
def test_both_embedded_models_say_on_ray_what_they_say_here(mm, three, workplace, tmp_path):
    crops(tmp_path / "crops", FEW)
    (tmp_path / "words").mkdir()
    for number in range(FEW):
        (tmp_path / "words" / f"{number}.txt").write_text(f"Number {number}.")
    for model, items in (("rapidocr", "crops"), ("hibari", "words")):
        found = {}
        for engine in ("local", "ray"):
            out = tmp_path / f"{model}-{engine}.jsonl"
            more = ["--engine", "ray", "--address", "local"] if engine == "ray" else []
            ended = mm("batch", model, items, "-o", out, "--workers", "2", *more)
            assert ended.code == 0, ended
            found[engine] = {line["input"]: line for line in map(comparable, lines_of(out))}
        assert found["ray"] == found["local"]
        assert len(found["ray"]) == FEW
    sounds = {
        engine: {
            path.name: path.read_bytes()
            for path in (tmp_path / f"hibari-{engine}.jsonl.files").glob("*.wav")
        }
        for engine in ("local", "ray")
    }
    assert sounds["ray"] == sounds["local"]
    assert len(sounds["ray"]) == FEW


def comparable(line):
    """Return a line without what differs from run to run: its seconds, and its files' folder."""
    text = re.sub(r"hibari-\w+\.jsonl\.files", "files", json.dumps(line))
    return {**json.loads(text), "seconds": None}
