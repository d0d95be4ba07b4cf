"""How likely an example is, given what a decoder says of it. B examples, D numbers in each.

-log p(x | said) in nats, [B]. What a decoder says is [B, P, ...]: P numbers for each of those in examples x [B, ...].
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, softplus

LEAST, SMALLEST, MOST = -7.0, -9.0, 5.0           # of the logarithm of a deviation, of a scale, of either
LEVELS = 256                      # of a pixel, at most


def bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """[B, ...] each: the cross-entropy, which for x between 0 and 1 is the mean over draws of 0 and 1 with chance x."""
    return binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(-1)


def gaussian(mean: Tensor, log_sigma: Tensor, x: Tensor) -> Tensor:
    """[B, ...] each, or one `log_sigma` for all: -log of the density, which may be negative."""
    off = (x - mean) * (-log_sigma).exp()
    return (0.5 * off.square() + log_sigma + 0.5 * math.log(2 * math.pi)).flatten(1).sum(-1)


def discretized(mean: Tensor, log_scale: Tensor, x: Tensor, levels: Tensor | int) -> Tensor:
    """[B, ...] each, x among `levels` evenly from 0 to 1: the share of a logistic distribution that is nearest to it.

    The lowest and the highest level have the tails (Salimans et al. 2017, equation 2). With a and b the ends of the
    interval, sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), whose logarithm loses no digits.
    """
    half, narrow = 0.5 / (levels - 1), (-log_scale).exp()
    a, b = (x + half - mean) * narrow, (x - half - mean) * narrow
    inside = logsigmoid(a) + logsigmoid(-b) + torch.log(-torch.expm1(-2 * half * narrow))
    found = torch.where(x < half, logsigmoid(a), torch.where(x > 1 - half, logsigmoid(-b), inside))
    return -found.flatten(1).sum(-1)


def levels(x: Tensor) -> int:
    """The least number of even levels from 0 to 1 on which all of x stands; 0: there are none up to 256."""
    there = torch.unique(x)
    if len(there) > LEVELS:
        return 0
    steps = torch.arange(1, LEVELS)[:, None]                                                # [255, 1]
    even = ((there * steps) - (there * steps).round()).abs().amax(1) < 5e-5                 # [255]
    return int(even.int().argmax()) + 2 if even.any() else 0


def above(least: float, log_scale: Tensor) -> Tensor:
    """The same where it is well above the least, and never below it; its gradient is never 0."""
    return least + softplus(log_scale - least)


class Likelihood(nn.Module):
    """Of examples [B, ...] under what is said of them [B, P, ...]. As it is here: pixels as chances."""

    said = 1                                  # P

    def nats(self, said: Tensor, x: Tensor) -> Tensor:
        """-log p(x | said), [B]."""
        return bernoulli(said[:, 0], x)

    def mean(self, said: Tensor) -> Tensor:
        """The expected example, [B, ...]."""
        return said[:, 0].sigmoid()

    def logged(self) -> dict[str, float]:
        """What there is to log of it."""
        return {}


class Gaussian(Likelihood):
    """One deviation for all numbers; 0: learned, at first half of the data's own `spread` (Rybkin et al. 2021)."""

    log_sigma: Tensor

    def __init__(self, sigma: float, spread: float = 2.0):
        super().__init__()
        if sigma:
            self.register_buffer("log_sigma", torch.tensor(sigma).log(), persistent=False)       # the config says it
        else:
            self.log_sigma = nn.Parameter(torch.tensor(spread / 2).log())

    def nats(self, said: Tensor, x: Tensor) -> Tensor:
        return gaussian(said[:, 0], self.bounded(), x)

    def bounded(self) -> Tensor:
        """The logarithm of the deviation: one that is given is as it is, one that is learned stays above `LEAST`."""
        return above(LEAST, self.log_sigma) if isinstance(self.log_sigma, nn.Parameter) else self.log_sigma

    def mean(self, said: Tensor) -> Tensor:
        return said[:, 0]

    def logged(self) -> dict[str, float]:
        return {"likelihood/sigma": float(self.bounded().detach().exp())}


class Discretized(Likelihood):
    """The mean is said as its logit, so that it stays from 0 to 1; then the logarithm of the scale.

    The least scale lets a pixel of 256 levels that is sure cost nothing.
    """

    said = 2

    levels: Tensor

    def __init__(self, levels: int):
        super().__init__()
        self.register_buffer("levels", torch.tensor(levels))            # saved: the data may be gone

    def nats(self, said: Tensor, x: Tensor) -> Tensor:
        return discretized(said[:, 0].sigmoid(), above(SMALLEST, said[:, 1]).clamp(max=MOST), x, self.levels)
