"""A tiny checkpoint of the model's architecture: random weights, and a tokenizer of its own.

It has the very files that a download has, and the same ones every time. The sizes are small;
everything else is what the package's classes demand:

- the codec's rates multiply to 1,920 samples a frame, its encoder's and its decoder's alike;
- `sum(mrope_section)` is half the talker's head size;
- the talker's vocabulary is the codes and 1,024 marks;
- "assistant" is one token, because the package counts tokens to find the text between its marks;
- codebooks are filled, because the package leaves them at zero, and every sound would be one sound.
"""

import json

import torch
from qwen_tts.core.models import Qwen3TTSConfig, Qwen3TTSForConditionalGeneration
from qwen_tts.core.tokenizer_12hz.configuration_qwen3_tts_tokenizer_v2 import (
    Qwen3TTSTokenizerV2Config,
)
from qwen_tts.core.tokenizer_12hz.modeling_qwen3_tts_tokenizer_v2 import Qwen3TTSTokenizerV2Model
from safetensors.torch import save_file

TYPES = ("custom_voice", "voice_design", "base")
SIZES = {"custom_voice": "0b6", "voice_design": "1b7", "base": "0b6"}
CODES, CODEBOOKS, WIDTH, HEAD = 16, 3, 32, 16
"""Entries of a codebook, codebooks, numbers in a hidden state, and in a head of attention.

So few codes let speech end by chance, after some twenty frames.
"""

MARKS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>"
]  # fmt: skip
LAYERS = {
    "hidden_size": WIDTH,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": HEAD,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
}

FILLED = (torch.nn.Conv1d, torch.nn.ConvTranspose1d, torch.nn.Linear, torch.nn.Embedding)


def write_checkpoint(directory, kind, gain=1, change=lambda _talker, _codec: None):
    """Write a checkpoint of the type `kind`.

    Layers are multiplied by `gain`, which errors of rounding grow with; `change` gets what becomes
    the two `config.json`.
    """
    codec = directory / "speech_tokenizer"
    codec.mkdir(parents=True)
    # With these seeds short texts end soon, and differ in what is heard.
    torch.manual_seed(30 + TYPES.index(kind))
    talks, sounds = configuration(kind, write_tokenizer(directory)), codec_configuration()
    change(talks, sounds)
    write_json(directory / "config.json", talks)
    write_json(directory / "generation_config.json", GENERATION)
    save(Qwen3TTSForConditionalGeneration(Qwen3TTSConfig(**talks)), directory, gain)
    write_json(codec / "config.json", sounds)
    write_json(codec / "preprocessor_config.json", LISTENING)
    save(Qwen3TTSTokenizerV2Model(Qwen3TTSTokenizerV2Config(**sounds)), codec, gain)


def configuration(kind, words):
    """Return the `config.json` of a talker of the type `kind` with `words`, ids of tokens."""
    marks = ["eos", "think", "nothink", "think_bos", "think_eos", "pad", "bos"]
    voices = {"vivian": False, "ryan": False, "dylan": "beijing_dialect"}
    languages = ["chinese", "english", "japanese", "german", "beijing_dialect"]
    ids = iter(range(CODES, CODES + 1024))
    return {
        "architectures": ["Qwen3TTSForConditionalGeneration"],
        "model_type": "qwen3_tts",
        "tokenizer_type": "qwen3_tts_tokenizer_12hz",
        "tts_model_size": SIZES[kind],
        "tts_model_type": kind,
        "im_start_token_id": words["<|im_start|>"],
        "im_end_token_id": words["<|im_end|>"],
        "tts_pad_token_id": words["<tts_pad>"],
        "tts_bos_token_id": words["<tts_text_bos>"],
        "tts_eos_token_id": words["<tts_text_eod>"],
        "speaker_encoder_config": {
            "enc_dim": WIDTH,
            "enc_channels": [16, 16, 16, 16, 48],
            "enc_attention_channels": 8,
            "enc_res2net_scale": 4,
            "enc_se_channels": 8,
        },
        "talker_config": {
            **LAYERS,
            "vocab_size": CODES + 1024,
            "text_vocab_size": len(words),
            "text_hidden_size": WIDTH,
            "num_code_groups": CODEBOOKS,
            "rope_scaling": {
                "interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"
            },
            **{f"codec_{mark}{'_token' * (mark == 'eos')}_id": next(ids) for mark in marks},
            "codec_language_id": {name: next(ids) for name in languages},
            "spk_id": {name: next(ids) for name in voices} if kind == "custom_voice" else {},
            "spk_is_dialect": voices if kind == "custom_voice" else {},
            "code_predictor_config": {
                **LAYERS, "vocab_size": CODES, "num_code_groups": CODEBOOKS
            },
        },
    }  # fmt: skip


