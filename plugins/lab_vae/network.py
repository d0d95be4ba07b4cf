"""What is between an encoder and a decoder: the code. B examples, Z latent numbers, K classes, P as in coders.py."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from lab.nn import Coder

from .likelihoods import Likelihood


class Coded(nn.Module):
    """`heads` numbers are said of each of Z latent ones. Where there are K classes, both sides are told the label."""

    def __init__(self, front: nn.Module, coder: Coder, likelihood: Likelihood, latent: int, heads: int,
                 classes: int = 0):
        super().__init__()
        self.front, self.coder, self.likelihood = front, coder, likelihood
        self.latent, self.classes = latent, classes
        width = math.prod(coder.inner)
        self.head = nn.Linear(width + classes, heads * latent)
        self.start = nn.Sequential(nn.Linear(latent + classes, width), coder.activation(),
                                   nn.Unflatten(1, coder.inner))

    def encode(self, x: Tensor, label: Tensor | None) -> Tensor:
        """[B, *shape] as the front gives it -> [B, heads * Z]."""
        out: Tensor = self.head(self.told(self.coder.encode(x).flatten(1), label))
        return out

    def decode(self, z: Tensor, label: Tensor | None) -> Tensor:
        """[B, Z] -> [B, P, *shape]."""
        out: Tensor = self.coder.decode(self.start(self.told(z, label)))
        return out

    def told(self, x: Tensor, label: Tensor | None) -> Tensor:
        """[B, F] -> [B, F + K]; without a label as it is."""
        if not self.classes or label is None:
            return x
        return torch.cat([x, one_hot(label, self.classes).to(x.dtype)], -1)
