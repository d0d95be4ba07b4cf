"""Generators and critics. B batch, Z latent numbers, C channels, H and W pixels, F features. Role "rivals"."""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lab.halving import Doubled, halves
from lab.nn import Rivals

from .plugin import RivalsConv, RivalsMLP, RivalsResidual

LEAK = 0.2                        # slope of a critic's activations below 0 (Radford et al. 2016)


def dense(cfg: RivalsMLP, inputs: int, shape: tuple[int, ...]) -> Rivals:
    generator, sizes = list[nn.Module](), [inputs, *cfg.hidden]
    for wide, narrow in pairwise(sizes):
        normed = [nn.BatchNorm1d(narrow)] if cfg.norm == "batch" else []
        generator += [nn.Linear(wide, narrow, bias=not normed), *normed, nn.ReLU()]
    generator += [nn.Linear(sizes[-1], math.prod(shape)), nn.Unflatten(1, shape)]
    critic: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in pairwise([math.prod(shape), *cfg.hidden[::-1]]):
        between: dict[str, nn.Module] = {"batch": nn.BatchNorm1d(narrow), "layer": nn.LayerNorm(narrow)}
        own = [between[cfg.critic_norm]] if cfg.critic_norm in between else []
        critic += [bounded(cfg.critic_norm, nn.Linear(wide, narrow)), *own, nn.LeakyReLU(LEAK)]
    return Rivals(nn.Sequential(*generator), nn.Sequential(*critic), cfg.hidden[0])


def bounded(norm: str, layer: nn.Module) -> nn.Module:
    return spectral_norm(layer) if norm == "spectral" else layer


def convolutional(cfg: RivalsConv, inputs: int, shape: tuple[int, ...]) -> Rivals:
    sides, first = halves(cfg.name, len(cfg.channels), shape, "gan_mlp"), cfg.channels[0]
    generator = begun(cfg, inputs, first, sides[-1])
    for (wide, narrow), size in zip(pairwise([first, *cfg.channels]), sides[-2::-1], strict=True):
        generator += [Doubled(wide, narrow, size), *normed(cfg.norm, narrow), nn.ReLU()]
    generator.append(nn.Conv2d(cfg.channels[-1], shape[0], 3, padding=1))
    critic = list[nn.Module]()
    for wide, narrow in pairwise([shape[0], *cfg.channels[::-1]]):
        critic += [bounded(cfg.critic_norm, nn.Conv2d(wide, narrow, 3, 2, 1)), *normed(cfg.critic_norm, narrow),
                   nn.LeakyReLU(LEAK)]
    return paired(generator, [*critic, nn.Flatten()], first * math.prod(sides[-1]))


def begun(cfg: RivalsConv, inputs: int, width: int, size: tuple[int, ...]) -> list[nn.Module]:
    """[B, inputs] -> [B, width, *size]."""
    return [nn.Linear(inputs, width * math.prod(size)), nn.Unflatten(1, (width, *size)), *normed(cfg.norm, width),
            nn.ReLU()]


def normed(norm: str, channels: int) -> list[nn.Module]:
    """One group is a layer norm over channels and pixels."""
    kinds: dict[str, nn.Module] = {"batch": nn.BatchNorm2d(channels), "layer": nn.GroupNorm(1, channels)}
    return [kinds[norm]] if norm in kinds else []


def paired(generator: list[nn.Module], critic: list[nn.Module], width: int) -> Rivals:
    last: Any = {"memory_format": torch.channels_last}        # faster, on CPUs too
    return Rivals(nn.Sequential(*generator).to(**last), nn.Sequential(*critic).to(**last), width)


class Block(nn.Module):
    """x + f(x), f being two convolutions after activations: [B, wide, H, W] -> [B, narrow, ...], resized by `size`.

    `size` is a module that comes after the first activation of a generator, and after the last layer of a critic.
    """

    def __init__(self, change: list[nn.Module], shortcut: list[nn.Module]):
        super().__init__()
        self.change, self.shortcut = nn.Sequential(*change), nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.change(x)
        return out


def residual(cfg: RivalsResidual, inputs: int, shape: tuple[int, ...]) -> Rivals:
    sides, first = halves(cfg.name, len(cfg.channels), shape, "gan_mlp"), cfg.channels[0]
    generator = begun(cfg, inputs, first, sides[-1])[:2]
    for (wide, narrow), size in zip(pairwise([first, *cfg.channels]), sides[-2::-1], strict=True):
        change = [*normed(cfg.norm, wide), nn.ReLU(), Doubled(wide, narrow, size), *normed(cfg.norm, narrow), nn.ReLU(),
                  nn.Conv2d(narrow, narrow, 3, padding=1)]
        generator.append(Block(change, [nn.Conv2d(wide, narrow, 1), nn.Upsample(tuple(size))]))
    last = cfg.channels[-1]
    generator += [*normed(cfg.norm, last), nn.ReLU(), nn.Conv2d(last, shape[0], 3, padding=1)]
    critic: list[nn.Module] = [bounded(cfg.critic_norm, nn.Conv2d(shape[0], last, 3, padding=1))]
    for wide, narrow in pairwise([last, *cfg.channels[::-1]]):
        critic.append(shrunk(cfg.critic_norm, wide, narrow))
    return paired(generator, [*critic, nn.LeakyReLU(LEAK), nn.Flatten()], first * math.prod(sides[-1]))


def shrunk(norm: str, wide: int, narrow: int) -> Block:
    """[B, wide, H, W] -> [B, narrow, H / 2, W / 2], rounded up."""
    def conv(inputs: int, kernel: int) -> nn.Module:
        return bounded(norm, nn.Conv2d(inputs, narrow, kernel, padding=kernel // 2))

    half: dict[str, Any] = {"kernel_size": 2, "ceil_mode": True}
    change = [*normed(norm, wide), nn.LeakyReLU(LEAK), conv(wide, 3), *normed(norm, narrow), nn.LeakyReLU(LEAK),
              conv(narrow, 3), nn.AvgPool2d(**half)]
    return Block(change, [nn.AvgPool2d(**half), conv(wide, 1)])
