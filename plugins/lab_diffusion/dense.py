"""A denoiser of anything: fully connected. B batch, F features, W numbers that are told. Role "denoiser"."""

import math

from torch import Tensor, nn

from lab.nn import Denoiser

from .plugin import DenoiserMLP


class Block(nn.Module):
    """x + f(x, told), [B, F]."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.told = nn.LayerNorm(width), nn.Linear(width, width)
        self.change = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        out: Tensor = x + self.change(self.norm(x) + self.told(told))
        return out


class Dense(nn.Module):
    def __init__(self, cfg: DenoiserMLP, shape: tuple[int, ...]):
        super().__init__()
        numbers, self.shape = math.prod(shape), shape
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(numbers, cfg.width))
        self.blocks = nn.ModuleList(Block(cfg.width) for _ in range(cfg.blocks))
        self.last = nn.Sequential(nn.LayerNorm(cfg.width), nn.SiLU(), nn.Linear(cfg.width, numbers),
                                  nn.Unflatten(1, shape))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        x = self.first(x)                                     # [B, F]
        for block in self.blocks:
            x = block(x, told)
        out: Tensor = self.last(x)
        return out


def build(cfg: DenoiserMLP, shape: tuple[int, ...]) -> Denoiser:
    return Denoiser(Dense(cfg, shape), cfg.width)
