"""Run machine-learning models whose Python dependencies contradict each other, side by side."""

__version__ = "0.1.0"
