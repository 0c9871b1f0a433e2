"""Runs Qwen3-TTS: speaks text with a ready voice, a described one, or one cloned from a recording.

Runs in the model's own environment and imports nothing of the orchestrator. Which of the three a
manifest stands for is its option `type`; the checkpoint must be of that type. Long text is spoken
piece by piece, several at once, and every piece is sent on as soon as it is there.
"""
# ruff: noqa: RUF001 - marks that look alike are what this is about

import json
import re
import unicodedata
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LONGEST_TEXT = 100_000
"""Characters: about two hours of speech, and 700 MB of samples."""
TRACED = 8
"""Frames whose logits are compared between devices."""
FRAME_RATE = 12.5
"""Frames of the codec in a second; each is 1,920 samples at 24 kHz."""
SLOWEST = 3
"""A piece may take so many times longer than most voices need, and `SPARE` frames more."""
SPARE = 50
PAUSES = {"clause": 0.1, "sentence": 0.35, "paragraph": 0.8}
"""Seconds between two pieces, what is quiet in the pieces themselves included."""
QUIET = 0.003
"""Samples below this are not heard."""
REFERENCE = (1.0, 60.0)
"""Seconds that the recording of a voice may last; three to fifteen are best."""

TYPES = {
    "custom_voice": "ready voices (CustomVoice)",
    "voice_design": "described voices (VoiceDesign)",
    "base": "cloned voices (Base)",
}
METHODS = {
    "custom_voice": "generate_custom_voice",
    "voice_design": "generate_voice_design",
    "base": "generate_voice_clone",
}
SMALL = "0b6"
"""The `tts_model_size` of models that were not trained to follow instructions."""
FILES = (
    "config.json", "generation_config.json", "preprocessor_config.json", "tokenizer_config.json",
    "vocab.json", "merges.txt", "speech_tokenizer/config.json",
    "speech_tokenizer/preprocessor_config.json",
)  # fmt: skip
CODES = {
    "zh": "chinese", "en": "english", "ja": "japanese", "ko": "korean", "de": "german",
    "fr": "french", "ru": "russian", "pt": "portuguese", "es": "spanish", "it": "italian",
}  # fmt: skip


class Voice(NamedTuple):
    """A loaded checkpoint: the package's model, its type, and how text is cut for it."""

    tts: Any
    kind: str
    batch: int
    """Pieces that are spoken at once."""
    longest: float
    """Frames that a piece takes at the usual pace."""


class Stopped(Exception):
    """Raised between two steps of the model when the job is to end."""


# -- loading ---------------------------------------------------------------------------------------


def load(context):
    options = context.options
    folder = Path(context.model_dir)
    # Before the package is imported, which takes a quarter of a minute.
    check_files(folder)
    check_type(folder, options["type"])

    import torch
    from qwen_tts import Qwen3TTSModel, Qwen3TTSTokenizer

    place = {"device_map": context.device}
    mps = torch.backends.mps
    if context.device == "mps" and not mps.is_available():
        if not mps.is_built():
            raise RuntimeError("this torch is built without MPS")
        torch.empty(1, device="mps")  # raises, with torch's own reason
    tts = Qwen3TTSModel.from_pretrained(
        str(folder), dtype=getattr(torch, context.dtype), local_files_only=True, **place
    )
    if context.dtype != "float32" or context.device == "mps":
        # In bfloat16 the codec has been reported to speak silence, and Apple's GPU lacks its
        # convolutions (pytorch#144445). It is small: it is read again rather than converted, so
        # that nothing of its weights is lost.
        codec = str(folder / "speech_tokenizer")
        if context.device == "mps":
            place = {"device_map": "cpu"}
        tts.model.load_speech_tokenizer(
            Qwen3TTSTokenizer.from_pretrained(codec, dtype=torch.float32, **place)
        )
    codec = tts.model.speech_tokenizer
    codec.encode, codec.decode = without_onednn(codec.encode), without_onednn(codec.decode)
    return Voice(tts, options["type"], options["batch"], options["piece"] * FRAME_RATE)


def check_files(folder):
    """Raises FileNotFoundError where a file of the checkpoint is missing, by name."""
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"the checkpoint {folder} has no file {name}")
    for part in (folder, folder / "speech_tokenizer"):
        index = part / "model.safetensors.index.json"
        names = {"model.safetensors"}
        if index.is_file():
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        for name in sorted(names):
            if not (part / name).is_file():
                missing = (part / name).relative_to(folder)
                raise FileNotFoundError(f"the checkpoint {folder} has no file {missing}")


