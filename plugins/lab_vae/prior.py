"""New examples from the prior of a variational autoencoder. n examples, Z latent numbers, T steps."""

import math
from collections.abc import Iterator
from itertools import repeat

import torch
from torch import Tensor

from lab.data.prepare import back

from .variational import Variational

AT_ONCE = 1_000                   # codes that are decoded together


class Prior:
    """What `lab sample` calls: n examples as the data has them."""

    def __init__(self, learner: Variational):
        self.learner, self.classes = learner, learner.net.classes

    def __call__(self, n: int, rng: torch.Generator, label: Tensor | None = None) -> Tensor:
        return self.made(self.codes(n, rng), label)

    def walk(self, n: int, steps: int, rng: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """`steps` times [n, ...], around a circle through two codes: each of its points is distributed as the prior."""
        one, other = self.codes(n, rng), self.codes(n, rng)
        for turn in (2 * math.pi * i / steps for i in range(steps)):
            yield self.made(math.cos(turn) * one + math.sin(turn) * other, label)

    def codes(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, self.learner.net.latent, generator=rng, device=rng.device)    # [n, Z]

    def made(self, codes: Tensor, label: Tensor | None) -> Tensor:
        labels = repeat(None) if label is None else torch.split(label, AT_ONCE)
        parts = zip(torch.split(codes, AT_ONCE), labels, strict=False)
        found = torch.cat([self.learner.decoded(*part) for part in parts])
        picture = self.learner.target.kind == "picture"
        return found.clamp(0, 1) if picture else back(self.learner.net.front, found)
