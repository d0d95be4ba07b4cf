"""Targets and losses of value learning as pure functions. B rows, A actions, Z atoms or quantiles, N samples."""

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss


def taken(out: Tensor, action: Tensor) -> Tensor:
    """Of what a network says of every action, [B, A, Z], that of `action` [B]: [B, Z]."""
    return out.gather(1, action[:, None, None].expand(-1, 1, out.shape[-1]))[:, 0]


def huber(error: Tensor, delta: float) -> Tensor:
    """Quadratic up to `delta`, then linear, divided by `delta` (Huber 1964; Dabney et al. 2018a, eq. 9)."""
    return smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=delta)


def soft_policy(value: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The policy of maximum entropy [B, A] for `value` [B, A], and its logarithm times the temperature.

    The logarithm is that of Vieillard et al. 2020, appendix B.1: it loses no digits where the temperature is small.
    """
    best = value - value.amax(-1, keepdim=True)
    scaled_log = best - temperature * (best / temperature).logsumexp(-1, keepdim=True)      # [B, A]
    return (scaled_log / temperature).exp(), scaled_log


def project(support: Tensor, probability: Tensor, goal: Tensor) -> Tensor:
    """Mass `probability` [B, Z] at the places `goal` [B, Z], shared between the neighbours in `support` [Z]: [B, Z].

    `support` is evenly spaced; what lies beyond goes to its ends (Bellemare et al. 2017, eq. 7).
    """
    step = (support[-1] - support[0]) / (len(support) - 1)
    place = (goal.clamp(support[0], support[-1]) - support[0]) / step                       # [B, Z] in atoms
    low = place.floor().clamp(0, len(support) - 1)
    upper = place - low
    low = low.long()
    shared = torch.zeros_like(probability).scatter_add(1, low, probability * (1 - upper))
    return shared.scatter_add(1, (low + 1).clamp(max=len(support) - 1), probability * upper)


def quantile_huber(quantile: Tensor, tau: Tensor, goal: Tensor, delta: float) -> Tensor:
    """[B]: how far `quantile` [B, Z], at the fractions `tau` [B or 1, Z], is from those of the samples `goal` [B, N].

    Summed over the quantiles, averaged over the samples (Dabney et al. 2018a, eq. 10; 2018b, eq. 3).
    """
    error = goal[:, None] - quantile[:, :, None]                                            # [B, Z, N]
    side = (tau[:, :, None] - (error.detach() < 0).float()).abs()
    return (side * huber(error, delta)).mean(-1).sum(-1)


def rescale(value: Tensor, epsilon: float = 1e-3) -> Tensor:
    """sign(x) (sqrt(|x| + 1) - 1) + epsilon x, [...] (Pohlen et al. 2018, proposition A.2)."""
    return value.sign() * ((value.abs() + 1).sqrt() - 1) + epsilon * value


def unscale(value: Tensor, epsilon: float = 1e-3) -> Tensor:
    """The inverse of `rescale`."""
    root = (1 + 4 * epsilon * (value.abs() + 1 + epsilon)).sqrt()
    return value.sign() * (((root - 1) / (2 * epsilon)).square() - 1)