def check_type(folder, wanted):
    """Raises ValueError where the checkpoint is not of the type that the manifest stands for."""
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if described.get("model_type") != "qwen3_tts":
        found = described.get("model_type", "none that is named")
        raise ValueError(f"the checkpoint {folder} is of the model {found}, not qwen3_tts")
    found = described.get("tts_model_type")
    if found != wanted:
        raise ValueError(
            f"the checkpoint {folder} is for {TYPES.get(found, found)}, "
            f"and this model needs one for {TYPES[wanted]}"
        )


def without_onednn(call):
    """Returns `call` with oneDNN off while it runs.

    On a CPU, oneDNN of torch 2.6 builds new kernels for every new length of sound, which takes the
    codec seconds to minutes; without it, it is as fast as with kernels that are there.
    """
    from torch.backends import mkldnn

    def called(*arguments, **keywords):
        with mkldnn.flags(enabled=False):
            return call(*arguments, **keywords)

    return called


# -- before loading --------------------------------------------------------------------------------


def check(job, *, text, reference=None, **_):
    """Rejects what could not be spoken, before the model is loaded for it."""
    checked(text, (), job)
    if reference is not None:
        recording(reference, job)


# -- running ---------------------------------------------------------------------------------------


def run(
    model, job, *, text, language="auto", speaker=None, instruct=None, reference=None,
    reference_text=None, seed=0, temperature=None, top_k=None, top_p=None, repetition_penalty=None,
):  # fmt: skip
    import torch

    marks = model.tts.processor.tokenizer.get_added_vocab()
    language = language.strip().lower()
    speak = {"language": choose("language", CODES.get(language, language), model, job)}
    if speaker is not None:
        speak["speaker"] = choose("speaker", speaker, model, job)
    if instruct is not None:
        speak["instruct"] = directed(model, job, readable(instruct, marks))
    pieces = cut(checked(text, marks, job), model.longest)
    speak |= sampling(temperature, top_k, top_p, repetition_penalty)
    if model.kind == "base":
        speak["voice_clone_prompt"] = cloned(model, job, reference, reference_text, marks)

    torch.manual_seed(seed)
    spoken, pause = [], ""
    for start in range(0, len(pieces), model.batch):
        batch = pieces[start : start + model.batch]
        try:
            waves, rate = speak_batch(model, job, batch, start, len(pieces), speak)
        except Stopped:
            return {}
        for piece, wave in zip(batch, waves, strict=True):
            silence = pause_between(spoken[-1], wave, rate, pause) if spoken else wave[:0]
            pause = piece.pause
            spoken.append(np.concatenate([silence, wave]))
            job.emit("audio", (spoken[-1], rate))
    job.progress(len(pieces), len(pieces), "spoken")
    return {"audio": (np.concatenate(spoken), rate)}


def trace(model, job, **inputs):
    """Returns the logits of the first frames, of which each takes the likeliest code."""
    vectors = []

    def keep(_module, _inputs, logits):
        vectors.append(logits[0, -1].float().cpu().numpy())
        if len(vectors) == TRACED:
            raise Stopped

    hook = model.tts.model.talker.codec_head.register_forward_hook(keep)
    try:
        run(model, job, **{**inputs, "temperature": 0})
    finally:
        hook.remove()
    return {"logits": np.stack(vectors)}


def choose(what, asked, model, job):
    """Returns the language or the speaker as the model names it, or rejects the job."""
    known = getattr(model.tts, f"get_supported_{what}s")() or []
    name = re.sub(r"[\s-]+", "_", asked.strip().lower())
    if name not in known:
        job.reject(f"{what}: {asked!r} is not one of {', '.join(known) or 'this model'}")
    return name


def directed(model, job, instruct):
    """Returns the instruction, or rejects a job whose model could not follow it."""
    if model.kind == "voice_design" and not instruct:
        job.reject("instruct: there are no words for the voice")
    if model.kind == "custom_voice" and instruct and model.tts.model.tts_model_size == SMALL:
        # The package would leave it out without a word.
        job.reject("instruct: this model follows no instructions; qwen3-tts-1.7b does")
    return instruct


def sampling(temperature, top_k, top_p, repetition_penalty):
    """Returns the package's keywords for what was given; the checkpoint has values for the rest.

    What is given holds for both parts of the model: the talker, which chooses the first code of a
    frame, and the predictor of the others.
    """
    kept = {} if repetition_penalty is None else {"repetition_penalty": repetition_penalty}
    if temperature == 0:
        return kept | {"do_sample": False, "subtalker_dosample": False}
    given = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    given = {name: value for name, value in given.items() if value is not None}
    return kept | given | {f"subtalker_{name}": value for name, value in given.items()}


