"""Where jobs run: `local`, in worker processes of this machine."""

from orchestrator.engines.base import Engine, Task
from orchestrator.engines.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "Task"]
