"""`mm doctor`: reads a model's files, the packages of environments and the machine, and explains.

Nothing here changes anything: no file is written, no cache made, no package imported. What is read
goes to `orchestrator.doctor.rules`, which knows what it means.
"""
