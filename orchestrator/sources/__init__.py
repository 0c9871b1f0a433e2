"""Where models' files come from, whether they are whole, and the directories workers load.

`service` is the facade; nothing is imported here, because every `mm run` asks it whether weights
are there and few go further.
"""
