"""A model as content: what another machine needs to run it, named by its digest.

Manifest, patch sets, runner, locks and the model's own wheels, byte for byte, so that receipts made
there are those that would be made here. Weights do not travel in it.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from orchestrator.catalog import Declared, Origin
from orchestrator.core.canonical import digest, digest_bytes, short
from orchestrator.core.lockfile import LockError, parse_lock
from orchestrator.core.manifest_reader import read_manifest
from orchestrator.core.units import format_size
from orchestrator.environments.locks import BUILD_LOCK
from orchestrator.errors import EnvironmentFailure, ManifestError
from orchestrator.sources.patchsets import patch_set_path
from orchestrator.system.files import read_file

if TYPE_CHECKING:
    from pathlib import Path


MAX_WHEELS = 256 << 20
"""Bytes of a model's own wheels that are sent: a bundle is held in memory, here and there."""


class Bundle(msgspec.Struct, frozen=True, dict=True):
    """The files of one model.

    Attributes:
        model: Its name.
        files: Contents by path, as `manifests/NAME.yaml` and `envs/ENV/runner.py`.
    """

    model: str
    files: Mapping[str, bytes]

    @cached_property
    def digest(self) -> str:
        """What tells it from others: over names and contents."""
        return digest([self.model, {name: digest_bytes(data) for name, data in self.files.items()}])


def pack(declared: Declared) -> Bundle:
    """Return the content of a model.

    Raises:
        ManifestError: When a file of it cannot be read.
        EnvironmentFailure: When it has no lock.
    """
    manifest = declared.manifest
    files = {f"manifests/{manifest.name}.yaml": _read(declared.file)}
    for name in manifest.patches:
        files[f"manifests/patches/{name}.yaml"] = _read(patch_set_path(declared, name))
    folder = f"envs/{manifest.env}"
    for path, text in declared.read_runner().items():
        files[f"{folder}/{PurePath(path).relative_to(declared.env_directory).as_posix()}"] = (
            text.encode("utf-8")
        )
    if not declared.lock.is_file():
        raise EnvironmentFailure(
            f"{declared.name} has no lock",
            where=str(declared.lock),
            fix=f"run: mm env lock {declared.name}",
        )
    files[f"{folder}/{declared.lock.name}"] = _read(declared.lock)
    build = declared.lock.with_name(BUILD_LOCK)
    if manifest.environment.build and build.is_file():
        files[f"{folder}/{BUILD_LOCK}"] = _read(build)
    for name, data in _read_wheels(declared, files[f"{folder}/{declared.lock.name}"]):
        files[f"{folder}/{declared.wheels.name}/{name}"] = data
    return Bundle(declared.name, files)


def _read_wheels(declared: Declared, lock: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of the wheels of a model's own that its lock names."""
    try:
        wheels = parse_lock(lock.decode("utf-8")).wheels
    except (LockError, UnicodeDecodeError):
        return  # what is wrong with the lock is said where it is used
    # One that is not there may be on an index by now.
    paths = [path for name in wheels if (path := declared.wheels / name).is_file()]
    size = sum(path.stat().st_size for path in paths)
    if size > MAX_WHEELS:
        raise EnvironmentFailure(
            f"the wheels take {format_size(size)}, and at most {format_size(MAX_WHEELS)} are sent "
            "to a node",
            where=str(declared.wheels),
            fix=f"put them on an index, then run: mm env lock {declared.name}",
        )
    for path in paths:
        data = _read(path)
        if digest_bytes(data) != wheels[path.name]:
            raise EnvironmentFailure(
                "is not the file that was locked",
                where=str(path),
                fix=f"run: mm env lock {declared.name}",
            )
        yield path.name, data


def unpack(bundle: Bundle, root: Path) -> Declared:
    """Lay the files of a bundle under `root/DIGEST`, where they are not yet, and read the model.

    Raises:
        ManifestError: When it is not what its digest says, or no model.
        EnvironmentFailure: When it cannot be written.
    """
    directory = root / short(bundle.digest)
    if not directory.is_dir():
        try:
            _write(bundle, directory)
        except OSError as error:
            raise EnvironmentFailure(
                f"cannot be written ({error.strerror})", where=str(error.filename or directory)
            ) from error
    file = directory / "manifests" / f"{bundle.model}.yaml"
    data = bundle.files[f"manifests/{bundle.model}.yaml"]
    manifest = read_manifest(data, file=str(file), stem=bundle.model)
    return Declared(
        manifest=manifest,
        origin=Origin.OPTION,
        file=file,
        env_directory=directory / "envs" / manifest.env,
        digest=digest_bytes(data),
        shown=str(file),
    )


def _write(bundle: Bundle, directory: Path) -> None:
    temporary = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    try:
        for name, data in bundle.files.items():
            parts = PurePosixPath(name).parts
            if PurePosixPath(name).is_absolute() or ".." in parts:
                raise ManifestError(f"the path {name!r} leaves its bundle", where=bundle.model)
            target = temporary.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        try:
            temporary.rename(directory)
        except OSError:
            if not directory.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise ManifestError(f"cannot be read ({error.strerror})", where=str(path)) from error
