"""Observations as rows of a table: [N, ...] -> state [N], int64 from 0."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor

from lab.errors import UsageError

LARGEST = 1_000_000               # states


class Integers:
    """Already states."""

    def __init__(self, size: int):
        self.size = checked(size)

    def __call__(self, obs: Tensor) -> Tensor:
        return obs


class Digits:
    """A number with one digit per component, the first the most significant: [N, k] -> [N] (mixed radix)."""

    def __init__(self, sizes: Sequence[int], device: torch.device):
        self.size = checked(math.prod(sizes))
        self.places = torch.tensor([math.prod(sizes[i + 1:]) for i in range(len(sizes))], device=device)        # [k]

    def __call__(self, obs: Tensor) -> Tensor:
        return (obs * self.places).sum(-1)


class Bins:
    """Equal bins from `low` to `high` in each of k dimensions; what lies beyond belongs to the first or the last."""

    def __init__(self, low: Sequence[float], high: Sequence[float], bins: Sequence[int], device: torch.device):
        self.digits = Digits(bins, device)
        self.size = self.digits.size
        self.low = torch.tensor(low, dtype=torch.float32, device=device)                    # [k]
        self.per_unit = torch.tensor(bins, device=device) / (torch.tensor(high, device=device) - self.low)
        self.last = torch.tensor(bins, dtype=torch.float32, device=device) - 1

    def __call__(self, obs: Tensor) -> Tensor:
        place = (obs - self.low) * self.per_unit                                            # [N, k]
        return self.digits(torch.minimum(place.clamp(min=0), self.last).long())


States = Integers | Digits | Bins


def states(space: spaces.Space[Any], agent: str, bins: Sequence[int], bounds: tuple[Sequence[float], Sequence[float]],
           device: torch.device) -> States:
    """What turns observations of `space` into states. `bounds` are agent.low and agent.high, empty for the Box's own.

    Raises UsageError for a space that no table can hold.
    """
    if isinstance(space, spaces.Discrete):
        return Integers(int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and len(space.shape) == 1:
        return Digits(space.nvec.tolist(), device)
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        low, high = box_bounds(space, *bounds)
        return Bins(low, high, [int(n) for n in per_dimension("agent.bins", bins, len(low))], device)
    raise UsageError(f"{agent} cannot count the states of {space}; it needs Discrete, MultiDiscrete or a small flat "
                     "Box. For other observations use a network: +agent=dqn")


def box_bounds(space: spaces.Box, low: Sequence[float], high: Sequence[float]) -> tuple[list[float], list[float]]:
    """Raises UsageError where a bound is infinite or upside down."""
    k = space.shape[0]
    low = per_dimension("agent.low", low or space.low.tolist(), k)
    high = per_dimension("agent.high", high or space.high.tolist(), k)
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        if not (abs(a) < 1e30 and abs(b) < 1e30):
            raise UsageError(f"dimension {i} of {space} is {a} to {b} and cannot be cut into bins; say from where "
                             "to where it matters, such as agent.low=[-1,-2] agent.high=[1,2], a number per dimension")
        if a >= b:
            raise UsageError(f"agent.low is {a} and agent.high is {b} in dimension {i}; expected low < high")
    return low, high


def per_dimension(name: str, values: Sequence[float], k: int) -> list[float]:
    """Raises UsageError unless there is one value, or one per dimension."""
    if len(values) not in (1, k):
        raise UsageError(f"{name} has {len(values)} numbers and the observation {k}; give one, or one per dimension")
    return list(values) * (k if len(values) == 1 else 1)


def checked(size: int) -> int:
    """Raises UsageError where a table of so many states would not fit."""
    if size > LARGEST:
        raise UsageError(f"a table of {size:,} states is too large, at most {LARGEST:,} are allowed; use fewer "
                         "agent.bins, or a network: +agent=dqn")
    return size
