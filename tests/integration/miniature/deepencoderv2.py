"""A vision encoder: the mean of each patch, in float32 whatever the weights are."""

from torch import nn


class PatchEmbed(nn.Module):
    """Cuts an image into patches."""

    def __init__(self, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=16, stride=16)

    def forward(self, x):
        x = self.proj(x)
        # a comment about x.cuda() is no code
        return x.flatten(2).transpose(1, 2)


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.ModuleList([nn.Identity()])

    def forward(self, x):
        x = self.patch_embed(x)
        for block in self.blocks:
            x = block(x)
        return x.float().mean(1)


class Queries(nn.Module):
    """Has its layers as deep inside as the real one."""

    def __init__(self):
        super().__init__()
        self.model = nn.Module()
        self.model.model = nn.Module()
        self.model.model.layers = nn.ModuleList([nn.Identity()])

    def forward(self, x):
        for layer in self.model.model.layers:
            x = layer(x)
        return x


def build_sam(width):
    return Encoder(width)


def build_queries():
    return Queries()