def codec_configuration():
    """Return the `config.json` of the speech tokenizer."""
    return {
        "architectures": ["Qwen3TTSTokenizerV2Model"],
        "model_type": "qwen3_tts_tokenizer_12hz",
        "encoder_valid_num_quantizers": CODEBOOKS,
        "encoder_config": {
            **LAYERS,
            "num_filters": 4,
            "upsampling_ratios": [8, 6, 5, 4],  # and 2 by the encoder's last step
            "upsample_groups": WIDTH,
            "codebook_size": CODES,
            "codebook_dim": HEAD,
            "vector_quantization_hidden_dimension": HEAD,
            "num_quantizers": CODEBOOKS,
        },
        "decoder_config": {
            **LAYERS,
            "codebook_size": CODES,
            "codebook_dim": WIDTH,
            "latent_dim": WIDTH,
            "decoder_dim": WIDTH,
            "num_quantizers": CODEBOOKS,
            "upsample_rates": [8, 5, 4, 3],
            "upsampling_ratios": [2, 2],
        },
    }


GENERATION = {
    "do_sample": True,
    "temperature": 0.9,
    "top_k": 50,
    "top_p": 1.0,
    "repetition_penalty": 1.05,
    "subtalker_dosample": True,
    "subtalker_temperature": 0.9,
    "subtalker_top_k": 50,
    "subtalker_top_p": 1.0,
    "max_new_tokens": 8192,
}
LISTENING = {
    "feature_extractor_type": "EncodecFeatureExtractor",
    "feature_size": 1,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
    "sampling_rate": 24000,
}


def write_tokenizer(directory):
    """Write a byte-level tokenizer that knows the words of the dialogue; return its ids."""
    signs = list(byte_signs())
    words, merges = list(signs), []
    for word in ("assistant", "user"):
        for end in range(2, len(word) + 1):
            merges.append(f"{word[: end - 1]} {word[end - 1]}")
            words.append(word[:end])
    ids = {word: number for number, word in enumerate(words + MARKS)}
    write_json(directory / "vocab.json", {word: ids[word] for word in words})
    text = "\n".join(["#version: 0.2", *merges, ""])
    (directory / "merges.txt").write_text(text, encoding="utf-8")
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "processor_class": "Qwen3TTSProcessor",
        "added_tokens_decoder": {
            str(ids[mark]): {"content": mark, "special": True, "lstrip": False, "rstrip": False,
                             "normalized": False, "single_word": False}
            for mark in MARKS
        },
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
    }  # fmt: skip
    write_json(directory / "tokenizer_config.json", settings)
    write_json(directory / "preprocessor_config.json", {"processor_class": "Qwen3TTSProcessor"})
    return ids


def byte_signs():
    """Yield the printable character by which byte-level vocabularies write each of 256 bytes."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    unprintable = [byte for byte in range(256) if byte not in printable]
    for byte in range(256):
        yield chr(byte if byte in printable else 256 + unprintable.index(byte))


def save(model, directory, gain):
    """Fill what the package leaves at zero or next to it, and write the weights of `model`."""
    for module in model.modules():
        if isinstance(module, FILLED):
            module.reset_parameters()
            module.weight.data *= gain if isinstance(module, torch.nn.Linear) else 1
    weights = model.state_dict()
    for name, values in weights.items():
        if name.endswith(("embedding_sum", "embed_sum")):
            values.normal_()
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


def write_json(path, data):
    """Write `data` to `path`."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
