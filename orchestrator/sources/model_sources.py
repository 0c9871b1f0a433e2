"""The facade of sources: pulling, adding, checking, removing, and the overlay a worker loads."""

from __future__ import annotations

import contextlib
import shlex
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from msgspec.structs import replace

from orchestrator.core.manifest import QUANTIZED, DType
from orchestrator.core.units import parse_size
from orchestrator.errors import Cancelled, SourceError, UsageError
from orchestrator.sources.archives import Archives, archives_digest
from orchestrator.sources.model_files import (
    SourceRecord,
    check_patterns,
    check_shards,
    describe,
    find_files,
    load_record,
    record_path,
    save_record,
    system_errors,
)
from orchestrator.system.flock import nap
from orchestrator.system.hashing import sha256_of
from orchestrator.system.reporter import Count, Reporter, progress
from orchestrator.system.waiting import ENDLESS, Deadline, Wait, take_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchestrator.catalog import Declared
    from orchestrator.core.manifest import Manifest, Source
    from orchestrator.core.patching import Conditions
    from orchestrator.sources.converted_weights import Conversions
    from orchestrator.sources.overlays import Overlay
    from orchestrator.system.home import Home


class Sources:
    """The models' files, as one `MM_HOME` knows them.

    Args:
        home: `MM_HOME`.
        variables: The user's environment variables.
        reporter: Receives progress.
    """

    def __init__(self, home: Home, variables: Mapping[str, str], reporter: Reporter) -> None:
        self.home = home
        self._reporter = reporter
        self._variables = variables

    @cached_property
    def archives(self) -> Archives:
        """What is taken from archives."""
        return Archives(self.home, self._variables)

    @cached_property
    def conversions(self) -> Conversions:
        """What was converted here."""
        from orchestrator.sources.converted_weights import Conversions

        return Conversions(self.home)

    def record(self, model: str, precision: str = "") -> SourceRecord | None:
        """Return what is known of the files of a model, or of its converted weights, or None."""
        return load_record(self.home, model, precision)

    def record_paths(self, manifest: Manifest) -> list[Path]:
        """Return where that is kept."""
        return [record_path(self.home, manifest.name, each) for each in ("", *manifest.weights)]

    def records(self, manifest: Manifest) -> dict[str, SourceRecord]:
        """Return what is known of all files of a model, by the data type of converted weights."""
        known = {each: self.record(manifest.name, each) for each in ("", *manifest.weights)}
        return {str(each): record for each, record in known.items() if record is not None}

    def there(self, manifest: Manifest) -> dict[str, SourceRecord]:
        """Return those of `records` whose files are there."""
        records = self.records(manifest)
        return {each: known for each, known in records.items() if known.dangling() is None}

    def at(self, declared: Declared, dtype: str) -> Declared:
        """Return a model with the source that a data type is loaded from.

        That is its converted weights, where they are there or nothing else gives this type.
        """
        if dtype not in declared.manifest.weights:
            return declared
        if dtype in QUANTIZED or dtype in self.there(declared.manifest):
            return declared.at(dtype)
        return declared

    def usable(self, manifest: Manifest) -> Manifest:
        """Return a manifest that lists the data types alone whose weights are there.

        As it is where there are none: it lists what could be pulled.
        """
        there = self.there(manifest) if manifest.weights else {}
        if not there:
            return manifest
        memory = {
            device: {
                dtype: size
                for dtype, size in sizes.items()
                if dtype in there or ("" in there and dtype not in QUANTIZED)
            }
            for device, sizes in manifest.memory.items()
        }
        devices = tuple(each for each in manifest.devices if memory.get(each, True))
        return replace(manifest, memory=memory, devices=devices)

    def files(self, declared: Declared) -> list[Path]:
        """Return the files that decide what `overlay` returns, those that are not there included.

        Empty for a model without a source.
        """
        if declared.manifest.source is None:
            return []
        from orchestrator.sources.patchsets import patch_set_path

        sets = [patch_set_path(declared, name) for name in declared.manifest.patches]
        record = self.record(declared.name, declared.precision)
        weights = [] if record is None else [record.file(name) for name in record.files]
        return [*self.record_paths(declared.manifest), *weights, *sets]

    def has_weights(self, manifest: Manifest) -> bool:
        """Return whether the files of a model were pulled or added and are still there."""
        return bool(self.there(manifest))

    def fetched(
        self,
        declared: Declared,
        deadline: Deadline = ENDLESS,
        stopped: Callable[[], bool] = lambda: False,
    ) -> SourceRecord:
        """Return the record of a model, as `ready` does; what an embedded one lacks is fetched.

        Args:
            declared: The model.
            deadline: What ends the wait for another process that fetches.
            stopped: Whether the caller was asked to stop.

        Raises:
            SourceError: When files are missing, with the command that brings them.
            TimedOut, Cancelled: When the wait or the download is ended.
        """
        if declared.manifest.is_embedded:
            record = self.record(declared.name)
            if record is None or (record.pulled and _differs(record, _source(declared))):
                return self.pull(declared, deadline=deadline, stopped=stopped)
            if record.pulled and next(record.differing(), None) is not None:
                return self.pull(declared, deadline=deadline, stopped=stopped)
        return self.ready(declared)

    def fetch_embedded(self, models: Iterable[Declared]) -> None:
        """Fetch what the embedded models among `models` lack.

        Raises:
            SourceError: As `fetched`.
        """
        for declared in models:
            if declared.manifest.source is not None and declared.manifest.is_embedded:
                self.fetched(declared)

    def ready(self, declared: Declared) -> SourceRecord:
        """Return the record of a model whose files are all there and as they were.

        Raises:
            SourceError: When they are not, with the command that fetches or adds them again.
        """
        name, words = declared.name, declared.words
        record = self.record(name, declared.precision)
        if record is None and declared.precision:
            raise SourceError(
                f"{name} needs its weights of {declared.precision}",
                fix=f"run: mm model pull {words}; or, from its other weights: "
                f"mm model convert {words}",
            )
        if record is None:
            raise SourceError(f"{name} needs its weights", fix=f"run: mm model pull {name}")
        if record.pulled and (what := _differs(record, _source(declared))):
            raise SourceError(f"{name} was pulled from {what}", fix=f"run: mm model pull {words}")
        again = f"pull {words}" if record.pulled else f"add {words} {shlex.quote(str(record.path))}"
        if record.converted:
            again = f"convert {words}"
            original = self.record(name)
            if original is not None and original.digest != record.converted:
                what = f"the weights of {words} were converted from other files than it has now"
                raise SourceError(what, fix=f"run: mm model {again}")
        what, file = "is not there any more", record.dangling()
        if file is None:
            what = "changed since it was pulled or added"
            file = next((file for file, _ in record.differing()), None)
        if file is not None:
            raise SourceError(what, where=str(record.file(file)), fix=f"run: mm model {again}")
        return record

    def overlay(
        self,
        declared: Declared,
        conditions: Conditions,
        python: Path,
        pause: Callable[[], None] = nap,
    ) -> Overlay:
        """Return the directory that a worker loads, made first where it is not there.

        Args:
            declared: The model.
            conditions: What it will be loaded under.
            python: The interpreter of its environment.
            pause: Called again and again while another makes it; what it raises ends the wait.

        Raises:
            SourceError: When files are missing, a patch does not fit, or the set was not proved
                with the versions that are installed.
            ManifestError: When a patch set is missing or broken.
        """
        # Imported here: whether weights are there is asked by every `mm run` of a task.
        from orchestrator.core import patching
        from orchestrator.sources.overlays import ensure_overlay
        from orchestrator.sources.patchsets import load_patch_sets

        record = self.ready(declared)
        sets = load_patch_sets(declared)
        if reason := patching.unproved(sets, conditions):
            raise SourceError(
                f"{declared.name} is not run: {reason}",
                where=declared.shown,
                fix="pin the version that was proved, and lock it again",
            )
        for patch_set in sets:
            for each in patching.drift(patch_set, record.commit, record.read):
                self._reporter.note(
                    f"{each.file} is not the file of {each.commit[:12]} that the patch set "
                    f"{patch_set.name} was written for"
                )
        return ensure_overlay(self.home, declared.name, record, sets, conditions, python, pause)

    def overlay_digest(self, declared: Declared, conditions: Conditions) -> str:
        """Return the digest of what a worker would load; empty where no files are known."""
        from orchestrator.sources.overlays import overlay_digest
        from orchestrator.sources.patchsets import load_patch_sets

        known = self.record(declared.name, declared.precision)
        record = known if declared.manifest.source is not None else None
        if record is None:
            return ""
        return overlay_digest(record, load_patch_sets(declared), conditions)

    def pull(
        self,
        declared: Declared,
        *,
        update: bool = False,
        hub: str = "",
        commit: str = "",
        deadline: Deadline = ENDLESS,
        stopped: Callable[[], bool] = lambda: False,
    ) -> SourceRecord:
        """Download the model's files, or what is missing of them, and record their hashes.

        Args:
            declared: The model.
            update: Whether a branch is resolved anew, instead of at the first pull alone.
            hub: The hub to ask; empty for the one that the user's variables name.
            commit: What the revision is known to stand for, as another machine has resolved it.
            deadline: What ends the wait for another process that fetches.
            stopped: Whether the caller was asked to stop; archives are not fetched on then.

        Raises:
            UsageError: When the model has no source, or there is no such hub.
            SourceError: When the files do not come, or are not what the hub lists.
            TimedOut, Cancelled: When the wait or the download is ended.
        """
        from orchestrator.sources.hub import chosen_hub

        source = _source(declared)
        hub = chosen_hub(hub, self._variables)
        self.home.prepare()
        lock = self.home.locks / f"source-{declared.name}.lock"
        what = "another mm, which fetches its files"
        wait = Wait(declared.name, what, self._reporter, deadline, stopped)
        with take_lock(lock, wait):
            revision = source.revision
            known = self.record(declared.name, declared.precision)
            same = known and (known.repo, known.revision) == (source.repo, source.revision)
            if known and same and not known.hub and not update:
                revision = known.commit
            revision = commit or revision
            record = SourceRecord(path="", files={})
            if source.repo:
                with progress(self._reporter, declared.name, f"asking {hub} for {source.repo}"):
                    # Imported here, as what it imports: few commands pull.
                    from orchestrator.sources.pulling import pull_from_hub

                    record = pull_from_hub(declared, revision, hub, self._variables, self._reporter)
            if source.archives:
                record = self._fetch(declared, source, record, wait, stopped)
            save_record(self.home, declared.name, record, declared.precision)
            return record

    def _fetch(
        self,
        declared: Declared,
        source: Source,
        record: SourceRecord,
        wait: Wait,
        stopped: Callable[[], bool],
    ) -> SourceRecord:
        """Return `record` with the files of the model's archives, fetched where they are not."""
        name = declared.name
        found = self.archives.find(source.archives)
        if found is None:
            places = ", ".join(archive.where for archive in source.archives)
            total = 0 if source.repo or not source.size else parse_size(source.size)
            size = f"{source.size} from " if total else "files from "
            self._reporter.note(f"{name}: {size}{places}")
            count = Count(self._reporter, name, total)

            def arrived(size: int) -> None:
                if stopped():
                    raise Cancelled(f"{name} was cancelled while its files were fetched")
                count.add(size)

            with progress(self._reporter, name, f"asking for {places}"):
                found = self.archives.fetch(source.archives, arrived, wait.pause)
        directory, files = found
        if record.files:
            files = {n: replace(each, directory=str(directory)) for n, each in files.items()}
        return replace(
            record,
            path=record.path or str(directory),
            files={**record.files, **files},
            archives=archives_digest(source.archives),
        )

    def add(self, declared: Declared, directory: Path) -> SourceRecord:
        """Use the directory `directory`, which stays as it is and where it is.

        Raises:
            UsageError: When the model has no source, or there is no such directory.
            SourceError: When files are missing or cannot be read.
        """
        source = _source(declared)
        if not directory.is_dir():
            raise UsageError("not a directory", where=str(directory))
        directory = directory.resolve()
        names = find_files(directory, source.include)
        wanted = [name for archive in source.archives for name in archive.files.values()]
        check_patterns(names, wanted, str(directory))
        names = sorted({*names, *wanted}) if source.repo else sorted(wanted)
        check_shards(directory, names)
        self.home.prepare()
        paths = {name: directory / name for name in names}
        with (
            system_errors("cannot be read", directory),
            progress(self._reporter, declared.name),
        ):
            total = sum(path.stat().st_size for path in paths.values())
            count = Count(self._reporter, declared.name, total)
            kept = {n: describe(p, sha256_of(p, count.add)) for n, p in paths.items()}
        record = SourceRecord(path=str(directory), files=kept)
        save_record(self.home, declared.name, record, declared.precision)
        return record

    def share(self, declared: Declared, kin: Declared) -> SourceRecord:
        """Use the files of another model, which has the same source.

        Raises:
            SourceError: When they are not there, or not as they were.
        """
        record = self.ready(kin)
        save_record(self.home, declared.name, record)
        return record

    def verify(self, declared: Declared) -> list[tuple[str, str]]:
        """Compare every file with its recorded hash; return those that differ, and how.

        Raises:
            SourceError: When the model was neither pulled nor added.
        """
        records = self.records(declared.manifest)
        if not records:
            raise SourceError(
                f"{declared.name} was neither pulled nor added",
                fix=f"run: mm model pull {declared.name}",
            )
        count = Count(self._reporter, declared.name, sum(each.size for each in records.values()))
        with progress(self._reporter, declared.name):
            return [
                (f"{precision} {name}".strip(), what)
                for precision, record in records.items()
                for name, what in record.differing(full=True, progress=count.add)
            ]

    def convert(
        self,
        declared: Declared,
        precision: str,
        fill: Callable[[Path], Iterable[str]],
        deadline: Deadline = ENDLESS,
        stopped: Callable[[], bool] = lambda: False,
    ) -> tuple[SourceRecord, bool]:
        """Return the record of converted weights, and whether they were made now.

        Args:
            declared: The model.
            precision: The data type that is wanted, which the manifest has weights of.
            fill: Writes them into an empty directory; returns the names of the original files that
                belong to them as they are.
            deadline: What ends the wait for another process that converts them.
            stopped: Whether the caller was asked to stop.

        Raises:
            SourceError: When the original files are not there, or the disk is too small.
        """
        original = self.ready(declared)
        self.home.prepare()
        what = "another mm, which converts its weights"
        wait = Wait(declared.name, what, self._reporter, deadline, stopped)
        keep = partial(save_record, self.home, declared.name, precision=precision)
        return self.conversions.make(declared.at(precision), original, fill, keep, wait)

    def unneeded_conversions(self) -> list[Path]:
        """Return what was converted here and is in the records of no model, unfinished included."""
        models = [each.name for each in _directories(self.home.models)]
        kinds = get_args(DType)
        known = [self.record(model, each) for model in models for each in kinds]
        needed = {Path(record.path).parent for record in known if record is not None}
        return [each for each in self.conversions.directories() if each not in needed]

    def remove(
        self, model: str, kinds: Iterable[str] = ("", *get_args(DType)), *, download: bool = False
    ) -> int:
        """Forget a model's files and remove its overlays; return the bytes that this gives back.

        A directory that the user added is never touched; a download is removed from the hub's
        cache only when asked for, because other programs use that cache too. What was converted
        here is removed.

        Args:
            model: The model.
            kinds: The data types of the converted weights that are meant, empty for the others.
            download: Whether a download is removed.

        Raises:
            SourceError: When the model is loaded; nothing is removed then.
        """
        from orchestrator.sources.hub import HubCache
        from orchestrator.sources.overlays import remove_overlays

        freed = 0
        remove_overlays(self.home, model)
        for each in kinds:
            record = self.record(model, each)
            if download and record is not None and record.commit:
                freed += HubCache(self._variables).remove(record.commit)
            if record is not None and record.archives:
                freed += self._discard_archives(model, record)
            record_path(self.home, model, each).unlink(missing_ok=True)
            if record is not None and record.converted:
                freed += self.conversions.discard(Path(record.path))
        with contextlib.suppress(OSError):  # what is in it is not ours
            (self.home.models / model).rmdir()
        return freed

    def _discard_archives(self, model: str, record: SourceRecord) -> int:
        """Remove what `record` has from archives, unless other models have the same."""
        for directory in _directories(self.home.models):
            other = self.record(directory.name) if directory.name != model else None
            if other is not None and other.archives == record.archives:
                return 0
        places = {each.directory or record.path for each in record.files.values()}
        return sum(
            self.archives.discard(Path(each)) for each in places if self.archives.is_ours(each)
        )


def _directories(root: Path) -> list[Path]:
    return list(root.iterdir()) if root.is_dir() else []


def _differs(record: SourceRecord, source: Source) -> str:
    """Return in words from where files were pulled, if the manifest asks for others by now."""
    if (record.repo, record.revision) != (source.repo, source.revision):
        return (
            f"{record.repo} at {record.revision}, and its manifest asks for {source.repo} at "
            f"{source.revision}"
        )
    wanted = archives_digest(source.archives) if source.archives else ""
    if record.archives != wanted:
        return "other archives than its manifest asks for"
    return ""


def _source(declared: Declared) -> Source:
    source = declared.manifest.source
    if source is None:
        raise UsageError(
            f"{declared.name} needs no weights of its own: a package of its environment has them",
            fix=f"run: mm env sync {declared.name}",
        )
    return source
