"""`mm doctor` and `mm patch new`, run in this process on miniatures."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from orchestrator.cli.context import Context
from orchestrator.cli.main import command
from orchestrator.core.patching import Conditions, apply, read_patch_set
from orchestrator.errors import ManifestError, UsageError
from tests.models import Notes
from tests.unit.doctor.conftest import write
from tests.unit.doctor.rules.traces import TRACES

CUDA = "        return self.part(x.to(self.dtype))"


@pytest.fixture
def mm(mini, capsys):
    """Return a function that runs a command and returns its exit code and standard output."""

    def run(*arguments, manifests=()):
        run.notes = Notes()
        context = Context(
            variables=mini.workspace.variables,
            cwd=mini.workspace.cwd,
            manifests=manifests,
            reporter=run.notes,
        )
        capsys.readouterr()
        code = command.main(list(map(str, arguments)), "mm", standalone_mode=False, obj=context)
        return code or 0, capsys.readouterr().out

    return run


def test_a_clean_directory(mm, mini):
    code, out = mm("doctor", mini.directory, "--python", mini.python)
    assert code == 0
    assert (
        out.splitlines()[0]
        == f"{mini.directory}: on cpu in float32, transformers 4.46.3, torch 2.6.0"
    )
    assert "20 parameters in 2 tensors (F32 20)" in out
    assert out.endswith("nothing is wrong\n")


def test_a_directory_with_findings(mm, mini):
    mini.edit("modeling_x.py", CUDA, f"        x = x.cuda()\n{CUDA}")
    code, out = mm("doctor", mini.directory, "--python", mini.python)
    assert code == 1
    assert "STOPS: modeling_x.py calls .cuda() once, in XModel.forward; self is at hand\n" in out
    assert "    modeling_x.py:37: x = x.cuda()\n" in out
    assert "    effect: " in out
    assert "    fix: a patch that replaces .cuda() by .to(self.device) (1 place)\n" in out
    assert "1 finding: 1 that will stop it; 1 can be fixed by patches" in out


def test_the_same_as_json(mm, mini):
    mini.edit("modeling_x.py", CUDA, f"        x = x.cuda()\n{CUDA}")
    code, out = mm("doctor", mini.directory, "--python", mini.python, "--json")
    document = json.loads(out)
    assert (code, document["version"]) == (1, 1)
    (found,) = document["findings"]
    assert found["layer"] == "device"
    assert found["evidence"] == [{"file": "modeling_x.py", "line": 37, "quote": "x = x.cuda()"}]
    assert set(found) == {
        "layer", "id", "effect", "finding", "evidence", "consequence", "remedy", "patch"
    }  # fmt: skip


def test_a_trace_is_explained_and_checked_against_the_model(mm, mini, tmp_path):
    trace = tmp_path / "trace.txt"
    trace.write_text(TRACES["cuda-assumed"])
    code, out = mm("doctor", "--error", trace)
    assert code == 1
    assert "it means: The code asks for a CUDA GPU" in out
    assert "where: " in out
    assert "fix: send everything where the model is: mm patch new MODEL" in out
    _, out = mm("doctor", mini.directory, "--error", trace)
    assert "fix: send everything where the model is, by a patch of your own" in out
    assert "nothing of the kind was found" in out
    mini.edit("modeling_x.py", CUDA, f"        x = x.cuda()\n{CUDA}")
    _, out = mm("doctor", mini.directory, "--error", trace)
    assert "fix: a patch that replaces .cuda() by .to(self.device) (1 place)" in out
    assert f"found in {mini.directory}:\n    STOPS: modeling_x.py calls .cuda() once" in out


def test_a_trace_from_standard_input_as_json(mm, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(TRACES["module-missing"].encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    _, out = mm("doctor", "--error", "-", "--json")
    (found,) = json.loads(out)["explanations"]
    assert (found["id"], found["layer"], found["confirmed"]) == (
        "module-missing",
        "environment",
        [],
    )


def test_an_unknown_failure(mm, tmp_path):
    (tmp_path / "trace.txt").write_bytes(b"Boom \xff\n")
    assert mm("doctor", "--error", tmp_path / "trace.txt") == (
        0,
        "no known failure is in this text; docs/doctor.md says how to add one\n",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor", "no-such-model"],
        ["doctor", "no/such/directory"],
        ["doctor", "--run"],
        ["doctor", "--error", "no-such-file"],
        ["doctor", ".", "--python", "/nowhere/bin/python"],
        ["doctor", ".", "--run"],
        ["doctor", ".", "--device", "gpu"],
        ["doctor", ".", "--dtype", "fp16"],
    ],
)
def test_what_is_asked_wrongly(mm, arguments):
    with pytest.raises(UsageError):
        mm(*arguments)


def test_a_table_of_ones_own(mm, tmp_path):
    table = """\
