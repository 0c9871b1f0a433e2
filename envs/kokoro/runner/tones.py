"""Tones as they are spoken: 一, 不, and third tones before each other. A pure function."""

NUMERALS = "零〇一二三四五六七八九十百千万亿"
COUNTED = "零〇一二三四五六七八九月号日"
"""After 一 they show that it is a number, with its own tone."""
ORDINAL = "第初周期拜" + NUMERALS


def spoken_tones(words, found):
    """Returns the syllables of words with the tones that speakers give them.

    Args:
        words: The words of one run of Chinese characters.
        found: The syllables of each word, with the numbers of their dictionary tones.
    """
    text = "".join(words)
    flat = [syllable for syllables in found for syllable in syllables]
    last = {
        sum(len(word) for word in words[: n + 1]) - 1
        for n in range(len(words))
        if len(words[n]) > 1
    }
    for place, character in enumerate(text):
        if character in "一不":
            flat[place] = of_yi_or_bu(text, flat, place, ends_word=place in last)
    start, edges = 0, []
    for word in words:
        for place in range(start, start + len(word) - 1):  # from left to right inside of a word
            lower(flat, place)
        start += len(word)
        edges.append(start - 1)
    for place in reversed(edges[:-1]):  # and from right to left from word to word
        lower(flat, place)
    flat = iter(flat)
    return [[next(flat) for _ in syllables] for syllables in found]


def lower(flat, place):
    """Gives a third tone before a third tone the second."""
    if flat[place][-1:] == "3" == flat[place + 1][-1:]:
        flat[place] = flat[place][:-1] + "2"


def of_yi_or_bu(text, flat, place, *, ends_word):
    """Returns the syllable of 一 or 不 before what follows it."""
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    tone = flat[place + 1][-1:] if after else ""
    if before and before == after and before not in NUMERALS:  # 看一看, 好不好
        return "yi5" if text[place] == "一" else "bu5"
    if text[place] == "不":
        return "bu2" if tone == "4" else "bu4"
    if not after or ends_word or (before and before in ORDINAL) or after in COUNTED:
        return "yi1"
    return {"4": "yi2", "5": "yi2"}.get(tone, "yi4")
