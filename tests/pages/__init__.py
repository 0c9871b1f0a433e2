"""Rendered pages with known text, and how well they are read."""
