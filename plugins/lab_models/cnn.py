"""Convolutions, then fully connected layers (LeCun et al. 1998). B batch, C channels, H height, W width."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from lab.errors import UsageError

from . import mlp
from .layers import ACTIVATIONS, ChannelsFirst, convolution, dense
from .plugin import CNN, Auto

SMALLEST = 36                     # pixels on a side that the convolutions of Mnih et al. 2015 need
SMALL: dict[str, Any] = {"channels": [16], "kernels": [3], "strides": [1]}       # Young & Tian 2019, for MinAtar


def build(cfg: CNN, shape: tuple[int, ...], outputs: int | None = None) -> nn.Sequential:
    """Role "net": [B, *shape] -> [B, outputs], or [B, features] where `outputs` is None.

    `shape` is [C, H, W] or [H, W, C]: the channels are the smaller of its first and last axis. Raises UsageError for
    what is no picture, and for one that is smaller than a kernel.
    """
    if len(shape) != 3:
        raise UsageError(f"model={cfg.name} sees pictures, [channels, height, width]; these inputs have the shape "
                         f"{list(shape)}: use model=mlp")
    last = shape[2] < shape[0]
    channels, *size = (shape[2], *shape[:2]) if last else shape
    layers: list[nn.Module] = [ChannelsFirst()] if last else []
    for out, kernel, stride in zip(cfg.channels, cfg.kernels, cfg.strides, strict=True):
        around = kernel // 2 if cfg.padding == "same" else 0
        if min(size) + 2 * around < kernel:
            raise UsageError(f"model.kernels={list(cfg.kernels)} with model.strides={list(cfg.strides)} do not fit a "
                             f"picture of the shape {list(shape)}: a kernel of {kernel} meets {size[0]} x {size[1]}; "
                             "use smaller kernels, smaller strides or fewer layers")
        layers += convolved(cfg, channels, out, kernel, stride, around)
        channels, size = out, [((side + 2 * around - kernel) // stride + 1) // cfg.pool for side in size]
        if not min(size):
            raise UsageError(f"model.pool={cfg.pool} after each of {len(cfg.channels)} convolutions leaves nothing of "
                             f"a picture of the shape {list(shape)}; use fewer of them, or model.pool=1")
    net = nn.Sequential(*layers, nn.Flatten(), *dense(channels * math.prod(size), cfg.hidden, outputs, cfg.activation,
                                                      cfg.norm, cfg.dropout))
    return net.to(memory_format=torch.channels_last) if len(cfg.channels) > 1 else net       # faster, but for one layer


def convolved(cfg: CNN, inputs: int, outputs: int, kernel: int, stride: int, around: int) -> list[nn.Module]:
    """A convolution with what belongs to it."""
    normed = [nn.BatchNorm2d(outputs)] if cfg.norm == "batch" else []
    pooled = [nn.MaxPool2d(cfg.pool)] if cfg.pool > 1 else []
    seen = convolution(inputs, outputs, kernel, stride, around, bias=cfg.norm != "batch")
    return [*seen, *normed, ACTIVATIONS[cfg.activation](), *pooled]


def auto(cfg: Auto, shape: tuple[int, ...], outputs: int | None = None) -> nn.Sequential:
    """`build` for pictures; the fully connected layers alone for what has fewer axes. Raises UsageError for more.

    Where the convolutions are left as they come, pictures that they do not fit are seen by those for small ones.
    """
    if len(shape) > 3:
        raise UsageError(f"model=auto sees pictures of three axes and vectors; these inputs are {list(shape)}: stack "
                         "pictures without colours (env.grayscale=true) or colours without a stack, or choose "
                         "model=mlp, which joins all numbers")
    if len(shape) == 3:
        untouched = all(list(getattr(cfg, name)) == getattr(Auto(), name) for name in SMALL)
        small = untouched and min(shape[1], max(shape[0], shape[2])) < SMALLEST
        return build(replace(cfg, **SMALL) if small else cfg, shape, outputs)
    return mlp.build(cfg, shape, outputs)
