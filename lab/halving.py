"""Pictures that a network halves again and again, and doubles. B pictures, C and D channels, H and W pixels."""

import math

from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, interpolate, pad

from .errors import UsageError

Size = tuple[int, ...]


def halves(model: str, times: int, shape: Size, instead: str) -> list[Size]:
    """[H, W] of a picture of `shape` [C, H, W], the whole first, then after each of `times` halvings, rounded up.

    Raises UsageError for what is no picture, and for one that is halved away; `instead` is a model that sees anything.
    """
    if len(shape) != 3:
        raise UsageError(f"model={model} is for pictures, [channels, height, width]; these examples have the shape "
                         f"{list(shape)}: use model={instead}")
    most = math.ceil(math.log2(min(shape[1:])))
    if times > most:
        fewer = "use fewer of model.channels" if most else f"use model={instead}"
        raise UsageError(f"model={model} halves a picture {times} times, and one of {shape[1]} x {shape[2]} can be "
                         f"halved {most}; {fewer}")
    sides: list[Size] = [shape[1:]]
    for _ in range(times):
        sides.append(tuple(-(-side // 2) for side in sides[-1]))
    return sides


class Doubled(nn.Conv2d):
    """[B, C, h, w] with its pixels repeated to [H, W], `size`, and a convolution of 3 x 3: to [B, D, H, W].

    Where height and width are exactly doubled both are one transposed convolution of 4 x 4, which multiplies 4 times
    for each pixel and pair of channels in place of 9.
    """

    def __init__(self, channels: int, narrow: int, size: Size, bias: bool = True):
        super().__init__(channels, narrow, 3, padding=1, bias=bias)
        self.size = tuple(size)

    def exact(self, x: Tensor) -> bool:
        return tuple(2 * side for side in x.shape[2:]) == self.size

    def forward(self, x: Tensor) -> Tensor:
        if self.exact(x):
            return conv_transpose2d(x, folded(self.weight), self.bias, stride=2, padding=1)
        return super().forward(interpolate(x, self.size))


def folded(weight: Tensor) -> Tensor:
    """[D, C, 3, 3] to [C, D, 4, 4]: along each side w0 w1 w2 becomes w2, w1 + w2, w0 + w1, w0."""
    found = weight.flip(2, 3)
    found = pad(found, (0, 1)) + pad(found, (1, 0))
    found = pad(found, (0, 0, 0, 1)) + pad(found, (0, 0, 1, 0))
    return found.transpose(0, 1)
