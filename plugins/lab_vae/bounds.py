"""The terms of bounds on a likelihood, in nats. B examples, Z latent numbers, S samples of a code."""

import math

import torch
from torch import Tensor

ACTIVE = 0.01                     # variance of a code's mean above which it is used (Burda et al. 2016, section 5.2)


def kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """Of a Gaussian from the standard one, for each latent number: [B, Z] (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


def with_free_bits(terms: Tensor, free: float) -> Tensor:
    """The sum of [B, Z] over Z, the mean over B; each of Z counts at least `free` (Kingma et al. 2016, equation 15)."""
    return terms.mean(0).clamp(min=free).sum()


def standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1), summed over the last axis."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


def normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mean, exp(log_var)), summed over the last axis."""
    return -0.5 * ((z - mean).square() * (-log_var).exp() + log_var + math.log(2 * math.pi)).sum(-1)


def importance_bound(log_weights: Tensor) -> Tensor:
    """log of the mean of the weights [B, S]: a lower bound on log p(x), [B] (Burda et al. 2016, equation 8)."""
    return torch.logsumexp(log_weights, -1) - math.log(log_weights.shape[-1])


def active(means: Tensor) -> Tensor:
    """How many of the latent numbers [N, Z] are used at all: a 0-d tensor."""
    return (means.var(0, correction=0) > ACTIVE).sum()


def bits_per_dim(nats: float, dims: int) -> float:
    return nats / (dims * math.log(2))
