"""A denoiser of pictures. B batch, C channels, H and W pixels, W numbers that are told. Role "denoiser"."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from lab.halving import Doubled, halves
from lab.nn import Denoiser

from .plugin import UNet


class Block(nn.Module):
    """x + f(x, told), f being two convolutions: [B, wide, H, W] -> [B, narrow, H, W]."""

    def __init__(self, cfg: UNet, wide: int, narrow: int, told: int):
        super().__init__()
        self.first = nn.Sequential(norm(cfg, wide), nn.SiLU(), nn.Conv2d(wide, narrow, 3, padding=1))
        self.norm, self.told = norm(cfg, narrow), nn.Linear(told, 2 * narrow)
        self.second = zeros(nn.Conv2d(narrow, narrow, 3, padding=1))
        self.shortcut = nn.Identity() if wide == narrow else nn.Conv2d(wide, narrow, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(silu(told))[:, :, None, None].chunk(2, 1)                  # [B, narrow, 1, 1]
        change = silu(self.norm(self.first(x)) * (1 + scale) + shift)
        out: Tensor = self.shortcut(x) + self.second(change)
        return out


class Blocks(nn.Module):
    """[B, wide, H, W] -> [B, narrow, H, W]."""

    def __init__(self, cfg: UNet, wide: int, narrow: int, told: int):
        super().__init__()
        self.parts = nn.ModuleList(Block(cfg, narrow if i else wide, narrow, told) for i in range(cfg.blocks))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x, told)
        return x


class Attention(nn.Module):
    """x + what each pixel gathers from all others: [B, C, H, W], the same shape (Vaswani et al. 2017, equation 1)."""

    def __init__(self, cfg: UNet, width: int):
        super().__init__()
        self.heads, self.norm = cfg.heads, norm(cfg, width)
        self.asked, self.last = nn.Conv2d(width, 3 * width, 1), zeros(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        parts = self.asked(self.norm(x)).flatten(2).unflatten(1, (3 * self.heads, -1)).transpose(2, 3)
        query, key, value = parts.chunk(3, 1)                                               # [B, heads, H W, C / heads]
        found = scaled_dot_product_attention(query, key, value).transpose(2, 3)             # [B, heads, C / heads, H W]
        out: Tensor = x + self.last(found.reshape(x.shape))
        return out


class Net(nn.Module):
    """What is found at each size on the way down is seen again on the way up."""

    def __init__(self, cfg: UNet, shape: tuple[int, ...], told: int):
        super().__init__()
        sides, widths = halves(cfg.name, len(cfg.channels) - 1, shape, "denoiser_mlp"), cfg.channels
        self.first, self.smaller = nn.Conv2d(shape[0], widths[0], 3, padding=1), nn.ModuleList([nn.Identity()])
        self.larger = nn.ModuleList()
        for (wide, narrow), size in zip(pairwise(widths), sides, strict=False):
            self.smaller.append(nn.Conv2d(wide, narrow, 3, 2, 1))
            self.larger.insert(0, Doubled(narrow, wide, size))
        self.larger.append(nn.Identity())
        self.down, self.up = (nn.ModuleList(Blocks(cfg, times * width, width, told) for width in order)
                              for times, order in ((1, widths), (2, widths[::-1])))
        inner = [Block(cfg, widths[-1], widths[-1], told) for _ in range(2)]
        self.inner = nn.ModuleList([inner[0], Attention(cfg, widths[-1]), inner[1]] if cfg.heads else inner)
        self.last = nn.Sequential(norm(cfg, widths[0]), nn.SiLU(), zeros(nn.Conv2d(widths[0], shape[0], 3, padding=1)))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        x, seen = self.first(x), list[Tensor]()
        for smaller, blocks in zip(self.smaller, self.down, strict=True):
            x = blocks(smaller(x), told)
            seen.append(x)
        for block in self.inner:
            x = block(x, told)
        for larger, blocks in zip(self.larger, self.up, strict=True):
            x = larger(blocks(torch.cat([x, seen.pop()], 1), told))
        out: Tensor = self.last(x)
        return out


def norm(cfg: UNet, width: int) -> nn.Module:
    """As many groups as divide the width, at most `cfg.groups` (Wu & He 2018); one, where else each channel would be a
    group: of a map of 1 x 1 that is a single number.
    """
    groups = math.gcd(cfg.groups, width)
    return nn.GroupNorm(groups if groups < width else 1, width)


def zeros(layer: nn.Conv2d) -> nn.Conv2d:
    """A block that begins as one that changes nothing (Ho et al. 2020, their code)."""
    for values in layer.parameters():
        nn.init.zeros_(values)
    return layer


def build(cfg: UNet, shape: tuple[int, ...]) -> Denoiser:
    """Raises UsageError for what is no picture, and for one that is halved away."""
    told = 2 * cfg.channels[0]
    return Denoiser(Net(cfg, shape, told).to(memory_format=torch.channels_last), told)    # type: ignore[call-overload]
