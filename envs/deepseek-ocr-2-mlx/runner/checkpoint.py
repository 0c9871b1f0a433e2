"""The weights: as DeepSeek or transformers have saved them, or as mlx-vlm has converted them."""

import json

HEAD = 64
"""Numbers in a head of attention of the encoder's second half."""

NAMED = 6
"""Lines of an error of MLX that are shown: what is wrong, and some names."""


def load_model(directory):
    """Return the model with its weights as they are stored, which are not read yet.

    Raises:
        ValueError: When the files do not hold exactly the model's parameters.
    """
    import mlx.core as mx
    from mlx_vlm.models import deepseekocr_2 as package
    from mlx_vlm.utils import load_model_weights

    stored = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    text = package.TextConfig.from_dict(language_of(stored))
    weights = {}
    for path in sorted(directory.glob("*.safetensors")):
        weights.update(mx.load(str(path)))
    weights = package.Model.sanitize(weights)
    sizes = Sizes(weights)
    vision = package.VisionConfig(model_type="vision", params={"qwen2": sizes.encoder()})
    projector = package.ProjectorConfig(input_dim=sizes.width, n_embed=text.hidden_size)
    model = package.Model(package.ModelConfig(text, vision, projector, "deepseekocr_2"))
    model.sam_model = sizes.sam()
    weights = model.vision_model.sanitize(weights)
    weights = model.language_model.sanitize(weights)
    try:
        return load_model_weights(model, stored, weights, directory, lazy=True)
    except ValueError as error:  # a line for each name
        found = " ".join(line.strip() for line in str(error).splitlines()[:NAMED])
        raise ValueError(f"the weights are not the model's: {found}") from error


def language_of(stored):
    """Return what a configuration says of the language model, as the published one says it.

    Raises:
        ValueError: When the configuration is of another model.
    """
    kind = stored.get("model_type")
    if kind == "deepseek_ocr2":  # the port in transformers
        from transformers import DeepseekOcr2Config

        text = DeepseekOcr2Config.from_dict(stored).text_config
        dense = text.mlp_layer_types.count("dense")
        theta = text.rope_parameters["rope_theta"]
        return {**text.to_dict(), "first_k_dense_replace": dense, "rope_theta": theta}
    if kind != "deepseekocr_2" and "DeepseekOCR2ForCausalLM" not in stored.get("architectures", ()):
        raise ValueError(f"config.json is of {kind}, not of DeepSeek-OCR-2")
    return stored.get("language_config") or stored["text_config"]


class Sizes:
    """Those of the vision encoder, from the shapes of its weights.

    The published configuration does not have them, and mlx-vlm has them in its code.

    Args:
        weights: By their names in mlx-vlm.

    Attributes:
        width: Numbers for each token of the image.
    """

    def __init__(self, weights):
        self._weights = weights
        (self.width,) = self._shape("vision_model.qwen2_encoder.norm.weight")

    def encoder(self):
        """Return the sizes of the encoder's second half, by the names of mlx-vlm."""
        first = "vision_model.qwen2_encoder.layers"
        return {
            "dim": self.width,
            "layers": self._count(first),
            "heads": self.width // HEAD,
            "kv_heads": self._shape(f"{first}.0.self_attn.k_proj.weight")[0] // HEAD,
            "intermediate_size": self._shape(f"{first}.0.mlp.gate_proj.weight")[0],
        }

    def sam(self):
        """Return the encoder's first half."""
        from mlx import nn
        from mlx_vlm.models.deepseekocr.sam import SAMEncoder

        _, grid, _, width = self._shape("sam_model.pos_embed")
        patch = self._shape("sam_model.patch_embed.proj.weight")[2]
        tables = [
            self._shape(f"sam_model.blocks.{layer}.attn.rel_pos_h")
            for layer in range(self._count("sam_model.blocks"))
        ]
        sides = [(length + 1) // 2 for length, _ in tables]
        inside = self._shape("sam_model.blocks.0.mlp.lin1.weight")[0]
        neck, between, last = (
            self._shape(f"sam_model.{name}.weight")[0] for name in ("neck.0", "net_2", "net_3")
        )
        sam = SAMEncoder(
            img_size=grid * patch,
            patch_size=patch,
            embed_dim=width,
            depth=len(sides),
            num_heads=width // tables[0][1],
            mlp_ratio=inside / width,
            out_chans=neck,
            window_size=min(sides),
            global_attn_indexes=[layer for layer, side in enumerate(sides) if side == grid],
        )
        sam.net_2 = nn.Conv2d(neck, between, 3, stride=2, padding=1, bias=False)
        sam.net_3 = nn.Conv2d(between, last, 3, stride=2, padding=1, bias=False)
        return sam

    def _shape(self, name):
        if name not in self._weights:
            raise ValueError(f"no file holds {name}")
        return self._weights[name].shape

    def _count(self, first):
        length = len(first) + 1
        return 1 + max(
            int(name[length:].split(".")[0]) for name in self._weights if name.startswith(first)
        )
