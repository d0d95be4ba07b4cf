"""Stacks of layers that networks are made of. B batch."""

from itertools import pairwise

from torch import Tensor, nn

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "elu": nn.ELU,
               "leaky_relu": nn.LeakyReLU}


def dense(inputs: int, hidden: list[int], outputs: int | None, activation: str, norm: str) -> list[nn.Module]:
    """[B, inputs] -> [B, outputs]; without the last layer, the features [B, hidden[-1]], where `outputs` is None."""
    layers = list[nn.Module]()
    for wide, narrow in pairwise([inputs, *hidden]):
        normed = [nn.LayerNorm(narrow)] if norm == "layer" else []
        layers += [nn.Linear(wide, narrow), *normed, ACTIVATIONS[activation]()]
    return layers if outputs is None else [*layers, nn.Linear([inputs, *hidden][-1], outputs)]


class ChannelsFirst(nn.Module):
    """[B, H, W, C] -> [B, C, H, W]"""

    def forward(self, picture: Tensor) -> Tensor:
        return picture.movedim(-1, -3)
