"""What holds for every file: idempotence, and that edits elsewhere change no outcome silently."""

from __future__ import annotations

import ast
import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.patching import Conditions, State, apply, json_edits, read_patch_set
from orchestrator.core.patching.source_text import decode_text

SET = read_patch_set(
    b"""\
name: s
patches:
  - id: device
    why: x
    file: m.py
    python: {replace: {".cuda()": ".to(self.device)"}}
    expect: 3
  - id: head
    why: x
    file: m.py
    python:
      function: C.forward
      prepend: |
        if x is None:
            raise ValueError("x")
  - id: tail
    why: x
    file: m.py
    python: {function: C.done, append: "self.finished = True"}
  - id: cat
    why: x
    file: m.py
    python: {replace: {"cat(y, dim=0)": "cat(y, dim=0).to(x.dtype)"}}
    expect: 1
  - id: name
    why: x
    file: m.py
    python: {rename: {Old: New}}
    expect: 2
""",
    file="s.yaml",
    stem="s",
)
ANY = Conditions("cpu", "float32")

ANCHORS = [
    ("from .a import Old\n", "from .a import New\n"),
    ("TABLE = {'Old': Old}\n", "TABLE = {'Old': New}\n"),
    (
        "class C:\n    def forward(self, x):\n        y = [x . cuda(), g(x.cuda( ))]\n",
        ("class C:\n    def forward(self, x):\n        if x is None:\n            raise ValueError("
        '"x")\n        y = [x .to(self.device), g(x.to(self.device))]\n'),
    ),
    ("        return cat(y,\n  dim=0)\n", "        return cat(y, dim=0).to(x.dtype)\n"),
    (
        "    def done(self):\n        return [z.cuda() for z in self.all]\n",
        ("    def done(self):\n        return [z.to(self.device) for z in self.all]\n"
        "        self.finished = True\n"),
    ),
]  # fmt: skip

TOP_NOISE = [
    "", "# x.cuda() Old\n", "\x0c\n", "def forward(self, x): return x\n", "'''.cuda()\nOld'''\n",
    "é = 'ü' + \"Old\"\n", "class D:\n\tdef forward(self, x):\n\t\treturn x  # Old\n", "\n\n",
    "if é:\n  def done(self): pass\nelse: done = 1\n", "x = f'{1} Old'\n", "s.cuda; cuda()\n",
]  # fmt: skip
INNER_NOISE = ["", "        # x.cuda()\n", "\n", "        'Old'; é = 1; w = cat(y)\n", "   \x0c \n"]
ANY_NOISE = ["", "# Old.cuda()\n", "\n", " \t\x0c\n"]


def assembled(edited: int, noise: list[str]) -> str:
    parts = [noise[0], ANCHORS[0][edited], noise[1], ANCHORS[1][edited], noise[2],
             ANCHORS[2][edited], noise[3], ANCHORS[3][edited], noise[4], ANCHORS[4][edited],
             noise[5]]  # fmt: skip
    return "".join(parts)


@st.composite
def noises(draw):
    top = st.lists(st.sampled_from(TOP_NOISE), max_size=3).map("".join)
    inner = st.lists(st.sampled_from(INNER_NOISE), max_size=3).map("".join)
    either = st.lists(st.sampled_from(ANY_NOISE), max_size=3).map("".join)
    return [draw(each) for each in (top, top, top, inner, either, top)]


@st.composite
def dressed(draw):
    """Return how a file's text becomes its bytes."""
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    unended = draw(st.booleans())

    def dress(text: str) -> bytes:
        text = text.rstrip("\n \t\x0c") if unended else text
        return mark + text.replace("\n", newline).encode()

    return dress


def run(data: bytes):
    return apply([SET], {"m.py": data}.get, ANY)


@settings(max_examples=60, deadline=None)
@given(noises(), dressed())
def test_what_stands_around_the_places_changes_nothing(noise, dress):
    result = run(dress(assembled(0, noise)))
    assert [each.state for each in result.outcomes] == [State.APPLIED] * 5
    assert result.files["m.py"] == dress(assembled(1, noise))


@settings(max_examples=30, deadline=None)
@given(noises(), dressed(), st.sets(st.integers(0, 4)))
def test_half_patched_files_end_like_fresh_ones(noise, dress, done):
    mixed = [(pair[1], pair[1]) if i in done else pair for i, pair in enumerate(ANCHORS)]
    text = "".join(
        part for i, pair in enumerate(mixed) for part in (noise[i], pair[0])
    ) + noise[5]  # fmt: skip
    result = run(dress(text))
    assert not result.conflicts
    made = result.files.get("m.py", dress(text))
    assert made == dress(assembled(1, noise))
    again = run(made)
    assert again.files == {}
    assert {each.state for each in again.outcomes} == {State.ALREADY}


@settings(max_examples=80, deadline=None)
@given(noises(), dressed(), st.integers(0, 2**32), st.integers(1, 3))
def test_random_damage_is_a_conflict_or_a_whole_patch(noise, dress, seed, edits):
    data = bytearray(dress(assembled(0, noise)))
    rng = random.Random(seed)
    for _ in range(edits):
        at = rng.randrange(len(data))
        data[at : at + rng.randrange(3)] = rng.choice(
            [b"", b"#", b"(", b"x", b"'", b"\n", b".", b" "]
        )
    result = run(bytes(data))
    if result.conflicts:
        assert result.files == {}
        return
    by_id = {each.patch.id: each for each in result.outcomes}
    assert by_id["device"].matches + by_id["device"].there == 3
    made = result.files["m.py"]
    ast.parse(made.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    assert made.count(b".to(self.device)") - bytes(data).count(b".to(self.device)") == (
        by_id["device"].matches
    )
    assert {each.state for each in run(made).outcomes} == {State.ALREADY}


def json_values(depth: int = 2):
    scalars = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5)
    if not depth:
        return scalars
    inner = json_values(depth - 1)
    return scalars | st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)


KEYS = st.text(st.characters(exclude_characters="."), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(KEYS, json_values(), max_size=4),
    KEYS,
    json_values(),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
)
def test_json_is_set_and_deleted_and_nothing_else_moves(data, key, value, indent, ascii_only):
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    source = decode_text(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode())
    data = json.loads(source.text)
    found = json_edits.set_value(source, key, value)
    assert json.loads(found.result.text) == {**data, key: value}
    assert json_edits.set_value(found.result, key, value).matches == 0
    gone = json_edits.delete(found.result, key)
    assert json.loads(gone.result.text) == {k: v for k, v in data.items() if k != key}
    if key not in data:
        others = json.dumps(data)
        assert json.dumps(json.loads(gone.result.text)) == others
