"""Checks of requirement strings and Python version ranges, cheap for the forms people write.

Every command reads manifests, and importing `packaging` takes longer than reading them all. So the
usual forms are known by a pattern that allows only what `packaging` allows, and only other forms
import it.
"""

from __future__ import annotations

import re

OLDEST_PYTHON = (3, 9)
"""The oldest Python that a worker runs on."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc)[0-9]+)?(?:\.post[0-9]+)?(?:\.dev[0-9]+)?"
_CLAUSE = (
    rf"(?:(?:>=|<=|<|>)[ \t]*{_VERSION}|(?:==|!=)[ \t]*(?:{_VERSION}|[0-9]+(?:\.[0-9]+)*\.\*))"
)
_CLAUSES = rf"{_CLAUSE}(?:[ \t]*,[ \t]*{_CLAUSE})*"
_USUAL_SPECIFIER = re.compile(_CLAUSES, re.ASCII)
_MARKER = (
    r"(?:python_version|python_full_version|sys_platform|platform_system|platform_machine)"
    r"[ \t]*(?:<=|>=|==|!=|<|>)[ \t]*(?:'[\w.-]*'|\"[\w.-]*\")"
)
_USUAL_REQUIREMENT = re.compile(
    rf"{_NAME}(?:\[{_NAME}(?:,[ \t]*{_NAME})*\])?[ \t]*(?:{_CLAUSES})?(?:[ \t]*;[ \t]*{_MARKER})?",
    re.ASCII,
)
_PACKAGE = re.compile(_NAME, re.ASCII)
_LOWER = re.compile(r"(?:>=|==|~=)\s*([0-9]+(?:\.[0-9]+)*)", re.ASCII)


def is_package_name(text: str) -> bool:
    """Say whether `text` is the name of a distribution, without extras or versions."""
    return _PACKAGE.fullmatch(text) is not None


def requirement_problem(text: str) -> str | None:
    """Return why `text` is no requirement that a lock can hold, or None."""
    if _USUAL_REQUIREMENT.fullmatch(text):
        return None
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return f"{text!r} is not a requirement such as 'torch==2.6.0'"
    if requirement.url is not None:
        return f"{text!r} names a URL; a lock installs from any index, so name a version"
    return None


def python_problem(text: str) -> str | None:
    """Return why `text` is no range of Python versions that can be locked for, or None."""
    if not _USUAL_SPECIFIER.fullmatch(text):
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            SpecifierSet(text)
        except InvalidSpecifier:
            return f"{text!r} is not a range of versions such as '>=3.10,<3.13'"
    lowest = lowest_python(text)
    if lowest is None:
        return f"{text!r} has no lower bound; write one such as '>=3.10'"
    if lowest < OLDEST_PYTHON:
        return f"{text!r} allows a Python older than 3.9, on which no worker runs"
    return None


def lowest_python(text: str) -> tuple[int, int] | None:
    """Return the lower bound (major, minor) of a range of versions, or None where it has none."""
    bounds = []
    for clause in text.split(","):
        if match := _LOWER.match(clause.strip()):
            major, _, rest = match[1].partition(".")
            bounds.append((int(major), int(rest.partition(".")[0] or 0)))
    return max(bounds, default=None)