name: mine
failures:
  - {id: full, pattern: the tray is full, layer: run, means: There is paper in it, remedy: empty it}
"""
    write(tmp_path / "given" / "doctor", {"mine.yaml": table})
    (tmp_path / "trace.txt").write_text("OSError: the tray is full\n")
    code, out = mm("doctor", "--error", tmp_path / "trace.txt", manifests=(tmp_path / "given",))
    assert (code, "fix: empty it" in out) == (1, True)
    write(tmp_path / "given" / "doctor", {"mine.yaml": table.replace("means", "moans")})
    with pytest.raises(ManifestError, match=r"mine\.yaml:3: failures\[0\]\.moans: unknown key"):
        mm("doctor", "--error", tmp_path / "trace.txt", manifests=(tmp_path / "given",))


# mm patch new


def test_a_draft_has_a_patch_for_each_finding_and_mends_them(mm, mini):
    casts = f"        x = x.cuda()\n        x = x.to(torch.bfloat16)\n{CUDA}"
    mini.edit("modeling_x.py", CUDA, casts)
    mini.configure(attn_implementation="flash_attention_2")
    found = mini.look().findings
    assert len(found) == 3
    code, _ = mm("patch", "new", mini.directory, "--python", mini.python, "-o", "draft.yaml")
    assert code == 0
    path = mini.workspace.cwd / "draft.yaml"
    made = read_patch_set(path.read_bytes(), file="draft.yaml", stem="draft")
    assert len(made.patches) == 3
    assert all(len(patch.why) > 20 for patch in made.patches)
    patched = apply(
        [made],
        lambda name: Path(mini.directory, name).read_bytes(),
        Conditions("cpu", "float32", {"transformers": "4.46.3"}),
    )
    assert patched.conflicts == ()
    write(mini.directory, dict(patched.files))
    assert mini.findings() == []
    # And nothing was written but the draft.
    assert [each.name for each in mini.workspace.cwd.iterdir()] == ["draft.yaml"]


def test_patches_of_a_draft_have_names_of_their_own(mm, mini):
    for name in ("config.json", "part/config.json"):
        write(mini.directory, {name: '{"dtype": "bfloat32"}'})
    _, out = mm("patch", "new", mini.directory, "-o", "-")
    made = read_patch_set(out.encode(), file="mini-draft.yaml", stem="mini-draft")
    assert [(patch.id, patch.file) for patch in made.patches] == [
        ("dtype-dtype", "config.json"),
        ("dtype-dtype-2", "part/config.json"),
    ]


def test_a_draft_of_long_and_odd_expressions(mm, mini):
    text = "'a: b # c', \"d\", {1: [2]}, " + ", ".join(f"some_long_name_{n}" for n in range(20))
    statement = f"        x = torch.zeros({text}, device='cuda')\n"
    mini.edit("modeling_x.py", CUDA, f"{statement}{CUDA}")
    _, out = mm("patch", "new", mini.directory, "--python", mini.python, "-o", "-")
    made = read_patch_set(out.encode(), file="mini-draft.yaml", stem="mini-draft")
    (pair,) = made.patches[0].python.replace.items()
    assert pair[1] == pair[0].replace("device='cuda'", "device=self.device")


def test_names_of_files_are_printed_without_control_characters(mm, mini):
    write(mini.directory, {"a\x1b[31m.safetensors": b""})
    _, out = mm("doctor", mini.directory, "--python", mini.python)
    assert "\x1b" not in out
    assert "a?[31m.safetensors" in out


def test_a_draft_overwrites_nothing(mm, mini):
    mini.edit("modeling_x.py", CUDA, f"        x = x.cuda()\n{CUDA}")
    write(mini.workspace.cwd, {"mini-draft.yaml": "mine"})
    with pytest.raises(UsageError, match="is there already"):
        mm("patch", "new", mini.directory)
    assert (mini.workspace.cwd / "mini-draft.yaml").read_text() == "mine"


def test_there_is_nothing_to_draft(mm, mini):
    with pytest.raises(UsageError, match="no finding about"):
        mm("patch", "new", mini.directory, "--python", mini.python)


@pytest.mark.parametrize("name", ["draft.txt", "Not A Name.yaml"])
def test_a_name_that_no_patch_set_can_have(mm, mini, name):
    mini.edit("modeling_x.py", CUDA, f"        x = x.cuda()\n{CUDA}")
    with pytest.raises(UsageError):
        mm("patch", "new", mini.directory, "-o", name)


def test_a_draft_on_standard_output_tells_what_it_leaves(mm, mini):
    mini.edit("modeling_x.py", CUDA, f"        x = x.cuda()\n{CUDA}")
    (mini.directory / "model.safetensors").unlink()
    _, out = mm("patch", "new", mini.directory, "-o", "-")
    assert out.startswith("# A draft from mm doctor")
    assert any("no patch fixes: config.json is here" in note for note in mm.notes.notes)