def speak_batch(model, job, batch, done, total, speak):
    """Returns the sound of each piece of `batch`, and its rate in Hz.

    Args:
        model: A `Voice`.
        job: Asked for cancellation between two steps, and told of the progress.
        batch: Pieces.
        done: How many pieces were spoken before.
        total: How many there are.
        speak: Further keywords for the package.

    Raises:
        Stopped: When the job was cancelled.
    """
    words = f"speaking {done + 1}" + (f" to {done + len(batch)}" if len(batch) > 1 else "")
    usual = max(piece.frames for piece in batch)

    def tell(frames):
        part = min(0.99, frames / usual)
        job.progress(done + part * len(batch), total, f"{words} of {total}")

    with watched(model, job, tell):
        waves, ended, rate = speak_once(model, batch, speak)
        endless = [number for number, end in enumerate(ended) if not end]
        if endless and speak.get("do_sample", True):
            # It happens to one piece in some hundred, and hardly ever twice.
            job.log(f"speaking again what found no end: {listed(endless, done)}")
            again, ended, _ = speak_once(model, [batch[number] for number in endless], speak)
            for number, wave in zip(endless, again, strict=True):
                waves[number] = wave
            endless = [number for number, end in zip(endless, ended, strict=True) if not end]
        if endless:
            job.warn(f"cut off, as it found no end: {listed(endless, done)}")
    return waves, rate


def listed(numbers, done):
    """Returns the numbers of pieces as a person counts them."""
    return "piece " + ", ".join(str(done + number + 1) for number in numbers)


def speak_once(model, batch, speak):
    """Returns the sound of each piece of `batch`, whether it found its end, and the rate in Hz.

    Nothing else would keep the model from speaking on, so the length of the text bounds it.
    """
    limits = [round(SPARE + SLOWEST * piece.frames) for piece in batch]
    # Of N tokens one is no frame, and the package fails where there is no frame.
    waves, rate = getattr(model.tts, METHODS[model.kind])(
        text=[piece.text for piece in batch], max_new_tokens=max(limits) + 1, **speak
    )
    most = [round(limit * rate / FRAME_RATE) for limit in limits]
    ended = [len(wave) < limit for wave, limit in zip(waves, most, strict=True)]
    cut_off = [np.ascontiguousarray(w[:limit]) for w, limit in zip(waves, most, strict=True)]
    return cut_off, ended, rate


@contextmanager
def watched(model, job, tell):
    """Calls `tell` with the number of frames after each, and stops a job that was cancelled."""
    frames = 0

    def step(*_):
        nonlocal frames
        look()
        frames += 1
        tell(frames)

    def look(*_):
        if job.cancelled:
            raise Stopped

    core = model.tts.model
    hooks = [
        core.talker.register_forward_hook(step),
        # The codec makes the sound of up to 300 frames at once.
        core.speech_tokenizer.model.decoder.register_forward_pre_hook(look),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


# -- the recording of a voice ----------------------------------------------------------------------


def cloned(model, job, path, text, marks):
    """Returns what the package needs in order to speak as in the recording at `path`.

    With the words that are spoken there the voice is nearer; without, only its colour is taken.
    """
    job.progress(0, 0, "listening to the reference")
    text = readable(text or "", marks)
    heard = resampled(*recording(path, job), model.tts.model.speaker_encoder_sample_rate)
    listen = without_onednn(model.tts.create_voice_clone_prompt)
    return listen(ref_audio=heard, ref_text=text or None, x_vector_only_mode=not text)


def recording(path, job):
    """Returns the samples (float32, one channel) of a recording, and its rate; or rejects it."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as opened:
            seconds, rate = opened.frames / opened.samplerate, opened.samplerate
            shortest, longest = REFERENCE
            if not shortest <= seconds <= longest:
                job.reject(
                    f"reference: it lasts {seconds:,.1f} s; "
                    f"between {shortest:g} and {longest:g} s of speech are needed"
                )
            samples = opened.read(dtype="float32", always_2d=True).mean(axis=1)
    except (soundfile.LibsndfileError, OSError, TypeError, ZeroDivisionError) as error:
        reason = getattr(error, "error_string", getattr(error, "strerror", None) or str(error))
        job.reject(f"reference: cannot be read as sound ({reason.rstrip('.')})")
    peak = float(np.abs(samples).max(initial=0))
    if not np.isfinite(peak) or peak < QUIET:
        job.reject("reference: nothing can be heard in it")
    return samples / max(1.0, peak), rate


def resampled(samples, rate, wanted):
    """Returns the samples at the rate `wanted` (Hz), and that rate.

    The package would do it by `librosa.resample`, which does the same, and compiles for 20 s first
    in every new home.
    """
    import soxr

    if rate == wanted:
        return samples, rate
    return soxr.resample(samples, rate, wanted, quality="HQ"), wanted


# -- text: pure functions --------------------------------------------------------------------------


class Piece(NamedTuple):
    """What is spoken in one go."""

    text: str
    frames: float
    """The length at the usual pace."""
    pause: str
    """What kind of pause follows."""


UNSPOKEN = re.compile(
    "[\U0001f000-\U0001faff\u2300-\u23ff\u2600-\u27bf\u2b05-\u2b55\ufe0e\ufe0f\u20e3]"
)
"""Pictures, and the marks that only go with them."""
END = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s)|[。！？｡]+["'”’」』）]*""")
CLAUSE = re.compile(r"[,;:–—]\s|[，、；：]")
ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘„«])(?:[^\W\d_]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|cf|etc|No|Nr|bzw|usw|Mme|Mlle|Sra|Dra)$"
)
"""What stands before a full stop that ends no sentence."""
PACE = {"HANGUL": 2.6, "HIRAGANA": 1.9, "KATAKANA": 1.9, "CJK": 3.0}
"""Frames that a character takes at the usual pace, by the first word of its Unicode name."""
LETTER, DIGIT, OTHER = 0.9, 4.0, 0.4
"""The same for other letters, for digits, and for marks and spaces."""


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


