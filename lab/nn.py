"""What stands before a network, whatever the observations are. B batch."""

import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from torch import Tensor, nn
from torch.nn.functional import one_hot

from .errors import UsageError


class OneHot(nn.Module):
    """Integers as indicator vectors: [B] or [B, k] -> [B, sum of `sizes`]."""

    def __init__(self, sizes: list[int]):
        super().__init__()
        self.sizes = sizes

    def forward(self, obs: Tensor) -> Tensor:
        columns = obs.view(len(obs), len(self.sizes)).unbind(-1)
        return torch.cat([one_hot(column, size) for column, size in zip(columns, self.sizes, strict=True)], -1).float()


class Scale(nn.Module):
    """Integers or booleans as floats, divided by `largest`."""

    def __init__(self, largest: int):
        super().__init__()
        self.largest = largest

    def forward(self, obs: Tensor) -> Tensor:
        return obs.float() / self.largest


def reading(space: Space[object]) -> tuple[list[nn.Module], tuple[int, ...]]:
    """What turns observations of `space` into floats, and the shape that a network then sees.

    Raises UsageError for observations that have no such form.
    """
    if isinstance(space, Discrete):
        return [OneHot([int(space.n)])], (int(space.n),)
    if isinstance(space, MultiDiscrete) and len(space.shape) == 1:
        return [OneHot(space.nvec.tolist())], (int(space.nvec.sum()),)
    if isinstance(space, Box):
        kind = space.dtype.kind
        return [] if kind == "f" else [Scale(255 if space.dtype == "uint8" else 1)], space.shape
    raise UsageError(f"a network cannot see {space}; it needs Box, Discrete or MultiDiscrete observations")


def width(body: nn.Module, space: Space[object]) -> int:
    """The features of a body that maps observations of `space` to [B, features]."""
    device = next((p.device for p in body.parameters()), torch.device("cpu"))
    dtype = torch.float32 if isinstance(space, Box) and space.dtype.kind == "f" else torch.int64
    training = body.training
    with torch.no_grad():
        features: Tensor = body.eval()(torch.zeros(1, *(space.shape or ()), dtype=dtype, device=device))   # [1, F]
    body.train(training)
    return features.shape[-1]
