"""Spoken passages as one book: its plan, its loudness, and files with chapters, tags and a cover.

PyAV is an extra of the project (`audio`), and imported when something is measured or encoded.
"""
