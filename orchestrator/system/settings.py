"""What the user has settled for good: trusted directories and `mm use`, kept in `MM_HOME`.

Records go out and come in whole; the file is replaced under a lock, so that two commands at once
lose nothing, and a damaged one counts as empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.json_text import parse_record
from orchestrator.system.files import read_file
from orchestrator.system.home import unwritable, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.system.home import Home


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings as they were when they were read."""

    trusted: dict[str, str] = {}
    """Directories of manifests, by their real path, with the digest that was trusted."""
    contents: dict[str, dict[str, str]] = {}
    """The digest of each file in them at that time, by directory and path; to say what changed."""
    uses: dict[str, str] = {}
    """The model that stands for a task, by the task."""
    notes: tuple[str, ...] = ()
    """What the user should hear about the file; never written to it."""

    def trusting(self, directory: str, digest: str, files: Mapping[str, str]) -> Settings:
        """Return these settings with `directory` trusted as long as it has `digest`."""
        return msgspec.structs.replace(
            self,
            trusted={**self.trusted, directory: digest},
            contents={**self.contents, directory: dict(files)},
        )

    def distrusting(self, directory: str) -> Settings:
        """Return these settings with `directory` not trusted."""
        trusted, contents = dict(self.trusted), dict(self.contents)
        trusted.pop(directory, None)
        contents.pop(directory, None)
        return msgspec.structs.replace(self, trusted=trusted, contents=contents)

    def using(self, task: str, model: str | None) -> Settings:
        """Return these settings with `model` standing for `task`; None leaves it to preference."""
        uses = {known: chosen for known, chosen in self.uses.items() if known != task}
        return msgspec.structs.replace(self, uses=uses if model is None else {**uses, task: model})


def load_settings(home: Home) -> Settings:
    """Return the settings in `home`; empty ones where the file is missing or damaged."""
    try:
        return _read(home)
    except OSError as error:
        return Settings(notes=(f"{home.settings}: ignored: cannot be read ({error.strerror})",))


def _read(home: Home) -> Settings:
    try:
        data = read_file(home.settings)
    except FileNotFoundError:
        return Settings()
    try:
        found = parse_record(data, Settings)
    except ValueError:
        return Settings(notes=(f"{home.settings}: ignored: damaged; trust and `mm use` are lost",))
    return msgspec.structs.replace(found, notes=())


def update_settings(home: Home, change: Callable[[Settings], Settings]) -> Settings:
    """Replace the settings in `home` by what `change` makes of them, and return that.

    Raises:
        EnvironmentFailure: When `home` cannot be written.
    """
    from orchestrator.system.flock import wait_lock

    home.prepare()
    try:
        with wait_lock(home.locks / "settings.lock"):
            changed = change(_read(home))
            kept = msgspec.structs.asdict(changed)
            del kept["notes"]
            write_json(home.settings, kept, mode=0o600)
    except OSError as error:
        raise unwritable(error, home.settings) from error
    return changed
