"""Expressions, links of chains and identifiers replaced."""

from __future__ import annotations

import pytest

from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.expressions import pattern_tree, rename, replace
from orchestrator.core.patching.source_text import decode_python


def edited(text: str, old: str, new: str, **more) -> tuple[str, int, int]:
    found = replace(decode_python(text.encode()), old, new, **more)
    again = replace(found.result, old, new, **more)
    assert (again.matches, again.there) == (0, found.matches + found.there)
    return found.result.encoded().decode(), found.matches, found.there


@pytest.mark.parametrize(
    ("before", "after", "matches"),
    [
        ("a.cuda()", "a.to(d)", 1),
        ("a.cuda().cuda()", "a.to(d).to(d)", 2),
        ("f(a.cuda(), (b).cuda()).cuda()", "f(a.to(d), (b).to(d)).to(d)", 3),
        ("a . cuda ( )", "a .to(d)", 1),
        (
            "(a  # .cuda()\n  .b\n  # c.d\n  .cuda(\n  ))",
            "(a  # .cuda()\n  .b\n  # c.d\n  .to(d))",
            1,
        ),
        ("a \\\n.cuda()", "a \\\n.to(d)", 1),
        ("é['ü'].cuda() + ß.cuda()", "é['ü'].to(d) + ß.to(d)", 2),
        ("a.cuda().to(d)", "a.to(d).to(d)", 1),
    ],
)
def test_links_keep_their_receiver(before, after, matches):
    made, count, _ = edited(before, ".cuda()", ".to(d)")
    assert (made, count) == (after, matches)


@pytest.mark.parametrize(
    "text", ["a.cuda(0)\n", "a.cuda\n", "'a.cuda()'\n", "# a.cuda()\n", "cuda()\n", "a.cuda = 1\n"]
)
def test_what_only_looks_alike_is_left(text):
    assert edited(text, ".cuda()", ".to(d)") == (text, 0, 0)


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        ("f( 1,'a' )", "f(1, 'a')", "g()", "g()"),
        ("a * f(x)", "f(x)", "b + c", "a * (b + c)"),
        ("y = f(f(x))", "f(x)", "x[0]", "y = f(x[0])"),
        ("a = cat(b, 0)", "cat(b, 0)", "cat(b, 0).to(c)", "a = cat(b, 0).to(c)"),
        ("eval(x); m.eval(); eval = 1", "eval", "__import__('ast').literal_eval",
         "__import__('ast').literal_eval(x); m.eval(); eval = 1"),
        ("with ac('cuda',  t=b): pass", "ac('cuda', t=b)", "ac('cpu')", "with ac('cpu'): pass"),
        ("x = 1 if a else True", "True", "b()", "x = 1 if a else b()"),
    ],
)  # fmt: skip
def test_expressions_match_by_tree(before, old, new, after):
    assert edited(before, old, new)[:2] == (after, 1)


def test_a_pattern_inside_its_own_replacement_is_there_already():
    text = "a = cat(b, 0).to(c)\nd = cat(b, 0)\n"
    assert edited(text, "cat(b, 0)", "cat(b, 0).to(c)") == (
        "a = cat(b, 0).to(c)\nd = cat(b, 0).to(c)\n", 1, 1,
    )  # fmt: skip
    assert edited("a.cuda().cuda().float()", ".cuda()", ".cuda().float()") == (
        "a.cuda().float().cuda().float()", 1, 1,
    )  # fmt: skip


def test_an_edit_can_be_limited_to_a_function():
    text = "def f():\n  a.cuda()\ndef g():\n  a.cuda()\n"
    made, matches, there = edited(text, ".cuda()", ".to(d)", function="g")
    assert made == "def f():\n  a.cuda()\ndef g():\n  a.to(d)\n"
    assert (matches, there) == (1, 0)


def test_alternatives_count_outside_the_places_that_are_edited():
    text = "a.to(dev)\nb.cuda()\nc.to(d)\n"
    _, matches, there = edited(text, ".cuda()", ".to(d)", already=[".to( dev )", ".to(d)"])
    assert (matches, there) == (1, 2)


METHODS = """\
class C:
    y = lambda self: {0}
    def method(self, a={1}):
        f = lambda z: {2}
        def inner(z):
            return {3}
    @staticmethod
    def static(z):
        return {4}
    @classmethod
    def made(cls):
        return {5}
    def local(self):
        class D:
            x = {6}
            def m(this):
                return {7}
        return [{8} for _ in z]
    @wrap({9})
    def decorated(self): pass
def function(self):
    return {10}
{11}
"""


@pytest.mark.parametrize("place", range(12))
def test_self_must_be_known_where_the_edit_uses_it(place):
    text = METHODS.format(*("z.cuda()" if each == place else "z" for each in range(12)))
    source = decode_python(text.encode())
    if place in {0, 2, 3, 8, 10}:
        assert replace(source, ".cuda()", ".to(self.device)").matches == 1
    else:
        with pytest.raises(PatchConflict, match="self is not known"):
            replace(source, ".cuda()", ".to(self.device)")


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [("f'{a.cuda()}'\n", ".cuda()", ".to(d)"), ("f'''\n{g(1)} {g(1)!r:>{g(1)}}'''", "g(1)", "h()")],
)
def test_a_place_in_an_f_string_is_a_misfit(text, old, new):
    with pytest.raises(PatchConflict, match="f-string"):
        replace(decode_python(text.encode()), old, new)


def test_a_replacement_that_binds_differently_is_a_misfit():
    # The parentheses of the call belong to the generator as well.
    with pytest.raises(PatchConflict, match=r"something else|not Python"):
        replace(decode_python(b"f(x for x in y)\n"), "(x for x in y)", "z")


def test_rename_changes_names_and_nothing_else():
    text = (
        "from m import (Old,\r\n  O)\r\nx = {'Old': Old}  # Old\r\nf(Old=Old.Old)\r\ny = f'Old'\r\n"
    )
    found = rename(decode_python(text.encode()), "Old", "Newer")
    assert found.matches == 5
    assert found.result.text == (
        "from m import (Newer,\r\n  O)\r\nx = {'Old': Newer}  # Old\r\nf(Newer=Newer.Newer)\r\n"
        "y = f'Old'\r\n"
    )
    again = rename(found.result, "Old", "Newer")
    assert (again.matches, again.there) == (0, 5)


def test_rename_in_an_f_string_is_a_misfit():
    with pytest.raises(PatchConflict, match="f-string"):
        rename(decode_python(b"a = f'{Old}'\n"), "Old", "New")


@pytest.mark.parametrize("text", ["x = 1", "", ".", ".a b", "a b", ".a + b", ".a if b else c"])
def test_what_is_no_expression_is_a_misfit(text):
    with pytest.raises(PatchConflict):
        pattern_tree(text)


@pytest.mark.parametrize("data", [b"a\0b", b"# coding: none-such\n", b"\xff\xfe", b"x = (\n"])
def test_files_that_are_not_python_are_misfits(data):
    with pytest.raises(PatchConflict):
        replace(decode_python(data), "a", "b()")