def frames_of(text):
    """Returns the frames that the text takes at the usual pace."""
    return sum(map(pace, text))


def pace(character):
    if character.isascii():
        return LETTER if character.isalpha() else DIGIT if character.isdigit() else OTHER
    if character.isalpha():
        return PACE.get(unicodedata.name(character, "").split(" ")[0].split("-")[0], LETTER)
    return DIGIT if character.isnumeric() else OTHER


def cut(text, longest):
    """Returns the pieces of a readable text, none of more than `longest` frames.

    Paragraphs are spoken apart; a piece holds as many sentences of one as it can. What is too long
    for a piece is cut after a comma or its like, else at a space, else anywhere.
    """
    pieces = []
    for paragraph in re.split(r"\n\s*\n", text):
        grouped = []
        for part, pause in parts_of(join_lines(paragraph), longest):
            joined = f"{grouped[-1][0]}{gap(grouped[-1][0], part)}{part}" if grouped else ""
            if joined and frames_of(joined) <= longest:
                grouped[-1] = (joined, pause)
            else:
                grouped.append((part, pause))
        spoken = [(part, pause) for part, pause in grouped if is_spoken(part)]
        if spoken:
            spoken[-1] = (spoken[-1][0], "paragraph")
        pieces += [Piece(part, frames_of(part), pause) for part, pause in spoken]
    return pieces


def join_lines(paragraph):
    """Returns a paragraph as one line."""
    lines = [line.strip() for line in paragraph.split("\n") if line.strip()]
    joined = lines[0] if lines else ""
    for line in lines[1:]:
        joined += gap(joined, line) + line
    return joined


def gap(before, after):
    """Returns what stands between two texts that are joined: nothing in Chinese and Japanese."""
    return "" if is_dense(before[-1:]) and is_dense(after[:1]) else " "


def is_dense(character):
    """Whether this is written without spaces: Chinese and Japanese, with their marks."""
    return "\u2e80" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"


def parts_of(paragraph, longest):
    """Yields the sentences of a paragraph, long ones in parts, and the pauses after them."""
    for sentence in sentences(paragraph):
        rest = sentence
        while frames_of(rest) > longest:
            end = last_break(rest, longest)
            yield rest[:end].strip(), "clause"
            rest = rest[end:].strip()
        if rest:
            yield rest, "sentence"


def sentences(paragraph):
    """Yields the sentences of a paragraph of one line."""
    start = 0
    for match in END.finditer(paragraph):
        before, after = paragraph[start : match.start()], paragraph[match.end() :].lstrip()
        if after[:1].islower() or (match[0].startswith(".") and ABBREVIATION.search(before)):
            continue
        yield paragraph[start : match.end()].strip()
        start = match.end()
    if rest := paragraph[start:].strip():
        yield rest


def last_break(sentence, longest):
    """Returns where a sentence that is too long is cut, as late as it may be."""
    fits, frames = 0, 0.0
    for character in sentence:
        frames += pace(character)
        if frames > longest:
            break
        fits += 1
    fits = max(1, fits)
    head = sentence[: fits + 1]
    ends = [match.end() for match in CLAUSE.finditer(head) if fits // 3 < match.end() <= fits]
    return ends[-1] if ends else head.rfind(" ") + 1 or fits


def pause_between(before, after, rate, kind):
    """Returns the silence that makes a pause of that kind of what two sounds have of it."""
    quiet = edge(before[::-1]) + edge(after)
    return np.zeros(max(0, round(PAUSES[kind] * rate) - quiet), np.float32)


def edge(wave):
    """Returns how many samples are not heard at the beginning."""
    loud = np.flatnonzero(np.abs(wave) > QUIET)
    return int(loud[0]) if loud.size else len(wave)
