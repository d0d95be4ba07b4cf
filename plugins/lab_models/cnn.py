"""Convolutions, then fully connected layers (LeCun et al. 1998). B batch, C channels, H height, W width."""

import math

from torch import nn

from lab.errors import UsageError

from . import mlp
from .layers import ACTIVATIONS, ChannelsFirst, dense
from .plugin import CNN, Auto


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
        if min(size) < kernel:
            raise UsageError(f"model.kernels={list(cfg.kernels)} with model.strides={list(cfg.strides)} do not fit a "
                             f"picture of the shape {list(shape)}: a kernel of {kernel} meets {size[0]} x {size[1]}; "
                             "use smaller kernels, smaller strides or fewer layers")
        layers += [nn.Conv2d(channels, out, kernel, stride), ACTIVATIONS[cfg.activation]()]
        channels, size = out, [(side - kernel) // stride + 1 for side in size]
    features = channels * math.prod(size)
    return nn.Sequential(*layers, nn.Flatten(), *dense(features, cfg.hidden, outputs, cfg.activation, cfg.norm))


def auto(cfg: Auto, shape: tuple[int, ...], outputs: int | None = None) -> nn.Sequential:
    """`build` for pictures; the fully connected layers alone for what has fewer axes. Raises UsageError for more."""
    if len(shape) > 3:
        raise UsageError(f"model=auto sees pictures of three axes and vectors; these inputs are {list(shape)}: stack "
                         "pictures without colours (env.grayscale=true) or colours without a stack, or choose "
                         "model=mlp, which joins all numbers")
    if len(shape) == 3:
        return build(cfg, shape, outputs)
    return mlp.build(cfg, shape, outputs)
