"""What can be worked out without touching the machine: parsing, digests, plans, values.

Nothing here starts a process, prints, opens a socket or reads the user's variables; files are read
by the callers, who hand over their text.
"""
