"""What a batch has done, compared with what it would do now: one file, one experiment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.core.languages import LANGUAGE, TEXT
from orchestrator.core.pipelines.cache_key import Recipe, differences
from orchestrator.core.value_checks import check_inputs
from orchestrator.errors import MMError, UsageError
from orchestrator.jobs.input_files import describe_inputs
from orchestrator.pipelines.batch_items import read_text
from orchestrator.pipelines.batch_sources import changed_files, short_value, sources_of
from orchestrator.pipelines.json_lines import key_digest
from orchestrator.system.home import json_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.core.manifest import Manifest
    from orchestrator.pipelines.batch_items import Item
    from orchestrator.pipelines.batch_run import BatchProgress
    from orchestrator.pipelines.json_lines import JsonLines

SHOWN = 4
"""Differences that are named; the others are counted."""


@dataclass
class Resumption:
    """The items that are left, and what differs for those that are done.

    Attributes:
        lines: What is done.
        manifest: The model's.
        progress: Counts the items that are done.
        mix: Whether results of two experiments are wished in one file.
        model_for: Returns the model that an item with these inputs has now; None where all items
            have the same.
        manifests: Those of the models that items may have, where each has its own.
        differences: What differs, each once, in clauses.
    """

    lines: JsonLines
    manifest: Manifest
    progress: BatchProgress
    mix: bool = False
    model_for: Callable[[Mapping[str, Any]], str] | None = None
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    differences: dict[str, None] = field(default_factory=dict)
    _another_model: bool = False
    _models: dict[str, str] = field(default_factory=dict)
    """By identity, what made the items that are done."""

    def compare_producers(self, produced_by: Callable[[str], Mapping[str, Any]]) -> None:
        """Note how what made the results differs from what would make them now.

        Args:
            produced_by: Returns the part of a receipt before the inputs, for the model that has
                made results; for the one that would make them now, where it is another.
        """
        for identity in sorted(self.lines.receipts):
            before = self.lines.files.producer(identity) if self.lines.files is not None else None
            model = self._models[identity] = str((before or {}).get("model", ""))
            producer = produced_by(model)
            now = Recipe(producer, {})
            if identity == now.identity:
                continue
            if before is not None:
                self._note(differences(Recipe(before, {}, identity), now))
                self._another_model |= model != producer.get("model")
            else:
                self._note(["another model, environment or device made some of them"])

    def pending(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items that are not done, and compare the inputs of the others."""
        for item in items:
            record = self.lines.take(key_digest(item.key))
            if record is None:
                yield item
                continue
            self.progress.skipped += 1
            if not self._another_model:  # its inputs are others anyway
                model = self._models.get(record.get("receipt", ""), "")
                rebound = list(self._rebound(item.given, model))
                self._note(rebound or self._changes(item.given, record.get("inputs"), model))

    def left(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items that are not done, of a source whose end is not known.

        Raises:
            UsageError: As `refuse`, for the first item that differs.
        """
        for item in self.pending(items):
            self.refuse()
            yield item
        self.refuse()

    def refuse(self) -> None:
        """Refuse to add to results of another experiment, unless that is wished.

        Raises:
            UsageError: When anything differs.
        """
        if self.differences and not self.mix:
            raise UsageError(
                f"holds results of another experiment: {self}",
                where=str(self.lines.path),
                fix="choose another -o, or add --mix to have both in one file",
            )

    def __str__(self) -> str:
        """Return what differs, in a few clauses."""
        named = list(self.differences)
        more = f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        return "; ".join(named[:SHOWN]) + more

    def _note(self, clauses: Iterable[str]) -> None:
        self.differences |= dict.fromkeys(clauses)

    def _rebound(self, given: Mapping[str, Any], before: str) -> Iterator[str]:
        """Yield that an item has another model now than `before`, which has made its results."""
        text = given.get(TEXT)
        if self.model_for is None or not before:
            return
        try:
            found = {TEXT: read_text(text) if isinstance(text, Path) else text}
            now = self.model_for({LANGUAGE: given.get(LANGUAGE), **found})
        except MMError:
            return  # it would fail, and is done
        if now != before:
            yield f"the model is another ({before}, now {now})"

    def _changes(self, given: Mapping[str, Any], before: Any, model: str) -> Iterator[str]:
        """Yield how inputs of `model` differ from what a line says of them."""
        if not isinstance(before, dict):
            return
        manifest = self.manifests.get(model, self.manifest)
        sources = sources_of(manifest, given)
        words = {name: str(one) if isinstance(one, Path) else one for name, one in given.items()}
        try:
            values = check_inputs(manifest, words)
            values = {name: value for name, value in values.items() if name not in sources}
            values = describe_inputs(manifest, values)
        except UsageError:
            return  # it would fail, and is done
        now = {name: short_value(value) for name, value in values.items()}
        then = {name: value for name, value in before.items() if name not in sources}
        yield from differences(Recipe({}, then), Recipe({}, json.loads(json_line(now))))
        yield from (f"{file} changed" for file in changed_files(sources, before))
