"""Runs hibari: speaks English text, sentence by sentence, with the voice its package carries.

Runs in the model's own environment and imports nothing of the orchestrator. Nothing is written
and nothing is downloaded.
"""
# ruff: noqa: RUF001 - marks that look alike are what this is about

import re
import unicodedata

import numpy as np

LONGEST_TEXT = 100_000
"""Characters: about two hours of speech, and 300 MB of samples."""
LONGEST_PIECE = 280
"""Characters that are spoken in one breath."""
MOST_PHONEMES = 400
"""What the model takes at once (`hibari.tts.MAX_PHONEMES`); a few digits can make many."""
PAUSES = {"clause": 0.15, "sentence": 0.4, "paragraph": 0.9}
"""Seconds of silence after a piece, at speed 1."""
SILENCE, MARGIN = 0.005, 0.05
"""Samples quieter than the first lie outside of speech, but for so many seconds around it."""

TITLES = re.compile(
    r"(Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Rev|Hon|Gen|Col|Maj|Capt|Cmdr|Lt|Sgt|Gov|Sen|Rep|Pres|Mt|Messrs"
    r"|vs|cf|viz|approx|e\.g|i\.e)"
)
"""Their full stop never ends a sentence."""
BEFORE_NUMBERS = re.compile(
    r"(Nos?|Figs?|Vol|Ch|Sec|Art|pp?|ca?|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
)
"""Their full stop does not end a sentence where a number follows."""
END = re.compile(r"""[.!?…]+["'”’)\]]*\s+(?=\S)""")
CLAUSE = re.compile(r"[,;:—–)]\s+")
LONG_NUMBER = re.compile(r"[0-9][0-9,]{15,}")
"""Spoken digit by digit: hibari has no name for numbers beyond decillions."""
SHOWN = 10
"""Characters that are named of those that are left out."""
MARKS = str.maketrans("。，、！？；：（）《》「」『』【】", '.,,!?;:()""""""""')


def load(context):
    from hibari import Hibari  # here, so that what splits text can be tested without it

    model = Hibari(threads=context.options.get("threads", 1))
    model.g2p("Load the lexicon, the tagger and the reader of unknown words: xyloquent.")
    return model


def run(model, job, *, text, speed=1.0, seed=0):
    if not text.strip():
        job.reject("there is no text to speak")
    if len(text) > LONGEST_TEXT:
        job.reject(
            f"the text has {len(text):,} characters and the limit is {LONGEST_TEXT:,}; "
            "speak it in parts"
        )
    if lost := left_out(text):
        named = "".join(dict.fromkeys(lost))
        shown = named if len(named) <= SHOWN else f"{named[:SHOWN]}…"
        job.warn(f"left out {len(lost):,} of {len(text):,} characters: {shown}")
    spoken = []
    for piece, pause in pieces(readable(text)):
        parts = phonemes_of(model, piece)
        spoken += [(phonemes, "clause") for phonemes in parts[:-1]]
        spoken += [(phonemes, pause) for phonemes in parts[-1:]]
    if not spoken:
        job.reject(
            "the text has no Latin letters or digits that could be spoken; this voice is English"
        )
    noise = np.random.default_rng(seed)
    chunks = []
    for number, (phonemes, pause) in enumerate(spoken):
        if job.cancelled:
            return {}
        job.progress(number, len(spoken), "speaking")
        voice = trimmed(model.from_ids(model.ids(phonemes), speed, noise), model.sample_rate)
        pause_length = PAUSES[pause] / speed if number + 1 < len(spoken) else 0
        silence = np.zeros(round(pause_length * model.sample_rate), np.float32)
        chunks.append(np.int16(np.clip(np.concatenate([voice, silence]), -1, 1) * 32767))
        job.emit("audio", (chunks[-1], model.sample_rate))
    job.progress(len(spoken), len(spoken), "spoken")
    return {"audio": (np.concatenate(chunks), model.sample_rate)}


