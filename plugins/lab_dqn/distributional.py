"""Deep Q-learning of the whole distribution of returns. B batch, A actions, Z atoms or quantiles, N samples."""

from typing import Any

import torch
from torch import Tensor

from .dqn import DeepQ
from .heads import Implicit
from .maths import project, quantile_huber
from .plugin import C51, IQN, QRDQN


class Categorical(DeepQ):
    """Probabilities of Z returns that are fixed (Bellemare et al. 2017, algorithm 1)."""

    cfg: C51

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.support = torch.linspace(self.cfg.v_min, self.cfg.v_max, self.cfg.atoms, device=self.compute.device)

    def values(self, out: Tensor) -> Tensor:
        return out.softmax(-1) @ self.support                                               # [B, A]

    def spread(self, out: Tensor) -> Tensor:
        return out.softmax(-1)                                                              # [B, A, Z]

    def goal(self, reward: Tensor, discount: Tensor, future: Tensor) -> Tensor:
        return project(self.support, future, reward[:, None] + discount[:, None] * self.support)          # [B, Z]

    def loss(self, out: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        """The Kullback-Leibler divergence, which is the error too (Hessel et al. 2018, section 3)."""
        divergence = (torch.special.xlogy(goal, goal) - goal * out.log_softmax(-1)).sum(-1)               # [B]
        return divergence, divergence.detach()


class Quantiles(DeepQ):
    """The returns at Z fractions that are fixed (Dabney et al. 2018a, algorithm 1)."""

    cfg: QRDQN

    def values(self, out: Tensor) -> Tensor:
        return out.mean(-1)                                                                 # [B, A]

    def goal(self, reward: Tensor, discount: Tensor, future: Tensor) -> Tensor:
        return reward[:, None] + discount[:, None] * future                                 # [B, Z]

    def taus(self, out: Tensor) -> Tensor:
        """The fractions that the quantiles `out` [B, Z] are of: the middles of Z equal parts, [1, Z]."""
        return ((torch.arange(out.shape[1], device=out.device) + 0.5) / out.shape[1])[None]

    def loss(self, out: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        distance = quantile_huber(out, self.taus(out), goal, self.cfg.huber_delta)          # [B]
        return distance, distance.detach()


class ImplicitQuantiles(Quantiles):
    """The returns at fractions drawn anew for every row (Dabney et al. 2018b)."""

    cfg: IQN

    def taus(self, out: Tensor) -> Tensor:
        return next(chance.tau for chance in self.chances[self.q] if isinstance(chance, Implicit))        # [B, N]
