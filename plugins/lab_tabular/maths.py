"""The formulas. N transitions, A actions, C cells of a table (one for each state and action)."""

import torch
from torch import Tensor


def td_target(reward: Tensor, terminal: Tensor, future: Tensor, discount: float) -> Tensor:
    """One-step return in reward units (Sutton & Barto 2018, section 6.1); a terminal state has no future.

    All tensors have one shape. A truncated episode is not terminal: its value is bootstrapped.
    """
    return torch.addcmul(reward, 1 - terminal, future, value=discount)


def decayed(rate: float, decay: float, visit: Tensor) -> Tensor:
    """alpha = rate / visit**decay for the first, second, ... `visit` [N] (Even-Dar & Mansour 2003)."""
    return rate * visit ** -decay


def repeated(rate: Tensor, times: Tensor) -> Tensor:
    """1 - (1 - rate)**times: how far `times` steps of size `rate` towards one target go, [N].

    A step of this size, unlike one of times * rate, never passes the target.
    """
    return 1 - (1 - rate) ** times


def epsilon_greedy(values: Tensor, epsilon: float, rng: torch.Generator) -> Tensor:
    """An action for each row of `values` [N, A]: uniform with probability epsilon, else the best, ties at random."""
    n, actions = values.shape
    draw = torch.rand(n, actions + 1, generator=rng, device=values.device)
    explore, noise = draw[:, actions:] < epsilon, draw[:, :actions]                         # [N, 1], [N, A]
    least = values.amax(-1, keepdim=True).masked_fill_(explore, -torch.inf)                 # an explorer takes any
    return ((values >= least) + noise).argmax(-1)                                           # [N]


def expected(values: Tensor, epsilon: float) -> Tensor:
    """Mean of `values` [N, A] under the epsilon-greedy policy (Sutton & Barto 2018, eq. 6.9); ties do not matter."""
    return epsilon * values.mean(-1) + (1 - epsilon) * values.amax(-1)                      # [N]
