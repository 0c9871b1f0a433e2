"""Where models' files come from, whether they are whole, and the directories workers load."""

from orchestrator.sources.overlays import Overlay
from orchestrator.sources.records import FileRecord, SourceRecord
from orchestrator.sources.service import Sources

__all__ = ["FileRecord", "Overlay", "SourceRecord", "Sources"]
