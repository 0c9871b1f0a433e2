"""The rules: what is wrong with a model, from its text and figures alone, layer by layer.

Nothing here opens a file, imports a model's code or a package of its environment, or guesses at
data flow. What cannot be known from the text is said to be unknown.
"""
