"""New examples from the prior of a variational autoencoder. n examples, Z latent numbers, T steps."""

import math

import torch
from torch import Tensor

from lab.data.prepare import back

from .learners import Variational


class Prior:
    """What `lab sample` calls: n examples as the data has them."""

    def __init__(self, learner: Variational):
        self.learner, self.classes = learner, learner.net.classes

    def __call__(self, n: int, rng: torch.Generator, label: Tensor | None = None) -> Tensor:
        return self.made(self.codes(n, rng), label)

    def walk(self, n: int, steps: int, rng: torch.Generator, label: Tensor | None = None) -> Tensor:
        """[T, n, ...]: around a circle through two codes, each point of which has the prior's distribution too."""
        one, other = self.codes(n, rng), self.codes(n, rng)
        turns = [2 * math.pi * i / steps for i in range(steps)]
        return torch.stack([self.made(math.cos(turn) * one + math.sin(turn) * other, label) for turn in turns])

    def codes(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, self.learner.net.latent, generator=rng, device=rng.device)    # [n, Z]

    def made(self, codes: Tensor, label: Tensor | None) -> Tensor:
        found = self.learner.decoded(codes, label)
        return found if self.learner.target.kind == "picture" else back(self.learner.net.front, found)
