"""Pinyin to the phonemes that Kokoro was trained on: one syllable with its tone, a pure function.

The symbols are IPA, with one letter for an affricate (ʨ ʦ ꭧ) and arrows for the tones.
"""

import re

TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l",
    "g": "k", "k": "kʰ", "h": "x", "j": "ʨ", "q": "ʨʰ", "x": "ɕ",
    "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s", "": "",
}  # fmt: skip
FINALS = {
    "a": "a_", "o": "wo_", "e": "ɤ_", "ê": "ɛ_", "ai": "ai_", "ei": "ei_", "ao": "au_", "ou": "ou_",
    "an": "a_n", "en": "ə_n", "ang": "a_ŋ", "eng": "ə_ŋ", "ong": "ʊ_ŋ", "er": "ɚ_",
    "i": "i_", "ia": "ja_", "ie": "je_", "iao": "jau_", "iu": "jou_", "ian": "jɛ_n", "in": "i_n",
    "iang": "ja_ŋ", "ing": "i_ŋ", "iong": "jʊ_ŋ", "io": "jɔ_",
    "u": "u_", "ua": "wa_", "uo": "wo_", "uai": "wai_", "ui": "wei_", "uan": "wa_n", "un": "wə_n",
    "uang": "wa_ŋ", "ueng": "wə_ŋ", "ü": "y_", "üe": "ɥe_", "üan": "ɥɛ_n", "ün": "y_n",
}  # fmt: skip
"""With _ where the mark of the tone stands."""
WHOLE = {"o": "ɔ_", "m": "m_", "n": "n_", "ng": "ŋ_", "hm": "hm_", "hng": "hŋ_"}
SPELLINGS = [  # how a syllable without an initial, and ü, are spelled: in this order
    ("^yu", "ü"), ("^yi", "i"), ("^yong", "iong"), ("^you", "iu"), ("^y", "i"),
    ("^wu", "u"), ("^wei", "ui"), ("^wen$", "un"), ("^w", "u"),
    ("^([jqx])u", r"\1ü"), ("v", "ü"), ("^([nl])ue", r"\1üe"),
]  # fmt: skip
SYLLABLE = re.compile("([zcs]h|[bpmfdtnlgkhjqxrzcs]|)(.+)")


def phonemes(syllable):
    """Returns the phonemes of a syllable such as "zhong1", or None where it is no syllable.

    Args:
        syllable: Pinyin in small letters, ü or v, and the tone as a digit, 5 for none; an "r"
            before the digit joins 儿 to it ("dianr3").
    """
    spelled, tone = syllable[:-1], TONES.get(syllable[-1:])
    if tone is None:
        return None
    if spelled in WHOLE:
        return WHOLE[spelled].replace("_", tone)
    ending = ""
    if spelled.endswith("r") and spelled != "er":
        spelled, ending = spelled[:-1], "ɻ"
    for pattern, plain in SPELLINGS:
        spelled = re.sub(pattern, plain, spelled)
    found = SYLLABLE.fullmatch(spelled)
    final = FINALS.get(found[2]) if found else None
    if final is None:
        return None
    if found[2] == "i" and found[1] in ("zh", "ch", "sh", "r", "z", "c", "s"):
        final = "ɨ_"
    if ending:  # 儿 takes the place of the end of its syllable
        final = re.sub("_n$|(?<=a)i_$", "_", final)
    return INITIALS[found[1]] + final.replace("_", tone) + ending
