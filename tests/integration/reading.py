"""How well a text was read: the character error rate."""


def character_error_rate(read, expected):
    """Return edits per expected character; runs of white space count as one space."""
    read, expected = " ".join(read.split()), " ".join(expected.split())
    return edit_distance(read, expected) / len(expected)


def edit_distance(one, other):
    """Return how many letters must be put in, left out or changed to make `other` of `one`."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, wanted in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (letter != wanted))
    return row[-1]
