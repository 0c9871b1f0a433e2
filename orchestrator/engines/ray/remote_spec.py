"""What a worker is started from that is prepared on the node where it will run."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.canonical import digest

if TYPE_CHECKING:
    from orchestrator.engines.ray.bundles import Bundle


class RemoteWorkerSpec(msgspec.Struct, frozen=True, dict=True):
    """A worker that is prepared on the machine where it will run.

    Attributes:
        bundle: The model as content.
        device: The device that was chosen for it.
        dtype: The data type.
        need: Bytes of memory that the manifest says it needs; 0 where it does not say.
        threads: How many threads a job of it may use.
        record: What is known here of the model's files (JSON); empty where they are not here.
        model_dir: The directory on the node that holds the model's files; empty for none.
        precision: The data type of the converted weights that these files are; else empty.
    """

    bundle: Bundle
    device: str
    dtype: str
    need: int = 0
    threads: int | None = None
    record: bytes = b""
    model_dir: str = ""
    precision: str = ""

    @cached_property
    def digest(self) -> str:
        """The digest of everything that its workers are started from."""
        return digest(
            [self.bundle.digest, self.device, self.dtype, self.record.decode(), self.model_dir]
        )
