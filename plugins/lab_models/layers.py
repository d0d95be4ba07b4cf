"""Stacks of layers that networks are made of. B batch."""

from itertools import pairwise

from torch import Tensor, nn

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "elu": nn.ELU,
               "leaky_relu": nn.LeakyReLU}


def dense(inputs: int, hidden: list[int], outputs: int | None, activation: str, norm: str, dropout: float = 0.0
          ) -> list[nn.Module]:
    """[B, inputs] -> [B, outputs]; without the last layer, the features [B, hidden[-1]], where `outputs` is None.

    `dropout` zeroes that share of what each hidden layer says (Srivastava et al. 2014).
    """
    layers = list[nn.Module]()
    for wide, narrow in pairwise([inputs, *hidden]):
        normed = {"layer": [nn.LayerNorm(narrow)], "batch": [nn.BatchNorm1d(narrow)]}.get(norm, [])
        dropped = [nn.Dropout(dropout)] if dropout else []
        layers += [nn.Linear(wide, narrow, bias=norm != "batch"), *normed, ACTIVATIONS[activation](), *dropped]
    return layers if outputs is None else [*layers, nn.Linear([inputs, *hidden][-1], outputs)]


def convolution(inputs: int, outputs: int, kernel: int, stride: int, around: int, bias: bool) -> list[nn.Module]:
    """[B, inputs, H, W] -> [B, outputs, ...], with `around` pixels of 0 at each edge.

    One of 1 x 1 that leaves pixels out is given only those that it sees. Otherwise torch 2.13 writes beyond its memory
    on a CPU with AVX2, where there are 2 to 6 channels and they stand last.
    """
    if kernel == 1 < stride and not around:
        return [nn.AvgPool2d(1, stride), nn.Conv2d(inputs, outputs, 1, bias=bias)]
    return [nn.Conv2d(inputs, outputs, kernel, stride, around, bias=bias)]


class ChannelsFirst(nn.Module):
    """[B, H, W, C] -> [B, C, H, W]"""

    def forward(self, picture: Tensor) -> Tensor:
        return picture.movedim(-1, -3)
