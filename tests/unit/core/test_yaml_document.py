"""Reading YAML: the core rules of YAML 1.2, lines, and everything that is refused."""

from __future__ import annotations

import json
import math
import re

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.core import yaml_document
from orchestrator.core.yaml_document import Document, dotted, parse, scalar
from orchestrator.errors import ManifestError


def read(text: str) -> Document:
    return parse(text.encode("utf-8"), "x.yaml")


def refusal(text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    with pytest.raises(ManifestError) as caught:
        parse(data, "x.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("1:30", "1:30"), ("1_000", "1_000"), ("2020-01-01", "2020-01-01"), ("3.10.1", "3.10.1"),
        ("0b1", "0b1"), ("+0x1", "+0x1"), ("0o8", "0o8"), (".", "."), ("-", "-"), ("e5", "e5"),
        ("=", "="), ("nan", "nan"), ("tRue", "tRue"), ("\u0661", "\u0661"),
        ("true", True), ("True", True), ("TRUE", True), ("false", False), ("FALSE", False),
        ("null", None), ("Null", None), ("NULL", None), ("~", None), ("", None),
        ("7", 7), ("-7", -7), ("+7", 7), ("007", 7), ("0o17", 15), ("0xfF", 255),
        ("3.10", 3.1), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("-1.5E-2", -0.015),
        (".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_core_rules(text: str, value: object) -> None:
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(scalar(".nan"))


@given(st.integers(min_value=-(10**60), max_value=10**60))
def test_integers_are_read_back(number: int) -> None:
    assert scalar(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_read_back(number: float) -> None:
    assert scalar(json.dumps(number)) == number


CORE_NUMBER = re.compile(
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
"""The expressions of YAML 1.2.2, section 10.3.2."""


@given(st.text(alphabet="+-.0123456789abcdefoxEinfNIF_:", max_size=12))
def test_what_the_core_rules_do_not_name_is_text(text: str) -> None:
    if text and not CORE_NUMBER.fullmatch(text):
        assert scalar(text) == text
    elif text:
        assert isinstance(scalar(text), (int, float))


@given(st.text())
def test_a_quoted_scalar_is_always_text(text: str) -> None:
    text = text.replace("\0", "")
    quoted = json.dumps(text)  # JSON's strings are YAML's, surrogate pairs apart
    if not any(ord(char) > 0xFFFF for char in text):
        assert read(f"a: {quoted}").data == {"a": text}


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)),
    lambda values: (
        st.lists(values, max_size=4)
        | st.dictionaries(st.text("abc<", min_size=1, max_size=5), values, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_json_is_read_as_what_it_is(value: object) -> None:
    assert read(json.dumps(value)).data == value


@pytest.mark.parametrize("parser", [None, yaml.Loader], ids=["libyaml", "python"])
@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
@example(b"a: \x00")
@example("a: \ud7ff\ufffe".encode())
@example(b'a: "\\ud800"')
@example(b'a: "\\UFFFFFFFF"')
@example(b"[" * 5000)
@example(b"{a: " * 5000)
@example(b"- " * 5000)
@example(b"? " * 5000)
@example(b"&a [*a]")
@example(b"%TAG ! x\n---\n!a b")
@example(b"\xff\xfea\x00:\x00")
def test_any_bytes_give_a_document_or_an_error_with_the_file(
    parser: type[yaml.Loader] | None, data: bytes
) -> None:
    try:
        document = parse(data, "x.yaml", parser)
    except ManifestError as error:
        document = error
    assert isinstance(document, Document) or document.where.startswith("x.yaml")


def test_the_parser_in_python_reads_the_same() -> None:
    text = "a: [1, no, '3']\nb:\n  c: |\n    x\n    \ty\n"
    assert parse(text.encode(), "x.yaml", yaml.Loader) == read(text)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a:\n\t- b\n", "x.yaml:2: a tab indents this line"),
        ('a: "\\ud800"', "x.yaml:1: a: holds a character"),
        ('a: "\\UFFFFFFFF"', "x.yaml"),
        ("a: !!python/object x", "x.yaml:1: a: a YAML tag (!!python/object)"),
        ("a: b\n---\nc: d\n", "x.yaml:2: a second YAML document"),
    ],
)
def test_the_parser_in_python_refuses_the_same(text: str, start: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text.encode(), "x.yaml", yaml.Loader)
    assert str(caught.value).startswith(start)


def test_lines_are_those_of_the_keys_and_items() -> None:
    document = read("# note\na:\n  b:\n    - x\n    - {c: 1}\n")
    assert document.lines[("a",)] == 2
    assert document.lines[("a", "b")] == 3
    assert document.lines[("a", "b", 1)] == 5
    assert document.where(("a", "b", 1, "c")) == "x.yaml:5: a.b[1].c"


def test_a_missing_key_is_told_at_the_line_of_what_lacks_it() -> None:
    document = read("a: 1\nb:\n  c: 2\n")
    assert document.where(("b", "missing")) == "x.yaml:2: b.missing"
    assert document.where(()) == "x.yaml:1"


def test_how_a_number_was_written_is_kept() -> None:
    assert read("a: 3.10\n").sources == {("a",): "3.10"}


def test_keys_are_text_whatever_they_look_like() -> None:
    assert read("1: a\nnull: b\n3.10: c\n").data == {"1": "a", "null": "b", "3.10": "c"}


def test_unusual_keys_are_quoted_in_messages() -> None:
    assert dotted(("a", "b c", 0, "d")) == "a['b c'][0].d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: a: the key stands here twice (first on line 1)"),
        ("a: {b: 1, b: 2}\n", "x.yaml:1: a.b: the key stands here twice (first on line 1)"),
        ("1: a\n'1': b\n", "x.yaml:2: 1: the key stands here twice (first on line 1)"),
        ("a: &x 1\n", "x.yaml:1: a: a YAML anchor (&x) is not allowed"),
        ("a: b\nc: *x\n", "x.yaml:2: c: a YAML alias (*x) is not allowed"),
        ("&x a: b\n", "x.yaml:1: ?: a YAML anchor (&x) is not allowed"),
        ("a:\n  <<: {b: 1}\n", "x.yaml:2: a: a YAML merge key (<<) is not allowed"),
        (
            "a:\n  - !!python/object:os.system x\n",
            "x.yaml:2: a[0]: a YAML tag (!!python/object:os.system) is not allowed",
        ),
        ("a: !!str 3\n", "x.yaml:1: a: a YAML tag (!!str) is not allowed"),
        ("a: ! 3\n", "x.yaml:1: a: a YAML tag (!) is not allowed"),
        ("!!map {a: b}\n", "x.yaml:1: a YAML tag (!!map) is not allowed"),
        ("a: b\n---\nc: d\n", "x.yaml:2: a second YAML document is not allowed"),
        ("%YAML 1.1\n---\na: b\n", "x.yaml:1: a YAML directive (%) is not allowed"),
        ("? [a]\n: b\n", "x.yaml:1: a key must be text"),
        ("a:\n\t- b\n", "x.yaml:2: a tab indents this line; indent with spaces"),
        ("\ta: b\n", "x.yaml:1: a tab indents this line; indent with spaces"),
        ("a:\n  - b\n\t- c\n", "x.yaml:3: a tab indents this line; indent with spaces"),
        ("a: {\n\tb: 1}\n", "x.yaml:2: a tab indents this line; indent with spaces"),
        ("a: b\r\n \tc: d\r\n", "x.yaml:2: a tab indents this line; indent with spaces"),
        ("a: 'b\n\tc'\n", "x.yaml:2: a tab indents this line; indent with spaces"),
        (
            "a: @b\n",
            """x.yaml:1: not YAML: found character that cannot start any token; \
quote a value that begins with a special character""",
        ),
        (
            "a: b: c\n",
            """x.yaml:1: not YAML: mapping values are not allowed in this context; \
quote a value that holds a colon and a space""",
        ),
        ("a: [1, 2\nb: 3\n", "x.yaml:2: not YAML: did not find expected ',' or ']'"),
        ("a: 1\nb: \x07\n", "x.yaml:2: holds a character that no text file may hold"),
        ('a: "\\0"\n', "x.yaml:1: a: holds a character that no text file may hold"),
        (b"a: 1\nb: \xff\n", "x.yaml:2: not UTF-8 text; save it as UTF-8"),
        (f"a: {'9' * 65}\n", "x.yaml:1: a: a number of 65 characters is not allowed"),
    ],
)
def test_refusals(text: str | bytes, message: str) -> None:
    assert refusal(text) == message


