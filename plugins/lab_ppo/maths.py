"""The formulas of proximal policy optimisation, as pure functions. T steps, N environments, B rows, A actions."""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lab.rollouts import lambda_return


def gae(reward: Tensor, value: Tensor, next_value: Tensor, terminal: Tensor, done: Tensor, discount: float,
        lambda_: float) -> Tensor:
    """Generalised advantage estimates in reward units; all tensors are [T, N] (Schulman et al. 2016, eq. 16).

    Their sum of discounted errors is the lambda-return minus the value, since `next_value[t]` is `value[t + 1]` unless
    an episode ends there. None reaches across `done`; a `terminal` state is worth nothing, a truncated one its value.
    """
    return lambda_return(reward, next_value, terminal, done, discount, lambda_) - value


def clipped_surrogate(log_ratio: Tensor, advantage: Tensor, clip: Tensor) -> Tensor:
    """The objective to climb, a mean over [B] rows (Schulman et al. 2017, eq. 7).

    `log_ratio` is the log-probability of the action now minus that when it was chosen; `clip` is epsilon. The clipped
    ratio limits the product where it would exceed (1 + epsilon) * A or, for a negative A, (1 - epsilon) * A: both are
    A + epsilon * |A|.
    """
    limit = torch.addcmul(advantage, clip, advantage.abs())                                     # [B]
    return torch.minimum(log_ratio.exp() * advantage, limit).mean()


def clipped_value_loss(value: Tensor, old: Tensor, target: Tensor, clip: float) -> Tensor:
    """Mean squared error over [B] rows, the larger of two: of `value`, and of it held within `clip` of `old`.

    In squared units of the return (Engstrom et al. 2020, section 3, of the code for Schulman et al. 2017).
    """
    held = old + (value - old).clamp(-clip, clip)                                               # [B]
    return torch.maximum((value - target).square(), (held - target).square()).mean()


def categorical_log_prob(logits: Tensor, action: Tensor) -> Tensor:
    """Log-probability of `action` [B] under `logits` [B, A]: [B], in nats."""
    return -cross_entropy(logits, action, reduction="none")


def categorical_entropy(logits: Tensor) -> Tensor:
    """[B], in nats, of `logits` [B, A]."""
    log_prob = logits.log_softmax(-1)                                                           # [B, A]
    return -(log_prob.exp() * log_prob).sum(-1)


def gaussian_log_prob(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
    """Log-density of `action` [B, A]: [B], in nats; independent entries, with the spread `log_std` [A] in all rows."""
    z = (action - mean) * (-log_std).exp()                                                      # [B, A]
    return -0.5 * z.square().sum(-1) - log_std.sum() - 0.5 * math.log(2 * math.pi) * len(log_std)


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """0-d, in nats."""
    return log_std.sum() + 0.5 * (1 + math.log(2 * math.pi)) * len(log_std)


def approximate_kl(log_ratio: Tensor) -> Tensor:
    """KL(old || new) in nats from actions of the old policy: k3, unbiased and never negative.

    Schulman 2020, http://joschu.net/blog/kl-approx.html: the mean of r - 1 - log r, `log_ratio` as in the surrogate.
    """
    return (log_ratio.exp() - 1 - log_ratio).mean()


def explained_variance(value: Tensor, target: Tensor) -> Tensor:
    """1 - var(target - value) / var(target): 1 is perfect, 0 is no better than a constant, below 0 is worse."""
    return 1 - (target - value).var() / target.var().clamp(min=1e-8)
