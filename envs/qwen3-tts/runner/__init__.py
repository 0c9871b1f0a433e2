"""Runs Qwen3-TTS: speaks text with a ready voice, a described one, or one cloned from a recording.

Runs in the model's own environment and imports nothing of the orchestrator. Which of the three a
manifest stands for is its option `type`; the checkpoint must be of that type. Long text is spoken
piece by piece, several at once, and every piece is sent on as soon as it is there.
"""

import re
from pathlib import Path

import numpy as np

from .checkpoint import check_files, check_type
from .onednn import without_onednn
from .pauses import pause_between
from .pieces import cut
from .recording import recording
from .reference import cloned
from .speaking import FRAME_RATE, Stopped, Voice, speak_batch
from .text import checked, readable

SMALL = "0b6"
"""The `tts_model_size` of models that were not trained to follow instructions."""
TRACED = 8
"""Steps of the talker that are kept; the first reads the prompt, and each gives a frame."""
CODES = {
    "zh": "chinese", "en": "english", "ja": "japanese", "ko": "korean", "de": "german",
    "fr": "french", "ru": "russian", "pt": "portuguese", "es": "spanish", "it": "italian",
}  # fmt: skip


def load(context):
    options = context.options
    folder = Path(context.model_dir)
    # Before the package is imported, which takes a quarter of a minute.
    check_files(folder)
    check_type(folder, options["type"])

    import torch
    from qwen_tts import Qwen3TTSModel, Qwen3TTSTokenizer

    torch.empty(1, device=context.device)  # where it cannot be used, torch says why
    place = {"device_map": context.device}
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


def miniature(context, directory):
    from .tiny import write_checkpoint

    write_checkpoint(Path(directory), context.options["type"])


def check(job, *, text, reference=None, **_):
    """Rejects what could not be spoken, before the model is loaded for it."""
    checked(text, (), job)
    if reference is not None:
        recording(reference, job)


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
    """Returns what the talker takes and gives in the first frames, of the likeliest codes."""
    talker, kept = model.tts.model.talker, {"inputs": [], "hidden": [], "logits": [], "codes": []}

    def keep(name, values):
        kept[name].append(values.float().cpu().numpy())

    def begins(_module, _inputs, given):
        if len(kept["logits"]) == TRACED:
            raise Stopped
        keep("inputs", given["inputs_embeds"][0])

    def ends(_module, inputs, logits):
        keep("hidden", inputs[0][0, -1])
        keep("logits", logits[0, -1])

    def gives(_module, _inputs, output):
        if (codes := output.hidden_states[1]) is not None:  # those of the frame before
            keep("codes", codes[0])

    hooks = [
        talker.model.register_forward_pre_hook(begins, with_kwargs=True),
        talker.codec_head.register_forward_hook(ends),
        talker.register_forward_hook(gives),
    ]
    try:
        run(model, job, **{**inputs, "temperature": 0})
    finally:
        for hook in hooks:
            hook.remove()
    prompt, *frames = kept["inputs"]
    arrays = {name: np.stack(kept[name]) for name in ("hidden", "logits", "codes") if kept[name]}
    return {"prompt": prompt, **arrays} | ({"frames": np.concatenate(frames)} if frames else {})


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
