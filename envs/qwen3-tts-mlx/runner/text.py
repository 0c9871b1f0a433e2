"""What of a text is spoken, or why nothing is."""

import re
import unicodedata

LONGEST_TEXT = 100_000
"""Characters: about two hours of speech, and 700 MB of samples."""
UNSPOKEN = re.compile(
    "[\U0001f000-\U0001faff\u2300-\u23ff\u2600-\u27bf\u2b05-\u2b55\ufe0e\ufe0f\u20e3]"
)
"""Pictures, and the marks that only go with them."""


def checked(text, marks, job):
    """Returns the text that is to be spoken, or rejects the job."""
    if not text.strip():
        job.reject("there is no text to speak")
    if len(text) > LONGEST_TEXT:
        job.reject(
            f"the text has {len(text):,} characters and the limit is {LONGEST_TEXT:,}; "
            "speak it in parts"
        )
    text = readable(text, marks)
    if not is_spoken(text):
        job.reject("the text has no letters or digits that could be spoken")
    return text


def readable(text, marks):
    """Returns the text without pictures, control characters and the model's own marks.

    The marks must go: the package finds the text between them.
    """
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"\r\n?|[\u2028\v\f\x85]", "\n", text).replace("\u2029", "\n\n")
    text = UNSPOKEN.sub(" ", text)
    text = "".join(
        c if c == "\n" or unicodedata.category(c)[0] != "C" else " " * (c == "\t") for c in text
    )
    for mark in sorted(marks, key=len, reverse=True):
        text = text.replace(mark, " ")
    return re.sub(r"[^\S\n]+", " ", text).strip()


def is_spoken(text):
    """Whether there is anything in the text that has a sound."""
    return any(c.isalnum() for c in text)
