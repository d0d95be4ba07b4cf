"""Residual networks (He et al. 2016, arXiv:1512.03385). B batch, C channels, H and W pixels."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from lab.errors import UsageError

from .layers import ACTIVATIONS, convolution
from .plugin import ResNet

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}     # blocks of each stage, table 1


class Block(nn.Module):
    """x + f(x), f being two convolutions: [B, C, H, W] -> [B, outputs, H / stride, W / stride].

    Where the shape changes x passes a convolution of 1 x 1, option B of section 3.3.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: str):
        super().__init__()
        self.first, self.second = (convolved(a, outputs, 3, s) for a, s in ((inputs, stride), (outputs, 1)))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else convolved(inputs, outputs, 1, stride)
        self.inner, self.outer = ACTIVATIONS[activation](), ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.outer(self.shortcut(x) + self.second(self.inner(self.first(x))))
        return out


def convolved(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """A convolution that keeps height and width but for its stride, and a batch norm."""
    *picked, seen = convolution(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(seen.weight, mode="fan_out", nonlinearity="relu")               # He et al. 2015
    return nn.Sequential(*picked, seen, nn.BatchNorm2d(outputs))


def build(cfg: ResNet, shape: tuple[int, ...], outputs: int | None = None) -> nn.Sequential:
    """Role "net": [B, C, H, W] -> [B, outputs], or [B, features] where `outputs` is None. Raises UsageError."""
    if len(shape) != 3:
        raise UsageError(f"model={cfg.name} sees pictures, [channels, height, width]; these inputs have the shape "
                         f"{list(shape)}: use model=mlp")
    blocks = STAGES.get(cfg.depth, ((cfg.depth - 2) // 6,) * 3)
    widths = [cfg.width * 2**stage for stage in range(len(blocks))]
    layers: list[nn.Module] = [convolved(shape[0], cfg.width, 3, 1), ACTIVATIONS[cfg.activation]()]
    for stage, ((before, width), count) in enumerate(zip(pairwise([cfg.width, *widths]), blocks, strict=True)):
        for i in range(count):
            stride = 2 if stage and not i else 1
            layers.append(Block(width if i else before, width, stride, cfg.activation))
    dropped = [nn.Dropout(cfg.dropout)] if cfg.dropout else []
    last = [] if outputs is None else [*dropped, nn.Linear(widths[-1], outputs)]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *last)
    return net.to(memory_format=torch.channels_last)          # faster, on CPUs too
