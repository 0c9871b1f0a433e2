"""Requirement strings and Python ranges: the quick patterns allow only what packaging allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from orchestrator.core import requirements
from orchestrator.core.requirements import (
    is_package_name,
    lowest_python,
    python_problem,
    requirement_problem,
)

PIECES = st.sampled_from(
    [
        "torch",
        "a",
        "1",
        "-",
        "_",
        ".",
        "[",
        "]",
        ",",
        "==",
        ">=",
        "<=",
        "~=",
        "!=",
        "<",
        ">",
        "===",
        ";",
        "@",
        "*",
        "2.6.0",
        "2.0rc1",
        "1.post1",
        "2.*",
        "1.0.dev3",
        "+cpu",
        " ",
        "\n",
        "https://x/y",
        "--index-url",
        "python_version<'3.11'",
        'sys_platform == "linux"',
        "platform_machine",
        "'",
    ]
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@given(TEXTS)
def test_only_requirements_without_urls_pass(text):
    try:
        valid = Requirement(text).url is None
    except InvalidRequirement:
        valid = False
    assert (requirement_problem(text) is None) == valid


@given(TEXTS)
def test_what_the_quick_range_allows_is_a_range(text):
    try:
        valid = bool(SpecifierSet(text))
    except InvalidSpecifier:
        valid = False
    if python_problem(text) is None:
        assert valid


@pytest.mark.parametrize(
    "text",
    [
        "torch", "torch==2.6.0", "torch >= 2, < 3", "uvicorn[standard]>=0.30", "numpy~=2.0",
        "pillow==11.*", "tomli>=2; python_version < '3.11'", "a.b_c-d!=1.5",
    ],
)  # fmt: skip
def test_usual_requirements_pass(text):
    assert requirement_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "torch==", "torch 2", "-r other.txt", "./local", "torch; nonsense", "torch=2",
        "torch==2.6.0\n--index-url x",
    ],
)  # fmt: skip
def test_other_text_is_refused(text):
    assert "is not a requirement" in requirement_problem(text)


def test_urls_are_refused():
    assert "names a URL" in requirement_problem("torch @ https://example.org/torch.whl")
    assert "names a URL" in requirement_problem("torch @ file:///torch.whl")


@pytest.mark.parametrize(
    ("text", "lowest"),
    [
        (">=3.10,<3.13", (3, 10)), ("==3.12.*", (3, 12)), ("~=3.11", (3, 11)), (">= 3.10", (3, 10)),
        ("==3.12.4", (3, 12)), (">=3.9,>=3.11", (3, 11)), ("<3.13", None), ("", None),
    ],
)  # fmt: skip
def test_the_lower_bound(text, lowest):
    assert lowest_python(text) == lowest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("3.10", "is not a range of versions"),
        (">=3.10;<4", "is not a range of versions"),
        ("three", "is not a range of versions"),
        ("<3.13", "has no lower bound"),
        ("", "has no lower bound"),
        ("!=3.10", "has no lower bound"),
        (">=3.8", "older than 3.9"),
        (">=3", "older than 3.9"),
    ],
)
def test_ranges_that_cannot_be_locked_for(text, problem):
    assert problem in python_problem(text)


@pytest.mark.parametrize("text", [">=3.10,<3.13", "~=3.11", "==3.12.*", ">=3.9"])
def test_usual_ranges_pass(text):
    assert python_problem(text) is None


def test_the_usual_forms_need_no_packaging():
    assert requirements._USUAL_REQUIREMENT.fullmatch("uvicorn[standard] >=0.30, <1")
    assert requirements._USUAL_SPECIFIER.fullmatch(">=3.10,<3.13")


def test_package_names():
    assert is_package_name("zope.interface")
    assert not is_package_name("torch==2")
    assert not is_package_name("-x")
