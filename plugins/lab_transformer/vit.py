"""A picture as a row of patches. B pictures, C channels, H and W pixels, T patches, D width."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lab.errors import UsageError

from .plugin import ViT
from .readers import Stack, begun


class Patched(nn.Module):
    """[B, C, H, W] to [B, outputs]; without a last layer to the features [B, D]."""

    def __init__(self, cfg: ViT, shape: tuple[int, ...], outputs: int | None):
        super().__init__()
        self.patch, self.first = cfg.patch, cfg.pool == "first"
        count = math.prod(math.ceil(side / cfg.patch) for side in shape[1:]) + self.first
        self.into, self.drop = nn.Linear(shape[0] * cfg.patch**2, cfg.width), nn.Dropout(cfg.dropout)
        self.own = nn.Parameter(torch.zeros(1, 1, cfg.width)) if self.first else None
        self.places = nn.Parameter(torch.zeros(1, count, cfg.width)) if cfg.positions == "learned" else None
        self.body = Stack(cfg, count, causal=False)
        self.head = nn.Identity() if outputs is None else nn.Linear(cfg.width, outputs)
        begun(self, cfg.layers)

    def forward(self, x: Tensor) -> Tensor:
        found = self.into(patches(x, self.patch))                                           # [B, T, D]
        if self.own is not None:
            found = torch.cat([self.own.expand(len(x), 1, -1), found], 1)                   # [B, 1 + T, D]
        if self.places is not None:
            found = found + self.places
        found = self.body(self.drop(found))
        out: Tensor = self.head(found[:, 0] if self.first else found.mean(1))
        return out


def patches(x: Tensor, side: int) -> Tensor:
    """[B, C, H, W] to [B, T, C side side], row by row; what is no whole patch is filled up with zeros."""
    height, width = x.shape[2:]
    x = pad(x, (0, -width % side, 0, -height % side))
    x = x.unflatten(3, (-1, side)).unflatten(2, (-1, side))                                 # [B, C, h, side, w, side]
    return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def build(cfg: ViT, shape: tuple[int, ...], outputs: int | None = None) -> Patched:
    """Role "net". Raises UsageError for what is no picture."""
    if len(shape) != 3:
        raise UsageError(f"model=vit reads pictures [channels, height, width], and this input is {list(shape)}; use "
                         "model=mlp")
    if cfg.positions == "sinusoidal":
        raise UsageError("model.positions=sinusoidal is for text; use learned, rotary, relative or none")
    return Patched(cfg, shape, outputs)
