"""The process inside a model's environment: standard library only, Python 3.9 and later.

Started as `<env>/bin/python -I -S <this directory>/__main__.py …`; nothing of the orchestrator is
imported here. The parent's side of the same protocol is `orchestrator.client`, which shares
`frames` and `channel` with this package.
"""
