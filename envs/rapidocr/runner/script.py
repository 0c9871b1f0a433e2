"""How scripts are written: what stands between two letters."""


def joined(before, after):
    """Returns two parts of one line as a person would write them: Chinese without a space."""
    space = " " if before and after and not (is_han(before[-1]) and is_han(after[0])) else ""
    return before + space + after


def is_han(character):
    """Whether this is written without spaces between words: Chinese and Japanese, with marks."""
    return (
        "\u2e80" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff"
        or "\uff00" <= character <= "\uffef" or character >= "\U00020000"
    )  # fmt: skip
