"""Locks as they are made: resolved, checked against the index, with wheels of a model's own."""
