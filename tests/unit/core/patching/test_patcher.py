"""Patch sets on files: outcomes, counts, conditions, and that a conflict changes nothing."""

from __future__ import annotations

import pytest

from orchestrator.core.canonical import digest_bytes
from orchestrator.core.patching import (
    Conditions,
    FileHashes,
    PatchSet,
    State,
    active,
    apply,
    drift,
    read_patch_set,
    unproved,
)

CPU = Conditions("cpu", "float32", {"transformers": "4.46.3"})

HEAD = """\
name: s
patches:
"""

DEVICE = """\
  - id: device
    why: The author assumed a GPU.
    file: model.py
    python: {replace: {".cuda()": ".to(self.device)"}}
    expect: 2
"""

DTYPE = """\
  - id: dtype
    why: Images arrive in another type.
    file: model.py
    python: {function: M.forward, prepend: "x = x.to(self.w.dtype)"}
    already: ["if x.dtype != self.w.dtype:"]
"""

CONFIG = """\
  - id: config
    why: So that every loader agrees.
    when: {dtype: float32}
    file: config.json
    json: {set: {torch_dtype: float32}}
"""

MODEL = b"""\
class M:
    def forward(self, x):
        a = x.cuda()
        return self.w(a.cuda())
"""

PATCHED = b"""\
class M:
    def forward(self, x):
        x = x.to(self.w.dtype)
        a = x.to(self.device)
        return self.w(a.to(self.device))
"""

FILES = {"model.py": MODEL, "config.json": b'{"torch_dtype": "bfloat16"}\n'}


def patch_set(*patches: str) -> PatchSet:
    return read_patch_set((HEAD + "".join(patches)).encode(), file="s.yaml", stem="s")


def states(result) -> list[str]:
    return [outcome.state.value for outcome in result.outcomes]


def test_a_fresh_directory_is_patched():
    result = apply([patch_set(DEVICE, DTYPE, CONFIG)], FILES.get, CPU)
    assert states(result) == ["applied"] * 3
    assert result.files == {"model.py": PATCHED, "config.json": b'{"torch_dtype": "float32"}\n'}


def test_a_patched_directory_stays_as_it_is():
    first = apply([patch_set(DEVICE, DTYPE, CONFIG)], FILES.get, CPU)
    again = apply([patch_set(DEVICE, DTYPE, CONFIG)], first.files.get, CPU)
    assert states(again) == ["already there"] * 3
    assert again.files == {}


def test_a_half_patched_file_is_completed():
    half = MODEL.replace(b"a = x.cuda()", b"a = x.to(self.device)")
    result = apply([patch_set(DEVICE)], {"model.py": half}.get, CPU)
    (outcome,) = result.outcomes
    assert (outcome.state, outcome.matches, outcome.there) == (State.APPLIED, 1, 1)
    assert result.files["model.py"] == MODEL.replace(b".cuda()", b".to(self.device)")


def test_an_alternative_counts_as_there():
    other = MODEL.replace(b"        a =", b"        if x.dtype!=self.w.dtype: pass\n        a =")
    result = apply([patch_set(DTYPE)], {"model.py": other}.get, CPU)
    assert states(result) == ["already there"]


def test_an_alternative_in_a_comment_or_another_function_does_not_count():
    other = MODEL.replace(b"        a =", b"        # if x.dtype != self.w.dtype:\n        a =")
    other += b"def other(self, x):\n    if x.dtype != self.w.dtype: pass\n"
    assert states(apply([patch_set(DTYPE)], {"model.py": other}.get, CPU)) == ["applied"]


@pytest.mark.parametrize(
    ("when", "state"),
    [
        ("{device: cpu}", "applied"),
        ("{device: cuda}", "not needed"),
        ("{device: cuda|cpu}", "applied"),
        ("{dtype: bfloat16}", "not needed"),
        ('{transformers: ">=4.48"}', "not needed"),
        ('{transformers: "<4.48"}', "applied"),
        ('{Transformers: "==4.46.*", device: cpu}', "applied"),
        ('{absent: ">=0"}', "not needed"),
    ],
)
def test_conditions(when, state):
    patched = patch_set(DEVICE.replace("    file:", f"    when: {when}\n    file:"))
    assert states(apply([patched], FILES.get, CPU)) == [state]
    assert active([patched], CPU) == (["s/device"] if state == "applied" else [])


