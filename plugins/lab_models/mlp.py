"""A multilayer perceptron. B batch."""

import math
from itertools import pairwise

from torch import nn

from .plugin import MLP

LAYERS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "elu": nn.ELU, "leaky_relu": nn.LeakyReLU}


def build(cfg: MLP, shape: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Role "net": [B, *shape] -> [B, outputs]."""
    widths = [math.prod(shape), *cfg.hidden]
    layers: list[nn.Module] = [nn.Flatten()] if len(shape) != 1 else []
    for wide, narrow in pairwise(widths):
        norm = [nn.LayerNorm(narrow)] if cfg.norm == "layer" else []
        layers += [nn.Linear(wide, narrow), *norm, LAYERS[cfg.activation]()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
