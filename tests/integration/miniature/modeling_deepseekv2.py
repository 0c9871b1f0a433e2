"""A language model that knows one step: from each token to the next."""

from torch import nn
from transformers import PreTrainedModel
from transformers.generation import GenerationMixin
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaFlashAttention2,
)

from .configuration_deepseek_v2 import DeepseekV2Config

ATTENTION_CLASSES = {
    "eager": LlamaAttention,
    "flash_attention_2": LlamaFlashAttention2,
}


class DeepseekV2Model(PreTrainedModel):
    config_class = DeepseekV2Config

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.vocab_size)
        self.layers = nn.ModuleList(nn.Identity() for _ in range(config.num_hidden_layers))

    def forward(self, inputs_embeds):
        for layer in self.layers:
            inputs_embeds = layer(inputs_embeds)
        return inputs_embeds


class DeepseekV2ForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = DeepseekV2Config