def test_messages_repeat_no_control_characters_and_no_more_than_a_part():
    assert refusal("a: !<%1b[2J> b\n") == "x.yaml:1: a: a YAML tag ('\\x1b[2J') is not allowed"
    document = read('"\\x9b": 1\n')
    assert str(document.error(("\x9b",), "wrong")) == "x.yaml:1: ['\\x9b']: wrong"
    assert len(str(document.error(("k" * 5000,), "w" * 5000, "f" * 5000))) < 1500


def test_tabs_in_text_and_after_a_key_are_no_indentation() -> None:
    assert read("a: |\n  x\n  \ty\nb:\t1\n").data == {"a": "x\n\ty\n", "b": 1}


def test_a_tab_after_a_block_of_text_is_found() -> None:
    assert refusal("a: |\n  x\n  \ty\nb: {\n\tc: 1}\n").startswith("x.yaml:5: a tab")


def test_a_byte_order_mark_and_an_empty_file_are_read() -> None:
    assert read("\ufeffa: 1\n").data == {"a": 1}
    assert read("").data is None
    assert read("# nothing\n").data is None


def test_limits_of_size_and_depth() -> None:
    assert refusal("a" * (yaml_document.MAX_BYTES + 1)) == "x.yaml: larger than 256 KiB"
    deep = yaml_document.MAX_DEPTH
    assert read("[" * deep + "]" * deep).data is not None
    assert "nested more than 32 deep" in refusal("[" * (deep + 1) + "]" * (deep + 1))
    assert "nested more than 32 deep" in refusal("a: [\n\t" + "[" * 3000)  # and not of the tab


