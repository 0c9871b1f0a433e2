"""Which models a server offers, under which names, and what those lack that it does not."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from orchestrator.core.languages import Wanted, wanted
from orchestrator.errors import MMError
from orchestrator.serve.refused import Refused, refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.catalog import Declared
    from orchestrator.workspace import Workspace

ALIASES = {
    "tts-1": "tts",
    "tts-1-hd": "tts",
    "gpt-4o-mini-tts": "tts",
    "whisper-1": "asr",
    "gpt-4o-transcribe": "asr",
    "gpt-4o-mini-transcribe": "asr",
    "mistral-ocr-latest": "ocr",
    "voxtral-mini-tts-latest": "tts",
}
"""Names that clients of other services send, and the tasks that they mean."""

ASKED_FOR: ContextVar[str] = ContextVar("model", default="")
"""The model that the request at hand is for, for the log."""

FRESH_SECONDS = 1.0
"""Seconds that a look at the models counts; an edit is seen after them."""


class Served(msgspec.Struct, frozen=True):
    """A model, and whether it can run now.

    Attributes:
        declared: The model.
        lacks: Why it cannot, as a clause; empty where it can.
        fix: The command that changes that.
    """

    declared: Declared
    lacks: str = ""
    fix: str = ""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.declared.name

    @property
    def ready(self) -> bool:
        """Whether its weights and its environment are there."""
        return not self.lacks

    def check(self) -> None:
        """Check that it can run.

        Raises:
            Refused: When it cannot.
        """
        if self.lacks:
            message = f"{self.name} {self.lacks}; on the server, run: {self.fix}"
            raise Refused(503, message, "not_ready")


class ServedModels:
    """The models of one server, looked at again now and then.

    Args:
        workspace: A workspace that no one else uses: its parts are read in threads, one at a time.
        names: The names of the only models that are served; empty for all.
    """

    def __init__(self, workspace: Workspace, names: Sequence[str] = ()) -> None:
        self._workspace = workspace
        self._names = frozenset(names)
        self._lock = asyncio.Lock()
        self._models: dict[str, Served] = {}
        self._choices: dict[str, Served] = {}
        self._looked_at = -FRESH_SECONDS

    async def all(self) -> list[Served]:
        """Return every model, those that cannot run included."""
        async with self._lock:
            if time.monotonic() - self._looked_at >= FRESH_SECONDS:
                self._models, self._choices = await asyncio.to_thread(self._look)
                self._looked_at = time.monotonic()
            return list(self._models.values())

    async def find(
        self, name: str, task: str = "", inputs: Mapping[str, Any] | None = None
    ) -> Declared:
        """Return the model that a client asks for by its name, by a task or by another's name.

        Args:
            name: What the client calls it.
            task: What it must do, in whatever manner; empty for anything.
            inputs: Those of the job: for a task, the model is one that speaks their language.

        Raises:
            Refused: When there is none (404), it does something else (400), or cannot run (503).
        """
        await self.all()
        name = ALIASES.get(name, name)
        found = self._models.get(name) or self._choices.get(name)
        if found is not None and name not in self._models and (spoken := wanted(inputs or {})):
            async with self._lock:
                found = await asyncio.to_thread(self._choose, name, spoken)
        if found is None:
            raise Refused(404, f"there is no model {name!r}; see /v1/models", "model_not_found")
        does = found.declared.manifest.task
        if task and does.partition("-")[0] != task:  # tts-clone speaks too
            raise Refused(400, f"{found.name} does {does}, not {task}", "wrong_model")
        found.check()
        ASKED_FOR.set(found.name)
        return found.declared

    @property
    def tasks(self) -> dict[str, Served]:
        """The model that stands for each task; `all` was awaited before."""
        return self._choices

    def _choose(self, task: str, spoken: Wanted) -> Served:
        """Return the model of a task that speaks what is wanted; a ready one if there is any.

        Raises:
            Refused: When none does, ready or not.
        """
        ready = [each.name for each in self._models.values() if each.ready]
        if ready:
            with suppress(MMError):  # the refusal among all names what one that is not ready lacks
                return self._chosen(task, spoken, ready)
        try:
            return self._chosen(task, spoken, list(self._models))
        except MMError as error:
            raise refused(error) from error

    def _chosen(self, task: str, spoken: Wanted, candidates: list[str]) -> Served:
        return self._models[self._workspace.choose(task, None, spoken, candidates).declared.name]

    def _look(self) -> tuple[dict[str, Served], dict[str, Served]]:
        self._workspace.refresh()
        catalog = self._workspace.catalog
        chosen = {
            name: self._served(declared)
            for name, declared in catalog.models.items()
            if not self._names or name in self._names
        }
        choices: dict[str, Served] = {}
        for task, candidates in catalog.tasks.items():
            there = [chosen[each.name] for each in candidates if each.name in chosen]
            ready = [each for each in there if each.ready]
            if preferred := self._preferred(task):
                ready.sort(key=lambda each: each.name != preferred)
            if there:
                choices[task] = (ready or there)[0]
        return chosen, choices

    def _preferred(self, task: str) -> str:
        """Return the model that `mm run` takes; nothing where it takes none."""
        try:
            return self._workspace.choose(task).declared.name
        except MMError:
            return ""  # none is ready: what each lacks is known

    def _served(self, declared: Declared) -> Served:
        workspace, manifest = self._workspace, declared.manifest
        try:
            if not (manifest.is_embedded or workspace.sources.has_weights(manifest)):
                return Served(declared, "has no weights here", f"mm model pull {declared.name}")
            if workspace.environments.ready(declared) is None:
                return Served(declared, "has no environment yet", f"mm env sync {declared.name}")
        except MMError as error:
            said = refused(error)
            return Served(declared, f"cannot run ({said.message})", f"mm env plan {declared.name}")
        return Served(declared)


class ListedModel(msgspec.Struct):
    """A model as `/v1/models` lists it, with what OpenAI's clients do not know."""

    id: str
    task: str
    summary: str
    languages: tuple[str, ...]
    state: str
    fix: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "mm"
    stands_for: str | msgspec.UnsetType = msgspec.UNSET


def as_listed(served: Served, name: str = "") -> ListedModel:
    """Return a model as it is listed, by its own name or by what else it is called."""
    manifest = served.declared.manifest
    return ListedModel(
        name or served.name,
        manifest.task,
        manifest.summary,
        manifest.languages,
        state="ready" if served.ready else served.lacks,
        fix=served.fix,
        stands_for=served.name if name else msgspec.UNSET,
    )
