"""Patch sets read from YAML, with file, line and key in every refusal."""

from __future__ import annotations

import pytest

from orchestrator.core.patching import read_patch_set
from orchestrator.errors import ManifestError

GOOD = """\
name: s
proved: {transformers: "==4.46.3"}
commits:
  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:
    m.py:
      before: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
patches:
  - id: p
    why: Because.
    when: {device: cpu|mps, torch: ">=2"}
    file: sub/m.py
    python: {replace: {".cuda()": ".cpu()"}}
    expect: 1
"""


def problem(text: str) -> str:
    """Return the first problem of a patch set, or nothing."""
    try:
        read_patch_set(text.encode(), file="s.yaml", stem="s")
    except ManifestError as error:
        return str(error)
    return ""


def test_a_good_set_has_no_problem():
    assert problem(GOOD) == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: s", "name: t", "s.yaml:1: name: 't' is not the file's name"),
        ("why: Because.", "why: ' '", "s.yaml:9: patches[0].why: is empty"),
        ("    why: Because.\n", "", "patches[0].why: this key is missing"),
        ("sub/m.py", "../m.py", "file: '../m.py' is not a file inside the model's directory"),
        ("sub/m.py", "/m.py", "is not a file inside"),
        ("device: cpu|mps", "device: gpu", "when.device: 'gpu' is not one of cuda, cpu, mps"),
        ('torch: ">=2"', 'torch: "2"', "when.torch: '2' is not a range of versions"),
        ('torch: ">=2"', 'torch/x: ">=2"', "neither device, dtype nor a package"),
        ("expect: 1", "expect: 0", "s.yaml:13: patches[0].expect: must be 1 or more"),
        ('{".cuda()": ".cpu()"}', '{".cuda()": "cpu()"}', "both sides begin with a dot"),
        ('{".cuda()": ".cpu()"}', '{"a(": "b"}', "'a(' is no expression"),
        ('{".cuda()": ".cpu()"}', '{".a": ".a"}', "is replaced by itself"),
        ('{".cuda()": ".cpu()"}', "{}", "is one of prepend, append, rename and replace"),
        ("replace: {", "rename: {", "'.cuda()' is not an identifier"),
        ('replace: {".cuda()": ".cpu()"}', "prepend: x = 1", "says no function"),
        ('replace: {".cuda()": ".cpu()"}', "function: f, prepend: x =", "not Python"),
        ('replace: {".cuda()": ".cpu()"}', "function: f, prepend: '# x'", "holds no statement"),
        ("expect: 1", "json: {set: {a: 1}}", "a patch has one edit"),
        ('python: {replace: {".cuda()": ".cpu()"}}', "json: {set: {a..b: 1}}", "not a path"),
        ('python: {replace: {".cuda()": ".cpu()"}}', "text: {replace: {a: ''}}", "empty text"),
        ("python:", "pyton:", "unknown key"),
        ('"==4.46.3"', "4.46", "write the value as a string"),
        ("proved: {transformers", "proved: {device", "proved.device: "),
        ("  aaaaaaaaaa", "  bcd", "is not a whole commit"),
        ("before: aaaa", "before: bbb", "is not a SHA-256"),
    ],
)
def test_problems_name_file_line_and_key(old, new, said):
    assert old in GOOD
    found = problem(GOOD.replace(old, new, 1))
    assert said in found
    assert found.startswith("s.yaml:")


def test_an_id_may_stand_once():
    twice = GOOD + GOOD[GOOD.index("  - id") :]
    assert problem(twice) == "s.yaml:14: patches[1].id: 'p' stands here twice"


def test_a_replacement_that_is_everywhere_needs_a_count():
    text = GOOD.replace('{".cuda()": ".cpu()"}', "{f(x): None}")
    assert problem(text) == ""
    found = problem(text.replace("    expect: 1\n", ""))
    assert "too common to be recognised; say how many with expect" in found
