"""New examples from random codes. n examples, Z numbers in a code, T steps."""

import math
from collections.abc import Callable, Iterator
from itertools import repeat

import torch
from torch import Tensor

Decode = Callable[[Tensor, Tensor | None], Tensor]            # (codes [n, Z], labels [n] or None) -> examples [n, ...]
AT_ONCE = 1_000                   # codes that are decoded together


class FromCodes:
    """A `Sample` of lab.contract: codes are drawn from the standard normal distribution."""

    def __init__(self, decode: Decode, latent: int, classes: int = 0):
        self.decode, self.latent, self.classes = decode, latent, classes

    def __call__(self, n: int, rng: torch.Generator, label: Tensor | None = None) -> Tensor:
        return self.made(self.codes(n, rng), label)

    def walk(self, n: int, steps: int, rng: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """`steps` times [n, ...], around a circle through two codes: each of its points is distributed as they are."""
        one, other = self.codes(n, rng), self.codes(n, rng)
        for turn in (2 * math.pi * i / steps for i in range(steps)):
            yield self.made(math.cos(turn) * one + math.sin(turn) * other, label)

    def codes(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, self.latent, generator=rng, device=rng.device)                # [n, Z]

    def made(self, codes: Tensor, label: Tensor | None) -> Tensor:
        return in_parts(self.decode, codes, label)


@torch.no_grad()
def in_parts(decode: Decode, codes: Tensor, label: Tensor | None) -> Tensor:
    """Codes [n, Z] decoded `AT_ONCE` at a time."""
    labels = repeat(None) if label is None else torch.split(label, AT_ONCE)
    return torch.cat([decode(*part) for part in zip(torch.split(codes, AT_ONCE), labels, strict=False)])
