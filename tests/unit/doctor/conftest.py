"""Models in miniature, each well made but for what a test does to it, and a world to look at them.

Nothing here is imported or run; the packages are a few files that read as transformers' do.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.catalog.directories import builtin_directory
from orchestrator.doctor import CheckOptions, Layer, examine, load_tables
from orchestrator.doctor.gather import directory_subject
from orchestrator.environments.store import Store
from orchestrator.workspace import Workspace
from tests import models

MODELING = '''\
"""A model that asks nothing of the machine that it does not have."""

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from .configuration_x import XConfig

try:
    from flash_attn import flash_attn_func
except ImportError:
    flash_attn_func = None


class Part(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.line = nn.Linear(config.size, config.size)

    def forward(self, x):
        return self.line(x)


class XModel(PreTrainedModel):
    config_class = XConfig

    def __init__(self, config):
        super().__init__(config)
        self.part = Part(config)

    def forward(self, x, past_key_values=None):
        if past_key_values is None:
            past_key_values = DynamicCache()
        if torch.cuda.is_available():
            x = x.cuda()
        return self.part(x.to(self.dtype))
'''
CONFIGURATION = """\
from transformers import PretrainedConfig


class XConfig(PretrainedConfig):
    model_type = "x"
"""
CONFIG = {
    "architectures": ["XModel"],
    "auto_map": {"AutoConfig": "configuration_x.XConfig", "AutoModel": "modeling_x.XModel"},
    "model_type": "x",
    "torch_dtype": "float32",
    "text_config": {"torch_dtype": "float32"},
}

TRANSFORMERS = {
    "__init__.py": """\
from typing import TYPE_CHECKING
from .utils import _LazyModule
__version__ = "VERSION"
_import_structure = {"cache_utils": [], "configuration_utils": ["PretrainedConfig"]}
try:
    pass
except ImportError:
    pass
else:
    _import_structure["cache_utils"].extend(["Cache", "DynamicCache"])
    _import_structure["modeling_utils"] = ["PreTrainedModel"]
if TYPE_CHECKING:
    from .cache_utils import Cache
else:
    import sys
    sys.modules[__name__] = _LazyModule(__name__, globals()["__file__"], _import_structure)
""",
    "utils.py": "class _LazyModule: pass\n",
    "configuration_utils.py": "class PretrainedConfig: pass\n",
    "modeling_utils.py": "class PreTrainedModel: pass\n",
    "cache_utils.py": """\
class Cache:
    def get_seq_length(self): ...
    def seen_tokens(self): ...
class DynamicCache(Cache): pass
""",
    "models/__init__.py": "",
    "models/llama/__init__.py": "",
    "models/llama/modeling_llama.py": """\
class LlamaAttention: pass
class LlamaFlashAttention2(LlamaAttention): pass
""",
}


def safetensors(tensors, dtype="F32", width=4):
    """Return a file whose tensors, sizes by name, are zeros."""
    header, position = {}, 0
    for name, count in tensors.items():
        end = position + count * width
        header[name] = {"dtype": dtype, "shape": [count], "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(position)


def write(directory, files):
    for name, text in files.items():
        path = Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


@dataclass
class Mini:
    """One model in miniature, and how to look at it."""

    directory: Path
    workspace: Workspace
    python: Path

    def edit(self, name, old, new):
        path = self.directory / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def configure(self, **keys):
        path = self.directory / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **keys}, indent=1))

    def subject(self, device="cpu", dtype="auto"):
        options = CheckOptions(device, dtype, self.python and str(self.python))
        return directory_subject(self.workspace, self.directory, options, table())

    def look(self, *arguments, layers=tuple(Layer)):
        return examine(self.subject(*arguments), layers)

    def findings(self, *arguments, **keywords):
        """Return each finding as its layer, effect and sentence."""
        return [
            (each.layer.value, each.effect.value, each.finding)
            for each in self.look(*arguments, **keywords).findings
        ]

    def only(self, layer, *arguments, **keywords):
        """Return the one finding there is, which must be of `layer`."""
        report = self.look(*arguments, **keywords)
        assert [each.layer.value for each in report.findings] == [layer], report.findings
        return report.findings[0]


def table():
    from orchestrator.catalog.directories import ManifestDirectory, Origin

    return load_tables([ManifestDirectory(builtin_directory(), Origin.BUILT_IN)])


def packages(site, version="4.46.3", files=None, more=("torch",)):
    """Write what looks like an environment's packages."""
    files = TRANSFORMERS if files is None else files
    write(
        site / "transformers",
        {name: text.replace("VERSION", version) for name, text in files.items()},
    )
    for name, number in (("transformers", version), ("torch", "2.6.0")):
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
        record = "".join(f"{name}/{file},,\n" for file in (files if name == "transformers" else ()))
        write(site / f"{name}-{number}.dist-info", {"METADATA": metadata, "RECORD": record})
    for name in more:
        write(site / name, {"__init__.py": "def __getattr__(name): ...\n"})


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "project").mkdir()
    return Workspace(
        variables={"HOME": str(tmp_path / "home"), "MM_HOME": str(tmp_path / "mm-home")},
        cwd=tmp_path / "project",
    )


@pytest.fixture
def mini(tmp_path, workspace):
    """A clean model in an environment that has all it asks for."""
    directory = tmp_path / "models" / "mini"
    write(
        directory,
        {
            "modeling_x.py": MODELING,
            "configuration_x.py": CONFIGURATION,
            "config.json": json.dumps(CONFIG, indent=1),
            "model.safetensors": safetensors({"part.line.weight": 16, "part.line.bias": 4}),
        },
    )
    packages(tmp_path / "env" / "lib" / "python3.12" / "site-packages")
    return Mini(directory, workspace, tmp_path / "env" / "bin" / "python")


@pytest.fixture
def another_environment(workspace):
    """Return a function that makes what looks like a built environment with a transformers."""

    def make(version, files, model="other"):
        store = Store(workspace.home)
        digest = version.replace(".", "").ljust(64, "a")
        path = models.built(store, digest, model)
        marker = models.marker(path, digest, model)
        marker.packages["transformers"] = version
        store.publish(path, marker)
        packages(path / "lib" / "python3.12" / "site-packages", version, files)
        return path

    return make
