"""The parent's side of a worker: its environment, its start, its messages and its end.

`orchestrator.worker` is the other side, inside the model's environment.
"""
