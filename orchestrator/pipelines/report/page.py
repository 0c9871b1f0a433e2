"""The page of a run: HTML of `page.html.j2`, styled by `page.css`, with everything inside it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment

from orchestrator.core.units import counted, format_elapsed
from orchestrator.pipelines.report.page_view import PageLimits, PageView
from orchestrator.pipelines.result_store import ResultStore
from orchestrator.pipelines.run_history import Run
from orchestrator.version import __version__

_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Characters that HTML does not allow, or that no page can hold (half of a surrogate pair)."""


def page(run: Run, store: ResultStore, limits: PageLimits | None = None) -> bytes:
    """Return the page of a run: HTML in UTF-8, self-contained.

    Args:
        run: The recorded run.
        store: Where its results are, as far as they are kept still.
        limits: How much it may hold.
    """
    style = _resource("page.css")
    template = environment().from_string(_resource("page.html.j2"))
    view = PageView(run, store, limits or PageLimits())
    text = template.render(view=view, style=style, policy=_policy(style), version=__version__)
    return text.lstrip().encode("utf-8")


def environment() -> Environment:
    """Return what renders the page: everything is text and escaped, unless a template made it."""
    import jinja2
    import markupsafe

    def printable(value: Any) -> Any:
        if isinstance(value, str) and not isinstance(value, markupsafe.Markup):
            return _UNSHOWN.sub("\ufffd", value)
        return value

    made = jinja2.Environment(
        autoescape=True,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters.update(
        counted=counted,
        elapsed=format_elapsed,
        json=partial(json.dumps, ensure_ascii=False, indent=1),
    )
    return made


def _resource(name: str) -> str:
    return files("orchestrator.pipelines.report").joinpath(name).read_text("utf-8")


def _policy(style: str) -> str:
    """Return a policy by which nothing is loaded and nothing runs, whatever stands in a text."""
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
