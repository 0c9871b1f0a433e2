"""Where models' files come from, whether they are whole, and the directories workers load.

`model_sources` is the facade; nothing is imported here, because every `mm run` asks it whether
weights are there and few go further.
"""
