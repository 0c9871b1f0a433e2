"""The pages of a book that was read aloud, each with the passages that are spoken of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.pipelines.report.run_items import ItemGroup, RunItems
from orchestrator.pipelines.run_history import Run
from orchestrator.pipelines.step_values import Value


def join_passages(run: Run, items: RunItems, groups: Sequence[ItemGroup]) -> list[ItemGroup]:
    """Return the groups with the passages of a book at the pages that they were read from.

    Passages of pages that were not read, whose text was in a file, stay a group of their own.
    """
    steps = {step["name"]: step["id"] for step in run.steps}
    by_source = {group.source: group for group in groups}
    pages = by_source.get(f"steps.{steps.get('book-pages')}.images")
    passages = by_source.get(f"steps.{steps.get('book-text')}.passages")
    if pages is None or passages is None:
        return list(groups)
    numbers = _page_numbers(items.output(steps["book-pages"], "document"))
    spoken = _passages_by_page(items.output(steps["book-text"], "plan"))
    for image, page in enumerate(numbers, start=1):
        if image in pages.items:
            found = [passages.items.pop(each, None) for each in spoken[page]]
            pages.items[image].passages = [(passages, each) for each in found if each is not None]
    return [group for group in groups if group.items]


def _page_numbers(document: object) -> list[int]:
    """Return by image the number of its page in the book."""
    parts = _list(document, "parts")
    if isinstance(document, tuple):
        parts = [each.data for each in document if isinstance(each.data, dict)]
    return [each["page"] for each in parts if each.get("from") == "image"]


def _passages_by_page(plan: object) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for number, passage in enumerate(_list(plan, "passages"), start=1):
        if passage.get("page"):
            found[passage["page"]].append(number)
    return found


def _list(value: object, name: str) -> list[dict[str, Any]]:
    """Return a list in data that a step returned; empty where it is not kept any more."""
    data = value.data if isinstance(value, Value) else None
    return data.get(name, []) if isinstance(data, dict) else []