class LimitedParser(yaml.Loader):
    """A parser with a limit of its own that it meets while it reads ahead, as libyaml's is."""

    def fetch_flow_collection_start(self, token: type) -> None:
        if self.flow_level == 1000:
            problem = "exceeded maximum nesting depth"
            raise yaml.scanner.ScannerError(None, None, problem, self.get_mark())
        super().fetch_flow_collection_start(token)


@pytest.mark.parametrize("parser", [None, yaml.Loader, LimitedParser])
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[" * 200_000, "1: " + "[0]" * 32),
        ("{" * 5000, "1: " + ".".join("?" * 32)),
        ("ä:\r\n- 'é'\r\n- " + "[{" * 3000, "3: ä[1]" + "[0].?" * 15),
        ("- " * 60_000, "1: " + "[0]" * 32),
        ("? " * 60_000, "1: " + ".".join("?" * 32)),
        ("".join(" " * depth + "a:\n" for depth in range(500)), "33: " + ".".join("a" * 32)),
    ],
    ids=["lists", "mappings", "both", "block-lists", "block-keys", "block-mappings"],
)
def test_depth_is_refused_where_our_limit_is_passed(
    parser: type[yaml.Loader] | None, text: str, where: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text.encode(), "x.yaml", parser)
    assert str(caught.value) == f"x.yaml:{where}: nested more than 32 deep"
