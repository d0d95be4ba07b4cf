"""What is between an encoder and a decoder: the code. B examples, Z latent numbers, K classes, P as in coders.py."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from lab.nn import Coder, dense

from .codebook import Codebook
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
        self.start = nn.Sequential(*dense(latent + classes, width, coder.activation), nn.Unflatten(1, coder.inner))

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


class Quantized(nn.Module):
    """The code is a vector of `width` numbers at each of P places, of a picture those of the inner map."""

    classes = 0

    def __init__(self, front: nn.Module, coder: Coder, likelihood: Likelihood, width: int, codes: int, places: int):
        super().__init__()
        self.front, self.coder, self.likelihood, self.width = front, coder, likelihood, width
        features, *size = coder.inner
        self.book = Codebook(codes, width)
        if size:
            self.places = math.prod(size)
            self.head: nn.Module = nn.Sequential(nn.Conv2d(features, width, 1), nn.Flatten(2))
            back: list[nn.Module] = [nn.Unflatten(2, tuple(size)), nn.Conv2d(width, features, 1), coder.activation()]
        else:
            self.places = places
            self.head = nn.Sequential(nn.Linear(features, width * places), nn.Unflatten(1, (width, places)))
            back = [nn.Flatten(), *dense(width * places, features, coder.activation)]
        self.start = nn.Sequential(*back)

    def encode(self, x: Tensor, label: Tensor | None) -> Tensor:
        """[B, *shape] as the front gives it -> [B, P, width]."""
        out: Tensor = self.head(self.coder.encode(x)).movedim(1, 2)
        return out

    def quantized(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """[B, P, width] -> the nearest vectors of the book, and their places in it [B, P]."""
        chosen = self.book.nearest(code.flatten(0, 1)).view(code.shape[:2])
        return self.book.vectors[chosen], chosen

    def decode(self, code: Tensor, label: Tensor | None) -> Tensor:
        """[B, P, width] -> [B, said of each, *shape]."""
        out: Tensor = self.coder.decode(self.start(code.movedim(2, 1)))
        return out
