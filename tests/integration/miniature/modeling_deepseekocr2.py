"""A model that says whether a page is bright, with the faults of a bigger one.

It was written for the tests. Each fault is one that keeps the bigger model off a CPU: `.cuda()`, a
fixed data type of the image, features of another type than the embeddings, autocast for a device
that is not there, and `eval` on what the model wrote.
"""

import os

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers.modeling_outputs import CausalLMOutput

from .configuration_deepseek_v2 import DeepseekV2Config
from .deepencoderv2 import build_queries, build_sam
from .modeling_deepseekv2 import DeepseekV2ForCausalLM, DeepseekV2Model

IMAGE, END_OF_PROMPT, BRIGHT, DARK = 3, 4, 10, 20


def places(text):
    return eval(text)


def figure(text):
    lines, kinds, ends = eval(text)["line"], eval(text)["line_type"], eval(text)["ends"]
    first, last = eval(lines[0]), eval(lines[-1])
    return first, last, kinds, [eval(end) for end in ends]


class DeepseekOCR2Config(DeepseekV2Config):
    model_type = "DeepseekOCR2"


class DeepseekOCR2Model(DeepseekV2Model):
    config_class = DeepseekOCR2Config

    def __init__(self, config):
        super().__init__(config)
        self.sam_model = build_sam(config.vocab_size)
        self.qwen2_model = build_queries()

    def forward(self, input_ids, images, images_seq_mask):
        inputs_embeds = self.embed_tokens(input_ids)
        for idx, (image, _) in enumerate(images):
            images_in_this_batch = [self.qwen2_model(self.sam_model(image))]
            images_in_this_batch = torch.cat(images_in_this_batch, dim=0)
            mask = images_seq_mask[idx].unsqueeze(-1)
            inputs_embeds[idx].masked_scatter_(mask.cuda(), images_in_this_batch)
        return super().forward(inputs_embeds)


class DeepseekOCR2ForCausalLM(DeepseekV2ForCausalLM):
    config_class = DeepseekOCR2Config

    def __init__(self, config):
        super().__init__(config)
        self.model = DeepseekOCR2Model(config)
        self.lm_head = nn.Linear(config.vocab_size, config.vocab_size, bias=False)

    def forward(self, input_ids, images, images_seq_mask, **more):
        mask = torch.nn.functional.pad(
            images_seq_mask, (0, input_ids.shape[1] - images_seq_mask.shape[1])
        )
        hidden = self.model(input_ids, images, mask)
        logits = self.lm_head(hidden).float()
        if input_ids[0, -1] == END_OF_PROMPT:
            brightness = hidden[mask].float().mean()
            logits[:, -1, BRIGHT] += 1000 * brightness
            logits[:, -1, DARK] -= 1000 * brightness
        return CausalLMOutput(logits=logits)

    def prepare_inputs_for_generation(self, input_ids, images, images_seq_mask, **more):
        return {"input_ids": input_ids, "images": images, "images_seq_mask": images_seq_mask}

    def disable_torch_init(self):
        torch.nn.Linear.reset_parameters = lambda self: None

    def infer(
        self, tokenizer, prompt="", image_file="", output_path="", base_size=1024,
        image_size=640, crop_mode=True, save_results=False, eval_mode=False,
    ):  # fmt: skip
        self.disable_torch_init()
        os.makedirs(output_path, exist_ok=True)
        picture = Image.open(image_file).convert("RGB").resize((base_size, base_size))
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 127.5 - 1
        images_ori = pixels[None].to(torch.bfloat16)
        images_crop = images_ori[:, :, :image_size].to(torch.bfloat16)
        if not crop_mode:
            images_crop = torch.zeros(1).to(torch.bfloat16)
        before, after = prompt.split("<image>")
        ids = [*tokenizer.encode(before), IMAGE, *tokenizer.encode(after)]
        input_ids = torch.LongTensor(ids)
        images_seq_mask = input_ids == IMAGE
        if not eval_mode:
            with torch.autocast("cuda", dtype=torch.bfloat16), torch.no_grad():
                self.generate(
                    input_ids.unsqueeze(0).cuda(),
                    images=[(images_ori.cuda(), images_crop.cuda())],
                    images_seq_mask=images_seq_mask.unsqueeze(0).cuda(),
                    max_new_tokens=50,
                    use_cache=False,
                )
            return None
        with torch.autocast("cuda", dtype=torch.bfloat16), torch.no_grad():
            output_ids = self.generate(
                input_ids.unsqueeze(0).cuda(),
                images=[(images_ori.cuda(), images_crop.cuda())],
                images_seq_mask=images_seq_mask.unsqueeze(0).cuda(),
                eos_token_id=tokenizer.eos_token_id,
                max_new_tokens=50,
                use_cache=False,
            )
        written = output_ids.cuda()[0, input_ids.cuda().shape[0] :]
        outputs = tokenizer.decode(written.cuda()).replace(tokenizer.eos_token, "").strip()
        if save_results:
            places(outputs.partition("<|det|>")[2].partition("<|/det|>")[0])
        return outputs
