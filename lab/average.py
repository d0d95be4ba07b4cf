"""An exponential average of a network over its steps (Polyak & Juditsky 1992 average all of them alike)."""

import copy

import torch
from torch import nn

from .state import Saved


def decay_at(step: int, decay: float) -> float:
    """The decay at a step, from 1 on: small at first, so that the first weights are soon forgotten."""
    return min(decay, (1 + step) / (10 + step))


class Average(Saved):
    """`net` keeps `decay_at` of what it was at each step, and takes the rest from the network that it follows.

    Its running statistics are averaged like its weights: those of other weights would not fit. What is no float is that
    of the network followed.
    """

    saved = ("net", "step")

    def __init__(self, followed: nn.Module, decay: float):
        self.net, self.step, self.decay = copy.deepcopy(followed).requires_grad_(False), 0, decay
        pairs = list(zip(self.net.state_dict().values(), followed.state_dict().values(), strict=True))
        self.floats = list(zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True))
        self.others = [pair for pair in pairs if not pair[0].is_floating_point()]

    def update(self) -> None:
        self.step += 1
        own, followed = self.floats
        torch._foreach_lerp_(own, followed, 1 - decay_at(self.step, self.decay))
        for mine, theirs in self.others:
            mine.copy_(theirs)
