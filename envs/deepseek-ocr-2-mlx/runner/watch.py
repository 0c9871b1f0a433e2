"""The job that is running: its stream, its limit, its end."""

from .marks import document, finished

CONTEXT = 8192
"""Tokens of image, prompt and text together that the model was made for."""


class Stopped(Exception):
    """The job was cancelled."""


class Watch:
    """Streams what the model writes, tells how far it is, and stops it when it is cancelled.

    Args:
        job: The job.
        tokenizer: The model's tokenizer.
        limit: How many tokens may be written.
        labels: Whether labels of marks are text.

    Attributes:
        ended: Whether the model has said that its text is at an end.
    """

    def __init__(self, job, tokenizer, limit, *, labels):
        self.labels = labels
        self.ended = False
        self._job = job
        self._tokenizer = tokenizer
        self._limit = limit
        self._steps = 0
        self._tokens = 0
        self._raw = ""
        self._sent = {"raw": "", "text": ""}

    def check(self):
        """Stop a job that was cancelled, at the next layer and not the next token."""
        if self._job.cancelled:
            raise Stopped

    def step(self):
        """Count a layer of the vision encoder."""
        self.check()
        self._steps += 1
        self._job.progress(0, 0, f"looking at the image, layer {self._steps}")

    def generate(self, original, input_ids, **more):
        """Call the model's own `generate` with a streamer and a limit."""
        self._limit = max(1, min(self._limit, CONTEXT - input_ids.shape[1]))
        more.update(streamer=streamer(self, self._tokenizer), max_new_tokens=self._limit)
        return original(input_ids, **more)

    def token(self):
        """Count a token."""
        self.check()
        self._tokens += 1
        self._job.progress(self._tokens, 0, f"{self._tokens} tokens")

    def text(self, piece):
        """Stream a piece of what is written, and of the text where it is certain already."""
        self._raw += piece
        self._emit("raw", self._raw.strip())  # as `infer` returns it
        if not self.labels:
            self._emit("text", document(finished(self._raw)))

    def end(self, text):
        """Stream what is left of the whole text, and say whether it was cut off."""
        self._emit("text", text)
        if self._tokens >= self._limit and not self.ended:
            self._job.warn(f"cut off after {self._tokens} tokens, as many as may be written")

    def _emit(self, output, text):
        sent = self._sent[output]
        if text.startswith(sent) and len(text) > len(sent):
            self._job.emit(output, text[len(sent) :])
            self._sent[output] = text


def streamer(watch, tokenizer):
    """Return a streamer of transformers that hands what is decoded to `watch`."""
    from transformers import TextStreamer

    end = tokenizer.eos_token

    class Pieces(TextStreamer):
        def put(self, value):
            if not self.next_tokens_are_prompt:
                watch.token()
            super().put(value)

        def on_finalized_text(self, text, stream_end=False):  # noqa: ARG002, FBT002 - its form
            watch.ended = watch.ended or end in text
            text = text.replace(end, "")
            if text:
                watch.text(text)

    return Pieces(tokenizer, skip_prompt=True, skip_special_tokens=False)