def phonemes_of(model, piece):
    """Returns what the model is to say for a piece: nothing, or strings that it takes at once."""
    phonemes = model.g2p(piece)
    if len(phonemes) > MOST_PHONEMES:
        return [
            p for half in clauses_of(piece, len(piece) // 2 + 1) for p in phonemes_of(model, half)
        ]
    return [phonemes] if any(map(str.isalpha, phonemes)) else []


def trimmed(voice, rate):
    """Returns speech without the silence around it, which is long and not the same everywhere."""
    loud = np.flatnonzero(np.abs(voice) > SILENCE)
    if not loud.size:
        return voice
    margin = round(MARGIN * rate)
    return voice[max(0, loud[0] - margin) : loud[-1] + margin]


# -- text: pure functions --------------------------------------------------------------------------


def readable(text):
    """Returns the text with what an English reader could not say left out.

    Letters of other scripts, pictures and control characters become spaces; full-width forms,
    ligatures and Chinese marks become their plain relatives. Line breaks stay.
    """
    text = "".join(c if is_readable(c) else number_of(c) for c in plain(text))
    text = LONG_NUMBER.sub(lambda m: " ".join(re.sub("[^0-9]", "", m[0])), text)
    return re.sub(r"[^\S\n]+", " ", text)


def plain(text):
    """Returns the text with plain marks, forms and line breaks, and nothing that is invisible."""
    text = unicodedata.normalize("NFC", text.translate(MARKS))
    text = re.sub(
        "[\ufb00-\ufb06\uff01-\uff5e]", lambda m: unicodedata.normalize("NFKC", m[0]), text
    )
    text = re.sub(r"\r\n?|[\u2028\u2029\v\f]", "\n", text)
    return re.sub("[\u00ad\u200b-\u200f\ufeff]", "", text)


def is_readable(character):
    """Whether hibari knows what to do with this: Latin letters, digits, marks, money, sums."""
    if character.isascii():
        return character == "\n" or character.isprintable()
    if character.isalpha():
        return unicodedata.name(character, "").startswith("LATIN ")
    return unicodedata.category(character) in ("Pd", "Pi", "Pf", "Po", "Sc", "Sm", "Zs") or (
        character == "°"
    )


def left_out(text):
    """Returns what is not spoken of the text, in its order: letters, numbers and pictures."""
    return [c for c in plain(text) if not is_readable(c) and number_of(c) == " " and is_said(c)]


def is_said(character):
    """Whether a reader who knows every script would say it; an ornament such as ■ is not said."""
    category = unicodedata.category(character)
    return category[0] in "LN" or (category == "So" and character >= "☀")


def number_of(character):
    """Returns in plain digits a number that is one character ("½", "²", "①"), else a space."""
    if character in "²³":
        return {"²": " squared", "³": " cubed"}[character]
    if unicodedata.category(character) != "No":
        return " "
    plain = unicodedata.normalize("NFKC", character).replace("⁄", "/")
    return f" {plain} " if plain.isascii() else " "


def pieces(text):
    """Returns what is spoken in one breath, each with the kind of pause that follows it."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        for passage in unwrapped(paragraph):
            for sentence in sentences(passage):
                clauses = clauses_of(sentence)
                found += [(clause, "clause") for clause in clauses[:-1]]
                found += [(clause, "sentence") for clause in clauses[-1:]]
        if found:
            found[-1] = (found[-1][0], "paragraph")
    return found


def unwrapped(paragraph):
    """Returns the lines of a paragraph, with those joined that only ran out of width.

    A line goes on in the next where that begins with a small letter, or where the line is long and
    ends neither with a mark nor with a number (which is how the rows of a receipt end).
    """
    lines = [" ".join(line.split()) for line in paragraph.split("\n")]
    lines = [line for line in lines if line]
    longest = max(map(len, lines), default=0)
    passages = []
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else ""
        if before.endswith("-") and before[-2:-1].isalpha() and line[:1].islower():
            passages[-1] = passages[-1][:-1] + line
        elif before and (
            line[:1].islower()
            or (len(before) > 0.6 * longest and (before[-1].isalpha() or before[-1] in ",;"))
        ):
            passages[-1] += " " + line
        else:
            passages.append(line)
    return passages


def sentences(passage):
    """Returns the sentences of a passage of one line."""
    found, start = [], 0
    for match in END.finditer(passage):
        if ends_sentence(passage[start : match.start() + 1], match[0], passage[match.end() :]):
            found.append(passage[start : match.end()].strip())
            start = match.end()
    return [s for s in [*found, passage[start:].strip()] if s]


def ends_sentence(before, marks, after):
    """Whether the full stop at the end of `before`, or another mark, ends a sentence."""
    following = after.lstrip("\"'“‘([")[:1]
    if following.islower():
        return False
    if not marks.startswith(".") or marks.startswith(".."):
        return True
    word = before[:-1].split(" ")[-1].lstrip("\"'“‘([")
    initial = len(word) == 1 and word.isupper() and word != "I"
    acronym = "." in word and word.replace(".", "").isupper()
    number_follows = BEFORE_NUMBERS.fullmatch(word) and following.isdigit()
    return not (TITLES.fullmatch(word) or initial or acronym or number_follows)


def clauses_of(sentence, limit=LONGEST_PIECE):
    """Returns a sentence in pieces of at most `limit` characters.

    It is cut after a comma or another such mark, else at a space, else anywhere.
    """
    found = []
    while len(sentence) > limit:
        head = sentence[: limit + 1]
        ends = [match.end() for match in CLAUSE.finditer(head)]
        end = ends[-1] if ends and ends[-1] > limit // 4 else head.rfind(" ") + 1
        end = end or limit
        found.append(sentence[:end].strip())
        sentence = sentence[end:]
    return [clause for clause in [*found, sentence.strip()] if clause]
