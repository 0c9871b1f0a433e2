"""Statements put into functions, whatever the file looks like."""

from __future__ import annotations

import pytest

from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.source_text import decode_python
from orchestrator.core.patching.statements import insert

CODE = "x = x + 1"


def edited(text: str, function: str = "f", code: str = CODE, *, at_end: bool = False) -> str:
    found = insert(decode_python(text.encode()), function, code, at_end=at_end)
    again = insert(found.result, function, code, at_end=at_end)
    assert (again.matches, again.there) == (0, found.matches + found.there)
    assert again.result.text == found.result.text
    return found.result.encoded().decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(x):\n    return x\n", "def f(x):\n    x = x + 1\n    return x\n"),
        ("def f(x):\r\n\treturn x\r\n", "def f(x):\r\n\tx = x + 1\r\n\treturn x\r\n"),
        ("def f(x):\r  return x\r", "def f(x):\r  x = x + 1\r  return x\r"),
        ("def f(x):\n    return x", "def f(x):\n    x = x + 1\n    return x"),
        ("def f(x): return x\n", "def f(x):\n    x = x + 1\n    return x\n"),
        ("def f(x): a = x; return a", "def f(x):\n    x = x + 1\n    a = x; return a"),
        ("def f(x):\n  'doc'; return x\n", "def f(x):\n  'doc';\n  x = x + 1\n  return x\n"),
        ("def f(x): 'doc'\n", "def f(x):\n    'doc'\n    x = x + 1\n"),
        (
            'def f(x):\n    """\n    def f(x):\n    """\n    # why\n    return x\n',
            'def f(x):\n    """\n    def f(x):\n    """\n    # why\n    x = x + 1\n    return x\n',
        ),
        (
            "def f(x):\n    @g\n    def h(): pass\n    return h\n",
            "def f(x):\n    x = x + 1\n    @g\n    def h(): pass\n    return h\n",
        ),
        (
            "\x0cdef f(x):\n\x0c    return 'é'\n",
            "\x0cdef f(x):\n    x = x + 1\n\x0c    return 'é'\n",
        ),
        (
            "if a:\n  async def f(x):\n    return x\n",
            "if a:\n  async def f(x):\n    x = x + 1\n    return x\n",
        ),
    ],
)
def test_prepend(before, after):
    assert edited(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(x):\n    y = x\n\nz = 1\n", "def f(x):\n    y = x\n    x = x + 1\n\nz = 1\n"),
        ("def f(x):\r\n  y = x", "def f(x):\r\n  y = x\r\n  x = x + 1"),
        ("def f(x): y = x  # c\n", "def f(x):\n    y = x  # c\n    x = x + 1\n"),
        ("def f(x): y = x", "def f(x):\n    y = x\n    x = x + 1"),
        (
            "def f(x):\n\tif x:\n\t\ty = (x,\n 1)\n# after\n",
            "def f(x):\n\tif x:\n\t\ty = (x,\n 1)\n\tx = x + 1\n# after\n",
        ),
        ("def f(x):\n  '''d'''\n", "def f(x):\n  '''d'''\n  x = x + 1\n"),
    ],
)
def test_append(before, after):
    assert edited(before, at_end=True) == after


def test_lines_of_a_block_keep_their_own_indentation():
    code = "if x:\n    y = 1\n\nz = 2\n"
    text = "class C:\n\tdef f(self, x):\n\t\treturn x\n"
    assert edited(text, "C.f", code) == (
        "class C:\n\tdef f(self, x):\n\t\tif x:\n\t\t    y = 1\n\n\t\tz = 2\n\t\treturn x\n"
    )


def test_functions_are_told_apart_by_their_whole_name():
    text = "class A:\n  def f(x): pass\nclass B:\n  def f(x): pass\ndef f(x): pass\n"
    assert edited(text, "B.f").count("x = x + 1") == 1
    assert edited(text, "B.f").index("x = x + 1") > text.index("class B")


def test_every_definition_of_a_name_is_edited():
    text = "try:\n  def f(x): return 1\nexcept E:\n  def f(x): return 2\n"
    assert edited(text).count("x = x + 1") == 2


def test_bytes_outside_the_edit_stay():
    data = b"\xef\xbb\xbf# -*- coding: utf-8 -*-\r\n\x0c\r\ndef f(x):\r\n  return '\xc3\xa9'"
    made = insert(decode_python(data), "f", CODE, at_end=False).result.encoded()
    assert made == data.replace(b"  return", b"  x = x + 1\r\n  return")


def test_an_encoding_line_is_respected():
    data = "# coding: latin-1\ndef f(x):\n  return 'é'\n".encode("latin-1")
    made = insert(decode_python(data), "f", CODE, at_end=False).result.encoded()
    assert made == data.replace(b"  return", b"  x = x + 1\n  return")


def test_a_character_without_a_place_in_the_encoding_is_a_misfit():
    data = b"# coding: latin-1\rdef f(x):\r  return 1\r"
    result = insert(decode_python(data), "f", "x = '…'", at_end=False).result
    with pytest.raises(PatchConflict, match="iso-8859-1"):
        result.encoded()


@pytest.mark.parametrize(
    ("text", "function", "code", "found"),
    [
        ("def g(x): pass\n", "f", CODE, "no such function"),
        ("class C:\n  @staticmethod\n  def f(x): pass\n", "C.f", "self.a = 1", "no self"),
        ("def f(x):\n  return x\n", "f", "y = '''a\nb'''", "something else"),
        ("def f(x: return\n", "f", CODE, "not Python"),
        ("def f(x): 'd'; return x\n", "f", CODE, "not Python"),
    ],
)
def test_misfits(text, function, code, found):
    with pytest.raises(PatchConflict, match=found):
        insert(decode_python(text.encode()), function, code, at_end=False)


def test_a_closure_knows_its_methods_self():
    text = "class C:\n  def m(self):\n    def f(x):\n      return x\n    return f\n"
    assert "self.a = 1" in edited(text, "C.m.f", "self.a = 1")
