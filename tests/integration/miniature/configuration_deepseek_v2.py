"""The configuration of a model in miniature."""

from transformers import PretrainedConfig


class DeepseekV2Config(PretrainedConfig):
    model_type = "miniature"

    def __init__(self, hidden_size=8, vocab_size=32, num_hidden_layers=1, **more):
        self.hidden_size = hidden_size
        self.vocab_size = vocab_size
        self.num_hidden_layers = num_hidden_layers
        super().__init__(**more)
