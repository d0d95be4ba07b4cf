"""Encoders and their mirror images. B batch, C channels, H and W pixels, P numbers that are said of each in an example.

Role "autoencoder".
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lab.halving import Doubled, halves
from lab.nn import Coder
from lab.nn import dense as layer

from .plugin import CoderConv, CoderMLP

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh,
                                           "elu": nn.ELU, "leaky_relu": nn.LeakyReLU, "glu": nn.GLU}


def dense(cfg: CoderMLP, shape: tuple[int, ...], said: int) -> Coder:
    sizes = [math.prod(shape), *cfg.hidden]
    activation, normed = ACTIVATIONS[cfg.activation], cfg.norm == "batch"
    down, up = ([part for wide, narrow in pairwise(order) for part in layer(wide, narrow, activation, normed)]
                for order in (sizes, sizes[:0:-1]))
    last = nn.Linear(sizes[1], said * sizes[0])
    return Coder(nn.Sequential(nn.Flatten(), *down), nn.Sequential(*up, last, nn.Unflatten(1, (said, *shape))),
                 (sizes[-1],), activation)


def convolutional(cfg: CoderConv, shape: tuple[int, ...], said: int) -> Coder:
    """Raises UsageError for what is no picture, and for one that is halved away."""
    sides = halves(cfg.name, len(cfg.channels), shape, "vae_mlp")
    widths = [shape[0], *cfg.channels]
    down = [part for wide, narrow in pairwise(widths) for part in halved(cfg, wide, narrow)]
    up = [part for (wide, narrow), size in zip(pairwise([*widths[:0:-1], widths[1]]), sides[-2::-1], strict=True)
          for part in doubled(cfg, wide, narrow, size)]
    last = nn.Conv2d(widths[1], said * shape[0], 3, padding=1)
    return Coder(nn.Sequential(*down), nn.Sequential(*up, last, nn.Unflatten(1, (said, shape[0]))),
                 (widths[-1], *sides[-1]), ACTIVATIONS[cfg.activation])


def halved(cfg: CoderConv, wide: int, narrow: int) -> list[nn.Module]:
    """[B, wide, H, W] -> [B, narrow, H / 2, W / 2], rounded up."""
    return [*convolved(cfg, wide, narrow, 2), *(Residual(cfg, narrow) for _ in range(cfg.blocks))]


def doubled(cfg: CoderConv, wide: int, narrow: int, size: Sequence[int]) -> list[nn.Module]:
    """[B, wide, h, w] -> [B, narrow, *size]."""
    blocks = [Residual(cfg, wide) for _ in range(cfg.blocks)]
    return [*blocks, Doubled(wide, narrow, tuple(size), bias=cfg.norm != "batch"), *after(cfg, narrow)]


def convolved(cfg: CoderConv, wide: int, narrow: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(wide, narrow, 3, stride, 1, bias=cfg.norm != "batch"), *after(cfg, narrow)]


def after(cfg: CoderConv, width: int) -> list[nn.Module]:
    """What follows a convolution."""
    return [*([nn.BatchNorm2d(width)] if cfg.norm == "batch" else []), ACTIVATIONS[cfg.activation]()]


class Residual(nn.Module):
    """x + f(x), f being two convolutions: [B, width, H, W], the same shape."""

    def __init__(self, cfg: CoderConv, width: int):
        super().__init__()
        self.change = nn.Sequential(*convolved(cfg, width, width, 1), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.change(x)
        return out