def test_a_conflict_changes_nothing_and_says_what_was_found():
    gone = {**FILES, "model.py": MODEL.replace(b"a.cuda()", b"a.cpu()")}
    result = apply([patch_set(CONFIG, DEVICE, DTYPE)], gone.get, CPU)
    assert states(result) == ["applied", "conflict", "applied"]
    assert result.files == {}
    (conflict,) = result.conflicts
    assert conflict.where == "model.py"
    assert conflict.sentence == (
        "the patch device looked for '.cuda()' and found 1 place (0 already changed) instead of 2"
    )


def test_a_missing_file_is_a_conflict():
    (conflict,) = apply([patch_set(DEVICE)], {}.get, CPU).conflicts
    assert conflict.sentence == "the patch device looked for 'model.py' and found no such file"


def test_without_expect_one_match_is_wanted():
    loose = patch_set(DEVICE.replace("    expect: 2\n", ""))
    assert states(apply([loose], FILES.get, CPU)) == ["applied"]
    (conflict,) = apply([loose], {"model.py": b"x = 1\n"}.get, CPU).conflicts
    assert conflict.reason == "nothing like it"


def test_later_patches_see_what_earlier_ones_left():
    second = DEVICE.replace("id: device", "id: second").replace(
        '{".cuda()": ".to(self.device)"}', '{".to(self.device)": ".to(device=self.device)"}'
    )
    result = apply([patch_set(DEVICE, second)], FILES.get, CPU)
    assert states(result) == ["applied", "applied"]
    assert b"x.to(device=self.device)" in result.files["model.py"]


def test_two_patches_at_the_head_of_one_function_are_both_recognised():
    other = DTYPE.replace("id: dtype", "id: other").replace("x.to(self.w.dtype)", "x + 1")
    sets = [patch_set(DTYPE, other)]
    first = apply(sets, FILES.get, CPU)
    assert b"x):\n        x = x + 1\n        x = x.to(self.w.dtype)\n" in first.files["model.py"]
    assert states(apply(sets, first.files.get, CPU)) == ["already there"] * 2


def test_an_edit_that_would_not_settle_is_a_conflict():
    endless = """\
  - id: endless
    why: x
    file: notes.txt
    text: {replace: {"aa": "aba", "b": "aa"}}
"""
    (conflict,) = apply([patch_set(endless)], {"notes.txt": b"aaa"}.get, CPU).conflicts
    assert conflict.reason == "a place that would not be recognised once it is edited"


def test_an_edited_python_file_must_still_be_python():
    broken = """\
  - id: broken
    why: x
    file: model.py
    text: {replace: {"def forward": "def for ward"}}
"""
    (conflict,) = apply([patch_set(broken)], FILES.get, CPU).conflicts
    assert conflict.reason.startswith("not Python")


def test_what_was_proved_is_compared_with_what_is_installed():
    proved = read_patch_set(
        (HEAD + DEVICE + 'proved: {transformers: "==4.46.3"}\n').encode(), file="s.yaml", stem="s"
    )
    assert unproved([proved], CPU) is None
    newer = Conditions("cpu", "float32", {"transformers": "4.57.3"})
    assert unproved([proved], newer) == (
        "the patch set s was proved with transformers==4.46.3, and transformers is 4.57.3"
    )


def test_drift_is_what_neither_the_commit_nor_the_set_made():
    known = FileHashes(before=digest_bytes(MODEL), after=(digest_bytes(PATCHED),))
    patched = PatchSet(name="s", patches=(), commits={"c" * 40: {"model.py": known}})
    assert drift(patched, "c" * 40, {"model.py": MODEL}.get) == ()
    assert drift(patched, "c" * 40, {"model.py": PATCHED}.get) == ()
    assert drift(patched, None, {"model.py": b"else"}.get) == ()
    (found,) = drift(patched, "c" * 40, {"model.py": b"else"}.get)
    assert (found.file, found.found) == ("model.py", digest_bytes(b"else"))


def test_the_digest_of_a_set_is_of_what_it_says():
    assert patch_set(DEVICE).digest == patch_set("  # a comment\n", DEVICE).digest
    assert patch_set(DEVICE).digest != patch_set(DEVICE.replace("expect: 2", "expect: 3")).digest
