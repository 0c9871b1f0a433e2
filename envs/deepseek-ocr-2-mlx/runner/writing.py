"""The text, token by token."""

from collections import defaultdict, deque

END = 1
"""The token that ends a text."""

REPEATED = 35
"""No sequence of so many tokens is written twice; the model's own code has this limit."""


def write(reader, values, tokens, *, streamer, max_new_tokens):
    """Return the tokens that the model finds likeliest, up to the end of the text.

    Args:
        reader: The loaded model.
        values: The prompt as the language model takes it, shaped one by tokens by width.
        tokens: The prompt, shaped one by tokens.
        streamer: Takes the prompt and each token, as a streamer of transformers does.
        max_new_tokens: The limit.
    """
    import mlx.core as mx
    import numpy as np
    from mlx_vlm.models.cache import make_prompt_cache

    language = reader.model.language_model
    cache = make_prompt_cache(language)
    repeats = Repeats(tokens[0].tolist())
    streamer.put(tokens)
    returned = []
    while len(returned) < max_new_tokens:
        hidden = language.model(None, inputs_embeds=values, cache=cache)
        logits = language.lm_head(hidden[:, -1])[0].astype(mx.float32)
        reader.keep("logits", logits)
        token = likeliest(logits, repeats)
        returned.append(token)
        streamer.put(np.array([token]))
        if token == END:
            break
        values = language.model.embed_tokens(mx.array([[token]]))
    streamer.end()
    return returned


def likeliest(logits, repeats):
    """Return the likeliest token that ends no sequence which was there before."""
    import mlx.core as mx

    token = mx.argmax(logits).item()
    if token in (banned := repeats.banned()):
        logits[mx.array(sorted(banned))] = -mx.inf
        token = mx.argmax(logits).item()
    repeats.add(token)
    return token


class Repeats:
    """What followed each sequence of `REPEATED` - 1 tokens.

    Args:
        tokens: Those that were there before the first is written.
    """

    def __init__(self, tokens):
        self._last = deque(maxlen=REPEATED - 1)
        self._followed = defaultdict(set)
        for token in tokens:
            self.add(token)

    def add(self, token):
        """Count a token."""
        if len(self._last) == self._last.maxlen:
            self._followed[tuple(self._last)].add(token)
        self._last.append(token)

    def banned(self):
        """Return the tokens that would end a sequence which was there before."""
        return self._followed.get(tuple(self._last), set())
