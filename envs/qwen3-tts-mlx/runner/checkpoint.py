"""What a checkpoint must be, looked at before the package is imported."""

import json

TYPES = {
    "custom_voice": "ready voices (CustomVoice)",
    "voice_design": "described voices (VoiceDesign)",
    "base": "cloned voices (Base)",
}
FILES = (
    "config.json", "generation_config.json", "preprocessor_config.json", "tokenizer_config.json",
    "vocab.json", "merges.txt", "speech_tokenizer/config.json",
    "speech_tokenizer/preprocessor_config.json",
)  # fmt: skip


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
