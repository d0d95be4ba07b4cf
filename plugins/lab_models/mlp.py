"""Fully connected networks. B batch."""

import math

from torch import nn

from .layers import dense
from .plugin import MLP, Linear


def build(cfg: MLP, shape: tuple[int, ...], outputs: int | None = None) -> nn.Sequential:
    """Role "net": [B, *shape] -> [B, outputs], or [B, features] where `outputs` is None."""
    flatten: list[nn.Module] = [nn.Flatten()] if len(shape) != 1 else []
    return nn.Sequential(*flatten, *dense(math.prod(shape), cfg.hidden, outputs, cfg.activation, cfg.norm, cfg.dropout))


def linear(cfg: Linear, shape: tuple[int, ...], outputs: int | None = None) -> nn.Sequential:
    """Role "net": one layer; the input itself, flattened, where `outputs` is None."""
    flatten: list[nn.Module] = [nn.Flatten()] if len(shape) != 1 else []
    return nn.Sequential(*flatten, *([] if outputs is None else [nn.Linear(math.prod(shape), outputs)]))
