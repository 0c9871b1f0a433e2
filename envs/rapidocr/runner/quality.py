"""How far the reading of a page can be trusted."""

DOUBTFUL = 0.8
"""The mean score per letter below which the page as a whole is doubtful."""


def assess(lines, kept, turn):
    """Returns figures of a page, as JSON values.

    Args:
        lines: All lines, as `read_lines` returns them.
        kept: Those whose text is delivered.
        turn: Degrees by which the page is to be turned clockwise.
    """
    letters = sum(len(line["text"]) for line in kept)
    score = sum(line["score"] * len(line["text"]) for line in kept) / letters if letters else None
    left_out = len(lines) - len(kept)
    return {
        "score": score and round(score, 4),
        "lines": len(kept),
        "left_out": left_out,
        "turn": turn,
        "blank": not lines,
        "doubtful": bool(lines) and (score is None or score < DOUBTFUL or left_out > len(kept)),
    }


def warning(quality):
    """Returns why the page as a whole is doubtful, in one sentence."""
    found = quality["lines"] + quality["left_out"]
    score = f"{quality['score']:.2f}" if quality["score"] else "none"
    return (
        f"the page is hardly legible: mean score {score}, "
        f"{quality['left_out']} of {found} lines left out; try a sharper or larger image"
    )
